"""Sections, vectors and integers of the WebAssembly binary format (WebAssembly Core §5), taken apart and put together.

For what rewrites modules. The bytes may be anyone's; what is taken from them is no longer than they are.
"""

import re
from collections.abc import Iterator
from typing import Final

TYPES, FUNCTIONS, MEMORY, GLOBALS, EXPORTS, START_SECTION, CODE = 1, 3, 5, 6, 7, 8, 10
"""Section identifiers (§5.5.2)."""

IMPORTS: Final = 2
FUNCTION, MEMORY_KIND, GLOBAL = 0, 2, 3
"""Kinds of exports (§5.5.10)."""

U32: Final = rb"[\x80-\xff]{0,4}+[\x00-\x7f]"
I64: Final = rb"[\x80-\xff]{0,9}+[\x00-\x7f]"
_INTEGER: Final = re.compile(U32)


class UnknownCodeError(ValueError):
    """The module holds what its rewriting does not know; the text says what, in bounded words."""


def sections_of(module: bytes) -> dict[int, bytes]:
    """The contents of all sections but the custom ones, in their order. Raises `UnknownCodeError`."""
    sections: dict[int, bytes] = {}
    at = 8
    while at < len(module):
        kind = module[at]
        content, at = sized_at(module, at + 1)
        if kind in sections:
            raise UnknownCodeError("a section stands twice")
        if kind:
            sections[kind] = content
    return sections


def module_of(head: bytes, sections: dict[int, bytes]) -> bytes:
    """A module of these sections, after its first eight bytes."""
    return head + b"".join(bytes([kind]) + sized(content) for kind, content in sections.items())


def end_of(pattern: "re.Pattern[bytes]", data: bytes, at: int) -> int:
    """Where a match that starts at `at` ends; `at` itself where there is none."""
    found = pattern.match(data, at)
    return found.end() if found else at


def count_of(section: bytes) -> int:
    """How many entries a vector has; none where the section is missing, as empty bytes."""
    return integer_at(section, 0)[0] if section else 0


def counted(section: bytes, *entries: bytes) -> bytes:
    """A vector with entries appended."""
    count, at = integer_at(section, 0)
    return integer(count + len(entries)) + section[at:] + b"".join(entries)


def export(name: str, kind: int, index: int) -> bytes:
    """One entry of an export section."""
    return sized(name.encode()) + bytes([kind]) + integer(index)


def exports_of(section: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, kind and index of each export. Raises `UnknownCodeError`."""
    count, at = integer_at(section, 0) if section else (0, 0)
    for _ in range(count):
        name, at = sized_at(section, at)
        kind = section[at : at + 1]
        index, at = integer_at(section, at + 1)
        yield name, kind[0], index


def sized(content: bytes) -> bytes:
    """Bytes after their length."""
    return integer(len(content)) + content


def sized_at(data: bytes, at: int) -> tuple[bytes, int]:
    """Bytes after their length, and where they end. Raises `UnknownCodeError`."""
    length, at = integer_at(data, at)
    if at + length > len(data):
        raise UnknownCodeError("the module ends too early")
    return data[at : at + length], at + length


def integer(value: int) -> bytes:
    """LEB128, unsigned (§5.2.2)."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def integer_at(data: bytes, at: int) -> tuple[int, int]:
    """An unsigned integer of five bytes at most, and where it ends. Raises `UnknownCodeError`."""
    end = end_of(_INTEGER, data, at)
    if end == at:
        raise UnknownCodeError("an integer is overlong or incomplete")
    return sum((byte & 0x7F) << 7 * place for place, byte in enumerate(data[at:end])), end
