"""WebAssembly rewritten so that the host can stop it: one load at each loop, no branch and no call.

wasmtime's own epoch checks call into the host on their slow path, which makes the compiler spill every vector
register in every loop: docs/adr/0027-runtime.md has the figures. Here a module gets a second memory of one page that
no instruction of its own can name, and code that reads it and forgets what it read:

    i32.const 0   i32.atomic.load (memory 1)   drop

From the deadline on nobody may read that page, and the load traps. The check stands at the head of each loop and of
each function that calls: all code without either ends by itself. The load is atomic, so no compiler takes it out of a
loop or takes two for one; and it may trap, so none leaves it out. The start function is exported instead of started:
the host can stop it like any other. Custom sections go, for some hold offsets into code.

The bytes may be anyone's. An instruction that this file does not know is refused rather than skipped, so what it and
wasmtime read cannot differ: whatever follows is validated by wasmtime as it was rewritten here.
"""

import re
from typing import Final

from edge_agent.enclave.rewriting.additions import Additions
from edge_agent.enclave.rewriting.binary import (
    CODE,
    EXPORTS,
    FUNCTION,
    I64,
    MEMORY,
    MEMORY_KIND,
    START_SECTION,
    U32,
    UnknownCodeError,
    counted,
    end_of,
    export,
    exports_of,
    integer,
    integer_at,
    module_of,
    sections_of,
    sized,
    sized_at,
)
from edge_agent.enclave.rewriting.constants import Guards
from edge_agent.enclave.rewriting.restorable import shown

__all__ = ["CHECK", "LOOK", "START", "STOP", "UnknownCodeError", "interruptible"]

STOP: Final = "sealedge:stop"
START: Final = "sealedge:start"
LOOK: Final = "sealedge:look"
"""What a rewritten module exports besides its own.

The memory of the stop page, the start function if there is one, and a function that is one check and nothing else.
"""

CHECK: Final = bytes.fromhex("4100 fe10420100 1a")
LOOK_TYPE: Final = b"\x60\x00\x00"
LOOK_BODY: Final = b"\x00" + CHECK + b"\x0b"
STOP_MEMORY: Final = b"\x01\x01\x01"
"""Limits of the second memory (WebAssembly Core §5.3.8): one page at least and at most."""
STOP_INDEX: Final = 1

PLACE: Final = rb"[\x00-\x04]" + U32
"""A memarg of memory 0: the bit that announces another memory is not among these (§5.4.6)."""

# WebAssembly Core §5.4, without what `SPECIAL` finds and br_table, and without the proposals that are off.
INSTRUCTIONS: Final = (
    rb"[\x00\x01\x05\x0b\x0f\x1a\x1b\x45-\xc4\xd1]",
    rb"[\x02\x04\x0c\x0d\x20-\x25\x41\xd0\xd2]" + U32,
    rb"[\x28-\x3e]" + PLACE,
    rb"[\x3f\x40]\x00",
    rb"\x42" + I64,
    rb"\x43[\x00-\xff]{4}",
    rb"\x44[\x00-\xff]{8}",
    rb"\x1c\x01[\x00-\xff]",
    rb"\xfc(?:[\x00-\x07]|\x10" + U32 + rb")",
    rb"\xfd(?:[\x00-\x0b\x5c\x5d]" + PLACE + rb"|[\x0c\x0d][\x00-\xff]{16}|[\x15-\x22][\x00-\x1f])",
    rb"\xfd(?:[\x54-\x5b]" + PLACE + rb"[\x00-\x0f]|[\x0e-\x14\x23-\x53\x5e-\x7f]|[\x80-\xff]\x01)",
)
PLAIN: Final = re.compile(rb"(?:" + b"|".join(INSTRUCTIONS) + rb")*+", re.DOTALL)
SPECIAL: Final = re.compile(
    rb"(?P<loop>\x03" + U32 + rb")"
    rb"|(?P<call>\x10" + U32 + rb"|\x11" + U32 + U32 + rb")"
    # memory.copy, memory.fill, memory.init
    rb"|(?P<bulk>\xfc(?:\x0a\x00\x00|\x0b\x00|\x08" + U32 + rb"\x00))"
    # table.set, and of one table data.drop, elem.drop, table.grow, table.fill, of two table.init, table.copy
    rb"|(?P<lasting>\x26" + U32 + rb"|\xfc(?:[\x09\x0d\x0f\x11]" + U32 + rb"|[\x0c\x0e]" + U32 + U32 + rb"))"
)
BRANCH_TABLE: Final = b"\x0e"


