"""What every kind of TEE evidence is reduced to, and what an appraiser of one kind must do.

    parts ─parse─> structure ─verify the chain─> authentic claims ─> TeeClaims

One file a kind. A new kind is one file beside this one, its parts in `schemas.evidence` and one line in the
registry (`verifier.evidence`). Nothing is fetched: certificates and other endorsements travel with the evidence or
come from the verifier's own folder (`Endorsements`); what they end in, the vendor's root, is pinned
(`verifier.evidence.roots`) and handed to the constructor. Time is handed in.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from protocol.errors import Finding, MalformedError
from schemas.evidence import EvidenceFormat
from schemas.kinds import Tier
from verifier.evidence.examination import Examination

Parts = Mapping[str, bytes]
"""Pieces of evidence and endorsements by the names that `schemas.evidence` gives them."""

Claim = bytes | str | int | bool | None | tuple["Claim", ...] | Mapping[str, "Claim"]
"""What a TEE says of one thing. Maps have text keys; `a.b` names an entry of an entry."""


class TcbStatus(StrEnum):
    """How a vendor rates the firmware that evidence reports (Intel PCS API v4), and what became of asking."""

    UP_TO_DATE = "UpToDate"
    SW_HARDENING_NEEDED = "SWHardeningNeeded"
    CONFIGURATION_NEEDED = "ConfigurationNeeded"
    CONFIGURATION_AND_SW_HARDENING_NEEDED = "ConfigurationAndSWHardeningNeeded"
    OUT_OF_DATE = "OutOfDate"
    OUT_OF_DATE_CONFIGURATION_NEEDED = "OutOfDateConfigurationNeeded"
    REVOKED = "Revoked"
    NONE_MATCHES = "none-matches"
    UNDETERMINED = "undetermined"


@dataclass(frozen=True, slots=True)
class TeeClaims:
    """What a TEE said, authentic but not yet appraised: its signature chain holds, its content may not please.

    `chip`           SHA-256 of what names this one machine; None where the evidence has no such name
    `measurement`    32, 48 or 64 bytes, as the TEE gives them
    `earlier`        other measurements of the same boot, where the TEE keeps them (TPM): all must please
    `report_data`    what the enclave had signed: 64 bytes, or the SHA-256 of those where the TEE signs 32
    `debug`          set where the host may look into the enclave
    `opaque`         whether the TEE hides memory from the host at all: a TPM does not
    `tcb_status`     None where the kind's vendor rates no firmware
    `claims`         all that the evidence says, by names that policies use
    """

    tier: Tier
    chip: bytes | None
    measurement: bytes
    report_data: bytes
    debug: bool
    earlier: tuple[bytes, ...] = ()
    opaque: bool = True
    tcb_status: TcbStatus | None = None
    advisories: tuple[str, ...] = ()
    claims: Mapping[str, Claim] = field(default_factory=dict)


def required(parts: Parts, name: str) -> bytes:
    """The part of this name. Raises `MalformedError` where there is none."""
    part = parts.get(name)
    if part is None:
        finding = Finding(name, "a part of this name", " and ".join(sorted(parts)) or "none")
        raise MalformedError(f"the evidence has no {name}", finding=finding)
    return part


class Endorsements(Protocol):
    """The verifier's own folder of endorsements, read before it is needed (RFC 9334 §8.2)."""

    def find(self, name: str) -> bytes | None:
        """The endorsement of this name, such as `snp/chain/milan-vcek`. It is trusted no more than one that travels."""


class Appraiser(Protocol):
    """Parses and verifies one kind of evidence."""

    @property
    def form(self) -> EvidenceFormat:
        """The parts that it takes."""

    def appraise_untrusted(self, parts: Parts, now: float, examination: Examination) -> TeeClaims:
        """Returns the claims: signed by a chip whose chain ends where this kind's chains must, valid at `now`.

        Every check goes through `examination`, so that what was looked at can be shown whatever the outcome. Raises
        `MalformedError`, `UnsupportedError`, `AuthenticationError`, `FreshnessError`, `AppraisalError` and nothing
        else, in bounded time. Whether the claims are the expected ones is for `verifier.appraisal`; debug modes
        and TCB levels are claims too, and no reason to raise.
        """
