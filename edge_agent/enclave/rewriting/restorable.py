"""What a rewritten module shows of itself so that an instance can be put back to its first state (ADR 32).

An instance's state is its memory, its mutable globals, its tables, and which of its segments were dropped. The host
reaches memory. Mutable globals are exported under names that no module can take; a module that may change a table
or drop a segment, or keeps a reference in a global, is not marked, and none of its instances is used twice.
"""

import re
from typing import Final

from edge_agent.enclave.rewriting.binary import (
    GLOBAL,
    GLOBALS,
    I64,
    MEMORY_KIND,
    U32,
    UnknownCodeError,
    end_of,
    export,
    integer_at,
)

RESTORABLE: Final = "sealedge:restorable"
"""Exported where all state is within reach: the memory of the stop page once more, for its name alone."""

GLOBAL_NAME: Final = "sealedge:global:{}"
"""Mutable globals, counted from 0, of such a module."""

MOST_GLOBALS: Final = 32
"""Putting back more than these takes as long as making an instance."""

I32, FUNCREF = 0x7F, 0x70
_NUMBERS: Final = range(0x7B, 0x80)
"""v128 and the four types of numbers (WebAssembly Core §5.3)."""

# Constant expressions (§3.3.10): constants, other globals, references, sums and products of integers.
_EXPRESSION: Final = re.compile(
    rb"(?:[\x23\x41\xd2]" + U32 + rb"|\x42" + I64 + rb"|\x43[\x00-\xff]{4}|\x44[\x00-\xff]{8}"
    rb"|\xfd\x0c[\x00-\xff]{16}|\xd0[\x00-\xff]|[\x6a-\x6c\x7c-\x7e])*+\x0b",
    re.DOTALL,
)


def globals_of(section: bytes) -> list[tuple[int, bool]]:
    """The type and mutability of each global. Raises `UnknownCodeError` where it cannot tell."""
    count, at = integer_at(section, 0) if section else (0, 0)
    found: list[tuple[int, bool]] = []
    for _ in range(count):
        head = section[at : at + 2]
        end = end_of(_EXPRESSION, section, at + 2)
        if len(head) < 2 or head[1] > 1 or end == at + 2:
            raise UnknownCodeError("a global is of an unknown form")
        found.append((head[0], bool(head[1])))
        at = end
    return found


def shown(sections: dict[int, bytes], lasting: bool, stop_memory: int) -> list[bytes]:
    """The exports that say so, of a module whose code leaves something behind that is out of reach, or does not."""
    mutable = [(index, kind) for index, (kind, changes) in enumerate(globals_of(sections.get(GLOBALS, b""))) if changes]
    if lasting or len(mutable) > MOST_GLOBALS or any(kind not in _NUMBERS for _, kind in mutable):
        return []
    names = (GLOBAL_NAME.format(place) for place in range(len(mutable)))
    return [
        export(RESTORABLE, MEMORY_KIND, stop_memory),
        *(export(name, GLOBAL, index) for name, (index, _) in zip(names, mutable, strict=True)),
    ]