def interruptible(module: bytes) -> bytes:
    """A core module with the checks, and with the exports `STOP` and, in place of a start section, `START`.

    Further exports say what `restorable` does. Trusts nothing but that `parse_interface` accepted the module: it
    imports only functions and has one memory at most. Time and memory grow with its size alone. Raises
    `UnknownCodeError`; what is otherwise invalid stays so.
    """
    sections = sections_of(module)
    started = sections.pop(START_SECTION, None)
    sections[MEMORY] = counted(sections.get(MEMORY, b"\x00"), STOP_MEMORY)
    if CODE not in sections:
        raise UnknownCodeError("the module has no code")
    if any(kind == MEMORY_KIND and index for _, kind, index in exports_of(sections.get(EXPORTS, b""))):
        # The host would read and write what it takes away.
        raise UnknownCodeError("the module exports a memory that it does not have")
    additions = Additions(sections)
    look = additions.function(LOOK_TYPE, LOOK_BODY)
    code = _Code(Guards(sections, additions))
    sections[CODE] = code.rewritten(sections[CODE])
    additions.finish()
    exported = [export(STOP, MEMORY_KIND, STOP_INDEX), export(LOOK, FUNCTION, look)]
    exported += shown(sections, code.lasting, STOP_INDEX)
    if started is not None:
        exported.append(export(START, FUNCTION, integer_at(started, 0)[0]))
    sections[EXPORTS] = counted(sections.get(EXPORTS, b"\x00"), *exported)
    return module_of(module[:8], sections)


class _Code:
    """A code section, function by function. `lasting` is whether any changes a table or drops a segment."""

    def __init__(self, guards: Guards) -> None:
        self._guards = guards
        self.lasting = False

    def rewritten(self, section: bytes) -> bytes:
        count, at = integer_at(section, 0)
        parts = [integer(count)]
        for _ in range(count):
            function, at = sized_at(section, at)
            parts.append(sized(self._function(function)))
        if at != len(section):
            raise UnknownCodeError("something follows the last function")
        return b"".join(parts)

    def _function(self, function: bytes) -> bytes:
        groups, at = integer_at(function, 0)
        for _ in range(groups):
            # So many locals, of a type that is one byte.
            at = integer_at(function, at)[1] + 1
        return function[:at] + self._checked(function, at)

    def _checked(self, function: bytes, start: int) -> bytes:
        parts: list[bytes] = []
        calls, kept, at = False, start, start
        while (at := end_of(PLAIN, function, at)) < len(function):
            found = SPECIAL.match(function, at)
            kind, end = (found.lastgroup, found.end()) if found else (None, _after_branch_table(function, at))
            if kind == "loop":
                parts += (function[kept:end], CHECK)
                kept = end
            elif kind == "bulk" and self._guards:
                parts += (function[kept:at], self._guards.call(function[at:end]))
                kept = end
            calls |= kind == "call"
            self.lasting |= kind == "lasting"
            at = end
        parts.append(function[kept:])
        return b"".join([CHECK, *parts] if calls else parts)


def _after_branch_table(code: bytes, at: int) -> int:
    if code[at : at + 1] != BRANCH_TABLE:
        raise UnknownCodeError(f"an instruction is not allowed or incomplete: {code[at : at + 3].hex(' ')}")
    labels, at = integer_at(code, at + 1)
    for _ in range(labels + 1):
        at = integer_at(code, at)[1]
    return at
