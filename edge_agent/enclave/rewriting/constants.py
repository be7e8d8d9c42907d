"""Constants of a module: a range of its memory that it says it never writes, and that the host makes it keep to.

    sealedge_constant_start, sealedge_constant_end: immutable i32 globals, exported; the range is without its end

The host takes away the permission to write whole pages inside, before any code of the module runs: a store there is
a trap. memory.fill and memory.copy are done by the runtime's own code, in which a fault would end the process. In a
module that names constants they become calls of functions added here, which look first.
"""

from typing import Final

from edge_agent.enclave.rewriting.additions import Additions
from edge_agent.enclave.rewriting.binary import EXPORTS, GLOBAL, GLOBALS, UnknownCodeError, exports_of, integer
from edge_agent.enclave.rewriting.restorable import I32, globals_of

CONSTANT_START: Final = "sealedge_constant_start"
CONSTANT_END: Final = "sealedge_constant_end"

FILL: Final = b"\xfc\x0b\x00"
COPY: Final = b"\xfc\x0a\x00\x00"
_SIGNATURE: Final = b"\x60\x03\x7f\x7f\x7f\x00"
"""(i32, i32, i32) -> (), of both: where to, what, how many bytes."""


class Guards:
    """What stands for each bulk instruction in a module's code: nothing, or a call of a function that looks first."""

    def __init__(self, sections: dict[int, bytes], additions: Additions) -> None:
        """Adds the functions where both ends are exported.

        Raises `UnknownCodeError` where one end is, or one is not an immutable i32 global.
        """
        self._calls: dict[bytes, bytes] = {}
        ends = _ends(sections)
        if ends is not None:
            for instruction in (FILL, COPY):
                index = additions.function(_SIGNATURE, _body(instruction, *ends))
                self._calls[instruction] = b"\x10" + integer(index)

    def __bool__(self) -> bool:
        return bool(self._calls)

    def call(self, instruction: bytes) -> bytes:
        """Of one that was found in the code. Raises `UnknownCodeError` for memory.init, which nothing stands for."""
        if instruction not in self._calls:
            raise UnknownCodeError("a module that names its constants may not use memory.init")
        return self._calls[instruction]


def _ends(sections: dict[int, bytes]) -> tuple[int, int] | None:
    found = {
        name.decode(): (kind, index)
        for name, kind, index in exports_of(sections.get(EXPORTS, b""))
        if name in {CONSTANT_START.encode(), CONSTANT_END.encode()}
    }
    if not found:
        return None
    types = globals_of(sections.get(GLOBALS, b""))
    for name in (CONSTANT_START, CONSTANT_END):
        kind, index = found.get(name, (-1, 0))
        if kind != GLOBAL or index >= len(types) or types[index] != (I32, False):
            raise UnknownCodeError(f"{name} must be exported as an i32 global that does not change, as its other end")
    return found[CONSTANT_START][1], found[CONSTANT_END][1]


def _body(instruction: bytes, start: int, end: int) -> bytes:
    """Traps where `length > 0 and to < end and to + length > start`; else does what was asked."""
    to, length = b"\x20\x00", b"\x20\x02"
    wide, and_ = b"\xad", b"\x71"
    return b"".join(
        (
            b"\x00",
            *(length, b"\x45\x45"),
            *(to, b"\x23", integer(end), b"\x49", and_),
            *(to, wide, length, wide, b"\x7c", b"\x23", integer(start), wide, b"\x56", and_),
            *(b"\x04\x40\x00\x0b", to, b"\x20\x01", length, instruction, b"\x0b"),
        )
    )
