"""What an enclave asks of its host besides publishing: the TEE's signature over its report data, and chunks.

The host may refuse, delay or lie. What it hands in is checked as if it came from the network.
"""

from dataclasses import dataclass

from protocol.party import Event


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
