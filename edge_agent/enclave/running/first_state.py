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
from collections.abc import Callable
from itertools import groupby, takewhile
from typing import Final

from edge_agent.enclave.rewriting.restorable import GLOBAL_NAME, MOST_GLOBALS, RESTORABLE
from edge_agent.enclave.running.direct import Exports, Global, Memory

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
        self._memory, self._size = memory, memory.look()
        self._globals = _mutable_globals(exports)
        self._short: list[tuple[memoryview, bytes]] = []
        # Other threads of Python run meanwhile.
        self._long: list[tuple[Callable[..., object], tuple[int, bytes | int, int]]] = []
        for addresses in (range(constants.start), range(constants.stop, self._size)):
            self._note(addresses)

    def put_back(self) -> bool:
        """Whether the instance is as it first was: if not, it must not be used again."""
        if self._memory.size() != self._size:
            return False
        for part, held in self._short:
            part[:] = held
        for write, arguments in self._long:
            write(*arguments)
        for value in self._globals:
            value.put_back()
        return True

    def _note(self, addresses: range) -> None:
        stretches = (addresses[at : at + STRETCH] for at in range(0, len(addresses), STRETCH))
        for _, group in groupby(((each, self._content(each)) for each in stretches), key=lambda each: not each[1]):
            parts = list(group)
            self._note_part(range(parts[0][0].start, parts[-1][0].stop), b"".join(content for _, content in parts))

    def _content(self, addresses: range) -> bytes:
        """Nothing where it is all zero."""
        content = self._memory.view[addresses.start : addresses.stop].tobytes()
        return b"" if content == _ZEROS[: len(content)] else content

    def _note_part(self, addresses: range, content: bytes) -> None:
        length, start = len(addresses), self._memory.address + addresses.start
        if length <= STRETCH:
            part = self._memory.view[addresses.start : addresses.stop]
            self._short.append((part, content or _ZEROS[:length]))
        elif content:
            self._long.append((ctypes.memmove, (start, content, length)))
        else:
            self._long.append((ctypes.memset, (start, 0, length)))


def _mutable_globals(exports: Exports) -> list[Global]:
    names = map(GLOBAL_NAME.format, range(MOST_GLOBALS))
    found = [exports.a_global(name) for name in takewhile(exports.kind, names)]
    for each in found:
        each.keep()
    return found
