"""The appraisal: claims, reference values and policy give a status, a trustworthiness vector and a trace (P13).

Pure: the same subject, policy, revocations and time give the same verdict, so that a policy can be tried on
evidence of the past. Every check is made and stands in the trace; the first that does not hold decides.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from hmac import compare_digest
from typing import Literal

from protocol.attestation import report_data
from protocol.errors import AppraisalError, Finding
from protocol.revocation import Revocations
from protocol.trust import CLOCK_SKEW
from schemas.attestation import AFFIRMING, CONTRAINDICATED, ENCLAVE_PROFILE, TrustVector
from schemas.kinds import Tier
from schemas.policy import AppraisalPolicy
from schemas.reason import Reason
from schemas.status import RevocationKind
from verifier.policy import policy_id
from verifier.presentation import Subject

# Values of AR4SI's trustworthiness claims (draft-ietf-rats-ar4si §2.3); 2 affirms in each.
UNTRUSTWORTHY_INSTANCE, UNRECOGNIZED_INSTANCE = 96, 97
UNRECOGNIZED_RUNTIME, CONTRAINDICATED_RUNTIME = 33, 96
UNSUPPORTABLE_CONFIGURATION = 96
UNRECOGNIZED_HARDWARE = 97
VISIBLE_MEMORY = 96
CRYPTO_VALIDATION_FAILED = 99

Aspect = Literal["instance_identity", "configuration", "executables", "hardware", "runtime_opaque"]


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the trace. Where it speaks of an aspect of the AR4SI vector, `value` is what it says of it."""

    finding: Finding
    holds: bool
    reason: Reason
    refusal: str
    aspect: Aspect | None = None
    value: int | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the appraisal came to. `status` is `AFFIRMING` only if every line of the trace holds."""

    status: int
    vector: TrustVector
    trace: tuple[Check, ...]

    @property
    def deciding(self) -> Check | None:
        """The first line that does not hold."""
        return next((check for check in self.trace if not check.holds), None)

    def affirm(self) -> None:
        """Raises `AppraisalError` with the deciding finding unless the verdict affirms."""
        check = self.deciding
        if check is not None:
            raise AppraisalError(check.refusal, reason=check.reason, finding=check.finding)


def appraise(subject: Subject, policy: AppraisalPolicy, revocations: Revocations, now: float) -> Verdict:
    """Hold a subject against reference values, enrolment, revocations and policy. Raises nothing."""
    trace = tuple(_checks(subject, policy, revocations, now))
    vector: dict[str, int] = {}
    for check in trace:
        if check.aspect is not None and check.value is not None:
            vector[check.aspect] = max(check.value, vector.get(check.aspect, 0))
    status = AFFIRMING if all(check.holds for check in trace) else CONTRAINDICATED
    return Verdict(status, TrustVector(**vector), trace)


def _checks(subject: Subject, policy: AppraisalPolicy, revocations: Revocations, now: float) -> Iterator[Check]:
    line = policy_id(policy)
    # First what makes the claims the enclave's own; before that, nothing they say means anything.
    yield _binding(subject)
    yield from _address(subject)
    yield _time(subject, now)
    yield from _revocations(subject, revocations)
    yield _chip(subject)
    yield _measurement(subject, policy, line)
    if policy.reference_values.configurations:
        yield _configuration(subject, policy, line)
    yield _debug(subject, policy, line)
    yield _tier(subject, policy, line)


def _binding(subject: Subject) -> Check:
    """P5: one hash binds the TEE's evidence to nonce, fleet, agent, both keys and every claim."""
    expected = report_data(subject.challenge, subject.document, subject.signing_key, subject.kem_key)
    holds = compare_digest(expected, subject.tee.report_data)
    return Check(
        Finding("tee.report-data", expected.hex()[:16], subject.tee.report_data.hex()[:16]),
        holds,
        Reason.BINDING_MISMATCH,
        "the evidence is not bound to this nonce, agent, claims and keys",
        "instance_identity",
        None if holds else CRYPTO_VALIDATION_FAILED,
    )


def _address(subject: Subject) -> Iterator[Check]:
    challenge, claims = subject.challenge, subject.claims
    for claim, expected, found, reason in (
        ("nonce", challenge.nonce.hex(), claims.nonce.hex(), Reason.NONCE_UNKNOWN),
        ("fleet", challenge.fleet, claims.fleet, Reason.MISADDRESSED),
        ("agent", challenge.agent, claims.agent, Reason.MISADDRESSED),
        ("profile", ENCLAVE_PROFILE, claims.profile, Reason.UNSUPPORTED),
    ):
        finding = Finding(f"claims.{claim}", expected, found)
        yield Check(finding, expected == found, reason, "the claims are of another place or kind")


