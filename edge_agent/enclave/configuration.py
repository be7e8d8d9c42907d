"""What an enclave is started with: handed in by its untrusted host, measured where it decides something.

The digest of `Measured` stands in every claims set, so that a relying party sees under which authority, for which
models and within which limits an enclave runs. What lies outside it is either signed by the authority (enrolment,
revocations) or stands in the claims itself (agent).
"""

from typing import Annotated

from pydantic import Field

from protocol.messages import digest, encode_message
from schemas.base import CoseKeyMap, Document, Message, Name, Secret, at
from schemas.model import ModuleLimits

MAX_REVOCATIONS = 2**19
"""Bytes of a signed revocation list: 4096 entries of at most 60 bytes, with room."""


class EnclaveLimits(Message):
    """What an enclave spends at most. `module` caps what each manifest asks for its module.

    `cached_replies` answers are kept of each session. Of one-shots, which are sessions of one request, four times as
    many are kept in all, and as many of each sender.
    """

    sessions: int = at(1, 1024, ge=1, le=65_536)
    sessions_per_sender: int = at(2, 8, ge=1, le=1024)
    cached_replies: int = at(3, 1024, ge=1, le=65_536)
    cached_reply_bytes: int = at(4, 2**25, ge=2**16, le=2**30)
    module: ModuleLimits = at(5, ModuleLimits(memory_bytes=2**28, milliseconds=10_000, output_bytes=2**20))


class Measured(Message):
    """The part whose digest is attested: who is believed, what may be loaded, what it may use."""

    fleet: Name = at(1)
    authority: CoseKeyMap = at(2)
    models: tuple[Name, ...] = at(3, max_length=16)
    limits: EnclaveLimits = at(4, EnclaveLimits())


class EnclaveConfiguration(Message):
    """Everything that an enclave is told at its start. The enclave makes its own keys itself.

    `sealing_key` is the TEE's, for what shall outlive the enclave; without one nothing does. Where the host is not
    inside the TEE, the host sees it (ADR 28).
    """

    measured: Measured = at(1)
    agent: Name = at(2)
    enrolment: Document = at(3)
    revocations: Annotated[bytes, Field(min_length=1, max_length=MAX_REVOCATIONS)] | None = at(4, None)
    sealing_key: Secret | None = at(5, None, repr=False)

    @property
    def digest(self) -> bytes:
        """SHA-256 over the deterministic CBOR of `measured`: the claim `configuration`."""
        return digest(encode_message(self.measured))
