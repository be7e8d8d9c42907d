"""What an enclave asks of its host besides publishing: the TEE's signature over its report data, chunks, safe keeping.

The host may refuse, delay or lie. What it hands in is checked as if it came from the network.
"""

from dataclasses import dataclass, field
from typing import Final

from protocol.party import Event

MAX_SEALED: Final = 2**28
"""Bytes of a model that is sealed for the next start. A larger one is fetched and compiled anew."""


@dataclass(frozen=True, slots=True)
class EvidenceNeeded(Event):
    """The TEE shall sign `report_data` (64 bytes); answered by `evidence_collected` with the same `token`."""

    token: bytes
    report_data: bytes


@dataclass(frozen=True, slots=True)
class ChunksNeeded(Event):
    """The encrypted chunks of a model, by SHA-256 digest; answered by `chunks_collected` in the same order."""

    model: str
    digests: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class SealedModelNeeded(Event):
    """What the host keeps of this model; answered by `sealed_model_read`, with nothing where it keeps nothing."""

    model: str


@dataclass(frozen=True, slots=True)
class ModelSealed(Event):
    """For the host to keep until the next start; it can read none of it.

    `code` is empty where the lease alone is new: the code that was kept before goes with it. `size` is that of all
    the code, of which the boundary carries one part at a time.
    """

    model: str
    lease: bytes = field(repr=False)
    code: bytes = field(repr=False)
    size: int


@dataclass(frozen=True, slots=True)
class SealedModelEnded(Event):
    """What the host keeps of this model opens nothing any more: it shall delete it."""

    model: str
