"""Refusals, revocations and status."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from schemas.attestation import RoleName
from schemas.base import Counter, Digest, Message, Name, Text, Time, at, text_only
from schemas.kinds import State
from schemas.reason import Reason

ReasonCode = Annotated[Reason, Field(strict=False), BeforeValidator(text_only)]
StateName = Annotated[State, Field(strict=False), BeforeValidator(text_only)]
RevocationKind = Literal["chip", "measurement", "model", "credential", "key"]


class Refusal(Message):
    """Why something was refused: which claim, what was expected, what was found, which line decided (P13)."""

    reason: ReasonCode = at(1)
    time: Time = at(2)
    claim: Text | None = at(3, None)
    expected: Text | None = at(4, None)
    found: Text | None = at(5, None)
    policy: Text | None = at(6, None)
    retry_after: int | None = at(7, None, ge=0, le=86_400)


class Revocation(Message):
    """One thing that must stop. `identifier`: chip, measurement, module digest, credential identifier or thumbprint."""

    kind: RevocationKind = at(1)
    identifier: Annotated[bytes, Field(min_length=16, max_length=32)] = at(2)
    time: Time = at(3)


class RevocationList(Message):
    """All that is revoked in a fleet, signed by the authority. `sequence` only ever grows (P8, P9)."""

    fleet: Name = at(1)
    sequence: Counter = at(2)
    issued: Time = at(3)
    expires: Time = at(4)
    entries: tuple[Revocation, ...] = at(5, max_length=4096)


class Status(Message):
    """The signed part of a party's status: birth and death carry the same sequence number (Sparkplug's bdSeq)."""

    fleet: Name = at(1)
    role: RoleName = at(2)
    party: Name = at(3)
    state: StateName = at(4)
    sequence: Counter = at(5)
    time: Time = at(6)
    key: Digest = at(7)
