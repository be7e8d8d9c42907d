"""WebAssembly rewritten so that the host can stop it: one load and one branch at each loop, no call.

wasmtime's own epoch checks call into the host on their slow path, which makes the compiler spill every vector
register in every loop: docs/adr/0027-runtime.md has the figures. Here a module gets a second memory of one page that
no instruction of its own can name, and code that traps when the first word of that page is not zero:

    i32.const 0   i32.atomic.load (memory 1)   if   unreachable   end

The check stands at the head of each loop and of each function that calls: all code without either ends by itself.
The load is atomic, so no compiler moves it out of a loop. The start function is exported instead of started: the
host can stop it like any other. Custom sections go, for some hold offsets into code.

The bytes may be anyone's. An instruction that this file does not know is refused rather than skipped, so what it and
wasmtime read cannot differ: whatever follows is validated by wasmtime as it was rewritten here.
"""

import re
from typing import Final

STOP: Final = "sealedge:stop"
START: Final = "sealedge:start"
"""What a rewritten module exports besides its own: the memory of the stop word, and the start function if any."""

CHECK: Final = bytes.fromhex("4100 fe10420100 0440 00 0b")
STOP_MEMORY: Final = b"\x01\x01\x01"
"""Limits of the second memory (WebAssembly Core §5.3.8): one page at least and at most."""

MEMORY, EXPORTS, START_SECTION, CODE = 5, 7, 8, 10

U32: Final = rb"[\x80-\xff]{0,4}+[\x00-\x7f]"
I64: Final = rb"[\x80-\xff]{0,9}+[\x00-\x7f]"
PLACE: Final = rb"[\x00-\x04]" + U32
"""A memarg of memory 0: the bit that announces another memory is not among these (§5.4.6)."""

# WebAssembly Core §5.4, without loop, call, call_indirect and br_table, and without the proposals that are off.
INSTRUCTIONS: Final = (
    rb"[\x00\x01\x05\x0b\x0f\x1a\x1b\x45-\xc4\xd1]",
    rb"[\x02\x04\x0c\x0d\x20-\x26\x41\xd0\xd2]" + U32,
    rb"[\x28-\x3e]" + PLACE,
    rb"[\x3f\x40]\x00",
    rb"\x42" + I64,
    rb"\x43[\x00-\xff]{4}",
    rb"\x44[\x00-\xff]{8}",
    rb"\x1c\x01[\x00-\xff]",
    rb"\xfc(?:[\x00-\x07]|\x08" + U32 + rb"\x00|[\x09\x0d\x0f-\x11]" + U32 + rb")",
    rb"\xfc(?:\x0a\x00\x00|\x0b\x00|[\x0c\x0e]" + U32 + U32 + rb")",
    rb"\xfd(?:[\x00-\x0b\x5c\x5d]" + PLACE + rb"|[\x0c\x0d][\x00-\xff]{16}|[\x15-\x22][\x00-\x1f])",
    rb"\xfd(?:[\x54-\x5b]" + PLACE + rb"[\x00-\x0f]|[\x0e-\x14\x23-\x53\x5e-\x7f]|[\x80-\xff]\x01)",
)
PLAIN: Final = re.compile(rb"(?:" + b"|".join(INSTRUCTIONS) + rb")*+", re.DOTALL)
LOOP: Final = re.compile(rb"\x03" + U32)
CALL: Final = re.compile(rb"\x10" + U32 + rb"|\x11" + U32 + U32)
INTEGER: Final = re.compile(U32)
BRANCH_TABLE: Final = b"\x0e"


class UnknownCodeError(ValueError):
    """The module holds what this file does not know; the text says what, in bounded words."""


def interruptible(module: bytes) -> bytes:
    """A core module with the checks, and with the exports `STOP` and, in place of a start section, `START`.

    Trusts nothing but that `parse_interface` accepted the module: it imports only functions and has one memory at
    most. Time and memory grow with its size alone. Raises `UnknownCodeError`; what is otherwise invalid stays so.
    """
    sections = _sections(module)
    started = sections.pop(START_SECTION, None)
    sections[MEMORY] = _counted(sections.get(MEMORY, b"\x00"), STOP_MEMORY)
    exported = [_export(STOP, b"\x02\x01")]
    if started is not None:
        exported.append(_export(START, b"\x00" + started))
    sections[EXPORTS] = _counted(sections.get(EXPORTS, b"\x00"), *exported)
    if CODE in sections:
        sections[CODE] = _code(sections[CODE])
    return module[:8] + b"".join(bytes([kind]) + _sized(content) for kind, content in sections.items())


def _sections(module: bytes) -> dict[int, bytes]:
    """All but the custom ones, in their order."""
    sections: dict[int, bytes] = {}
    at = 8
    while at < len(module):
        kind = module[at]
        content, at = _sized_at(module, at + 1)
        if kind in sections:
            raise UnknownCodeError("a section stands twice")
        if kind:
            sections[kind] = content
    return sections


def _code(section: bytes) -> bytes:
    count, at = _integer_at(section, 0)
    parts = [_integer(count)]
    for _ in range(count):
        function, at = _sized_at(section, at)
        parts.append(_sized(_function(function)))
    if at != len(section):
        raise UnknownCodeError("something follows the last function")
    return b"".join(parts)


def _function(function: bytes) -> bytes:
    groups, at = _integer_at(function, 0)
    for _ in range(groups):
        # So many locals, of a type that is one byte.
        at = _integer_at(function, at)[1] + 1
    return function[:at] + _checked(function, at)


def _checked(function: bytes, start: int) -> bytes:
    parts: list[bytes] = []
    calls, kept, at = False, start, start
    while (at := _end(PLAIN, function, at)) < len(function):
        if (end := _end(LOOP, function, at)) > at:
            parts += (function[kept:end], CHECK)
            kept = end
        elif (end := _end(CALL, function, at)) > at:
            calls = True
        else:
            end = _after_branch_table(function, at)
        at = end
    parts.append(function[kept:])
    return b"".join([CHECK, *parts] if calls else parts)


def _end(pattern: "re.Pattern[bytes]", code: bytes, at: int) -> int:
    """Where a match that starts at `at` ends; `at` itself where there is none."""
    found = pattern.match(code, at)
    return found.end() if found else at


def _after_branch_table(code: bytes, at: int) -> int:
    if code[at : at + 1] != BRANCH_TABLE:
        raise UnknownCodeError(f"an instruction is not allowed or incomplete: {code[at : at + 3].hex(' ')}")
    labels, at = _integer_at(code, at + 1)
    for _ in range(labels + 1):
        at = _integer_at(code, at)[1]
    return at


def _counted(section: bytes, *entries: bytes) -> bytes:
    """A vector with entries appended."""
    count, at = _integer_at(section, 0)
    return _integer(count + len(entries)) + section[at:] + b"".join(entries)


def _export(name: str, what: bytes) -> bytes:
    return _sized(name.encode()) + what


def _sized(content: bytes) -> bytes:
    return _integer(len(content)) + content


def _sized_at(data: bytes, at: int) -> tuple[bytes, int]:
    length, at = _integer_at(data, at)
    if at + length > len(data):
        raise UnknownCodeError("the module ends too early")
    return data[at : at + length], at + length


def _integer(value: int) -> bytes:
    """LEB128, unsigned (§5.2.2)."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _integer_at(data: bytes, at: int) -> tuple[int, int]:
    end = _end(INTEGER, data, at)
    if end == at:
        raise UnknownCodeError("an integer is overlong or incomplete")
    return sum((byte & 0x7F) << 7 * place for place, byte in enumerate(data[at:end])), end
