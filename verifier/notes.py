"""What the verifier says happened, for people: events without a secret, and without a payload of anybody's."""

from protocol.errors import RemoteError
from protocol.party import Noted
from schemas.attestation import AttestationResult
from verifier.presentation import Subject
from verifier.records import Lease

_SHOWN = 16
"""Hex digits of a digest that are shown."""


def challenged(agent: str, purpose: str, seconds: int | None) -> Noted:
    """A challenge was sent; `seconds` is how long it may be answered."""
    return Noted("challenged", {"agent": agent, "purpose": purpose, "seconds": seconds})


def evidence_appraised(agent: str, subject: Subject | None, error: RemoteError | None) -> Noted:
    """A nonce was answered. Tier and measurement are shown also where they did not please: they are authentic."""
    detail: dict[str, str | int | float | bool | None] = {"agent": agent, "affirmed": error is None}
    if subject is not None:
        detail |= {"tier": str(subject.tee.tier), "measurement": subject.tee.measurement.hex()[:_SHOWN]}
    if error is not None:
        detail["reason"] = str(error.reason)
    return Noted("evidence-appraised", detail)


def attestation_result_issued(result: AttestationResult) -> Noted:
    """A lease began."""
    return Noted(
        "attestation-result-issued",
        {
            "agent": result.agent,
            "tier": str(result.tier),
            "measurement": result.measurement.hex()[:_SHOWN],
            "sequence": result.sequence,
            "models": len(result.models),
            "lease_seconds": result.expires - result.issued,
        },
    )


def lease_ended(lease: Lease, why: str) -> Noted:
    """A lease ended: it was not renewed, or something that it rests on is revoked."""
    return Noted("lease-ended", {"agent": lease.agent, "why": why, "expires": lease.expires})