def _time(subject: Subject, now: float) -> Check:
    """The nonce makes the evidence fresh; an enclave whose clock is far off would misjudge every expiry."""
    earliest, latest = subject.challenge.issued - CLOCK_SKEW, int(now) + CLOCK_SKEW
    issued = subject.claims.issued
    return Check(
        Finding("claims.issued", f"{earliest} to {latest}", str(issued)),
        earliest <= issued <= latest,
        Reason.NOT_YET_VALID if issued > latest else Reason.EXPIRED,
        "the enclave's clock differs too much",
    )


def _revocations(subject: Subject, revocations: Revocations) -> Iterator[Check]:
    """P9. The enrolment's own revocation was looked up when it was identified."""
    named: list[tuple[RevocationKind, bytes, Aspect, int]] = [
        ("measurement", subject.tee.measurement, "executables", CONTRAINDICATED_RUNTIME),
        ("key", subject.signing_key.thumbprint, "instance_identity", UNTRUSTWORTHY_INSTANCE),
    ]
    if subject.tee.chip is not None:
        named.append(("chip", subject.tee.chip, "instance_identity", UNTRUSTWORTHY_INSTANCE))
    for kind, identifier, aspect, value in named:
        holds = _is_current(revocations, kind, identifier)
        finding = Finding(kind, "not revoked", identifier.hex()[:16], f"revocations#{revocations.sequence}")
        yield Check(finding, holds, Reason.REVOKED, f"this {kind} is revoked", aspect, None if holds else value)


def _is_current(revocations: Revocations, kind: RevocationKind, identifier: bytes) -> bool:
    try:
        revocations.check(kind, identifier)
    except AppraisalError:
        return False
    return True


def _chip(subject: Subject) -> Check:
    """P5: any genuine machine is not enough. A TEE without a chip identity fits no enrolment, and is refused."""
    chip = subject.tee.chip
    holds = chip is not None and chip in subject.enrolment.chips
    return Check(
        Finding("tee.chip", _any_of(subject.enrolment.chips), "none" if chip is None else chip.hex()[:16], "enrolment"),
        holds,
        Reason.CHIP_NOT_ALLOWED,
        "the enrolment does not name this chip",
        "instance_identity",
        AFFIRMING if holds else UNRECOGNIZED_INSTANCE,
    )


def _measurement(subject: Subject, policy: AppraisalPolicy, line: str) -> Check:
    allowed = frozenset(bytes.fromhex(each) for each in policy.reference_values.measurements)
    holds = subject.tee.measurement in allowed
    return Check(
        Finding(
            "tee.measurement",
            _any_of(allowed),
            subject.tee.measurement.hex()[:16],
            f"{line} reference_values.measurements",
        ),
        holds,
        Reason.MEASUREMENT_UNKNOWN,
        "no reference value for this measurement",
        "executables",
        AFFIRMING if holds else UNRECOGNIZED_RUNTIME,
    )


def _configuration(subject: Subject, policy: AppraisalPolicy, line: str) -> Check:
    allowed = frozenset(bytes.fromhex(each) for each in policy.reference_values.configurations)
    found = subject.claims.configuration
    holds = found in allowed
    return Check(
        Finding("claims.configuration", _any_of(allowed), found.hex()[:16], f"{line} reference_values.configurations"),
        holds,
        Reason.MEASUREMENT_UNKNOWN,
        "no reference value for this configuration",
        "configuration",
        AFFIRMING if holds else UNSUPPORTABLE_CONFIGURATION,
    )


def _debug(subject: Subject, policy: AppraisalPolicy, line: str) -> Check:
    """Memory is called opaque only for a TEE of hardware that nobody debugs."""
    debug = subject.tee.debug
    holds = not debug or policy.allow_debug
    affirmed = None if debug or subject.tee.tier == Tier.SIMULATED else AFFIRMING
    return Check(
        Finding("tee.debug", "any" if policy.allow_debug else "off", "on" if debug else "off", f"{line} allow_debug"),
        holds,
        Reason.DEBUG_ENABLED,
        "the host may look into this enclave",
        "runtime_opaque",
        affirmed if holds else VISIBLE_MEMORY,
    )


def _tier(subject: Subject, policy: AppraisalPolicy, line: str) -> Check:
    """P6. Of the simulated tier nothing is claimed about hardware, even where the policy accepts it."""
    tier, accepted = subject.tee.tier, policy.tiers.accept
    holds = tier in accepted
    affirmed = None if tier == Tier.SIMULATED else AFFIRMING
    return Check(
        Finding("tee.tier", " or ".join(accepted) or "none", str(tier), f"{line} tiers.accept"),
        holds,
        Reason.TIER_NOT_ACCEPTED,
        "the policy does not accept this tier",
        "hardware",
        affirmed if holds else UNRECOGNIZED_HARDWARE,
    )


def _any_of(digests: frozenset[bytes]) -> str:
    """The beginnings of a few digests, for a finding."""
    shown = sorted(each.hex()[:16] for each in digests)
    return " or ".join(shown[:4]) + (f" or {len(shown) - 4} others" if len(shown) > 4 else "") or "none"
