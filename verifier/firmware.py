"""Is the firmware good enough? The vendor's rating where there is one (Intel), the policy's own word where not.

That word is a minimum for AMD's firmware, and a name for all firmware of an Arm CCA platform.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from protocol.errors import Finding
from schemas.attestation import AFFIRMING
from schemas.kinds import Tier
from schemas.policy import AppraisalPolicy, SnpMinimum
from schemas.reason import Reason
from verifier.checks import CONTRAINDICATED_HARDWARE, UNRECOGNIZED_HARDWARE, UNSAFE_HARDWARE, Check
from verifier.evidence.interface import Claim, TcbStatus, TeeClaims
from verifier.expectations import claim_at
from verifier.reference_values import components_digest, documents_named, platform_line

_REPORTED: Final[Mapping[Tier, str]] = {Tier.SEV_SNP: "tcb.reported", Tier.AZURE_SEV_SNP: "hardware.tcb.reported"}

_WORST: Final[Mapping[TcbStatus, int]] = {
    TcbStatus.REVOKED: CONTRAINDICATED_HARDWARE,
    TcbStatus.NONE_MATCHES: UNRECOGNIZED_HARDWARE,
    TcbStatus.UNDETERMINED: UNRECOGNIZED_HARDWARE,
}
"""What AR4SI's hardware claim says of a status; a status that is not here has known faults, and warns."""


def firmware(tee: TeeClaims, policy: AppraisalPolicy, line: str, now: float) -> Iterator[Check]:
    """The lines about firmware; none for kinds that report none. An old level is accepted without being affirmed."""
    if tee.tcb_status is not None:
        yield _status(tee.tcb_status, policy, line)
        if tee.tcb_status is not TcbStatus.UP_TO_DATE:
            yield _advisories(tee, policy, line)
    if tee.tier in _REPORTED:
        yield _minimum(tee, policy, line)
    if tee.tier is Tier.CCA and tee.claims.get("realm"):
        yield _platform(tee, policy, line, now)


def _status(status: TcbStatus, policy: AppraisalPolicy, line: str) -> Check:
    holds = status in policy.tcb.accept
    value = _WORST.get(status, UNSAFE_HARDWARE)
    affirmed = AFFIRMING if status is TcbStatus.UP_TO_DATE else None
    return Check(
        Finding("tee.tcb", " or ".join(policy.tcb.accept) or "none", str(status), f"{line} tcb.accept"),
        holds,
        Reason.EVIDENCE_INVALID,
        "the policy does not accept firmware of this TCB status",
        "hardware",
        affirmed if holds else value,
    )


def _advisories(tee: TeeClaims, policy: AppraisalPolicy, line: str) -> Check:
    """What the vendor holds against a level: whoever accepts the level says which of it they can live with."""
    tolerated = policy.tcb.advisories_tolerated
    open_ones = [each for each in tee.advisories if each not in tolerated]
    return Check(
        Finding(
            "tee.advisories",
            " and ".join(tolerated) or "none",
            " and ".join(open_ones) or "none else",
            f"{line} tcb.advisories_tolerated",
        ),
        not open_ones,
        Reason.EVIDENCE_INVALID,
        "the firmware has faults that the policy does not tolerate",
        "hardware",
        UNSAFE_HARDWARE if open_ones else None,
    )


def _minimum(tee: TeeClaims, policy: AppraisalPolicy, line: str) -> Check:
    """AMD rates no firmware, so that the policy must: without a minimum nothing can be called new enough."""
    minimum = policy.tcb.minimum.sev_snp if tee.tier is Tier.SEV_SNP else policy.tcb.minimum.azure_sev_snp
    reported = claim_at(tee.claims, _REPORTED[tee.tier])
    missed = None if minimum is None else _missed(minimum, reported)
    return Check(
        Finding(
            "tee.tcb.reported",
            "a minimum in the policy" if minimum is None else _levels(minimum),
            "none" if minimum is None else "at least these" if missed is None else missed,
            f'{line} tcb.minimum."{tee.tier}"',
        ),
        minimum is not None and missed is None,
        Reason.EVIDENCE_INVALID,
        "the policy says nothing of this firmware"
        if minimum is None
        else "the firmware is older than the policy's minimum",
        "hardware",
        UNSAFE_HARDWARE if minimum is None or missed else AFFIRMING if minimum.model_fields_set else None,
    )


def _platform(tee: TeeClaims, policy: AppraisalPolicy, line: str, now: float) -> Check:
    """The monitor under a realm reads its memory: it must be as well known as the realm itself."""
    approved = platform_line(tee, policy, now)
    return Check(
        Finding(
            "tee.platform",
            " or ".join([*(each[:16] for each in policy.tcb.platforms[:4]), *documents_named(policy, now)]) or "none",
            (components_digest(tee) or b"").hex() or "none",
            f"{line} {approved or 'tcb.platforms'}",
        ),
        approved is not None,
        Reason.MEASUREMENT_UNKNOWN,
        "no reference value for the platform's firmware",
        "hardware",
        UNRECOGNIZED_HARDWARE if approved is None else AFFIRMING,
    )


def _missed(minimum: SnpMinimum, reported: Claim) -> str | None:
    """The first part that is older than it must be, or that is not reported at all."""
    for part, least in minimum.model_dump(exclude_none=True).items():
        found = reported.get(part) if isinstance(reported, Mapping) else None
        if not isinstance(found, int) or found < least:
            return f"{part} {found if isinstance(found, int) else 'not reported'}"
    return None


def _levels(minimum: SnpMinimum) -> str:
    named = minimum.model_dump(exclude_none=True)
    return " and ".join(f"{part} {least}" for part, least in named.items()) or "any"
