"""A module's exports, less those that only cost: every export is looked up for each request.

The toolchain makes a WASI reactor, whose `_initialize` runs the constructors of C. Neither what this package writes nor
the mathematics of the C library has any, and the enclave would call it before each inference.
"""

from typing import Final

HEADER_BYTES: Final = 8
EXPORT_SECTION: Final = 7
"""WebAssembly 5.5.10: a vector of names (length, bytes), kinds (one byte) and indices."""


def without_export(module: bytes, name: bytes) -> bytes:
    """The same module without an export. It must be whole, as the toolchain makes it."""
    made, at = bytearray(module[:HEADER_BYTES]), HEADER_BYTES
    while at < len(module):
        kind = module[at]
        size, start = _read(module, at + 1)
        content = module[start : start + size]
        if kind == EXPORT_SECTION:
            content = _without(content, name)
        made += bytes([kind]) + _written(len(content)) + content
        at = start + size
    return bytes(made)


def _without(section: bytes, name: bytes) -> bytes:
    count, at = _read(section, 0)
    kept = []
    for _ in range(count):
        length, start = _read(section, at)
        _, end = _read(section, start + length + 1)
        if section[start : start + length] != name:
            kept.append(section[at:end])
        at = end
    return _written(len(kept)) + b"".join(kept)


def _read(data: bytes, at: int) -> tuple[int, int]:
    """An unsigned LEB128 number, and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _written(value: int) -> bytes:
    made = bytearray()
    while value >= 0x80:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*made, value])
