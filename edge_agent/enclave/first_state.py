"""An instance put back to the state in which it first was, so that it serves another request (ADR 32).

    what may change                                   how it is put back
    memory that is not constant, and was zero         zeros are written over it
    memory that is not constant, and was not zero     a copy is written over it
    mutable globals                                   their values are set
    the memory's size                                 cannot be: such an instance is not used again

Nothing else of an instance changes in a module that `restorable` marks: its tables and segments stay as they are, its
constants cannot be written. All of the rest is written over, whatever the module did or says that it did.
"""

import ctypes
from itertools import groupby, takewhile
from typing import Final

from edge_agent.enclave.direct import Exports, Global, Memory
from edge_agent.enclave.restorable import GLOBAL_NAME, MOST_GLOBALS, RESTORABLE

MOST_WRITTEN: Final = 16 * 1024 * 1024
"""Bytes: more than these are not written over, a new instance is made instead."""

STRETCH: Final = 64 * 1024
"""Bytes that are zero as a whole, or are copied: few calls put back even memory of which each other page is zero."""

_ZEROS: Final = bytes(STRETCH)


def is_restorable(exports: Exports, written_bytes: int) -> bool:
    """Whether all that a module's code may change is within reach, and little enough."""
    return written_bytes <= MOST_WRITTEN and exports.kind(RESTORABLE) == "memory"


class FirstState:
    """The state of an instance that `is_restorable`, as it is when this is made."""

    def __init__(self, exports: Exports, memory: Memory, constants: range) -> None:
        """`constants` are the addresses in the memory that nobody may write."""
        self._memory, self._size = memory, memory.size()
        self._globals = _mutable_globals(exports)
        self._zeros: list[tuple[int, int, int]] = []
        self._copies: list[tuple[int, bytes, int]] = []
        for addresses in (range(constants.start), range(constants.stop, self._size)):
            self._note(addresses)

    def put_back(self) -> bool:
        """Whether the instance is as it first was: if not, it must not be used again."""
        if self._memory.size() != self._size:
            return False
        for each in self._zeros:
            ctypes.memset(*each)
        for copy in self._copies:
            ctypes.memmove(*copy)
        for value in self._globals:
            value.put_back()
        return True

    def _note(self, addresses: range) -> None:
        base = self._memory.address
        stretches = ((base + at, min(STRETCH, addresses.stop - at)) for at in addresses[::STRETCH])
        contents = ((at, ctypes.string_at(at, length)) for at, length in stretches)
        for is_zero, found in groupby(contents, key=lambda each: each[1] == _ZEROS[: len(each[1])]):
            parts = list(found)
            start, held = parts[0][0], b"".join(data for _, data in parts)
            if is_zero:
                self._zeros.append((start, 0, len(held)))
            else:
                self._copies.append((start, held, len(held)))


def _mutable_globals(exports: Exports) -> list[Global]:
    names = map(GLOBAL_NAME.format, range(MOST_GLOBALS))
    found = [exports.a_global(name) for name in takewhile(exports.kind, names)]
    for each in found:
        each.keep()
    return found
