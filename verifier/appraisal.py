"""The appraisal: claims, reference values and policy give a status, a trustworthiness vector and a trace (P13).

Pure: the same subject, policy, revocations and time give the same verdict, so that a policy can be tried on
evidence of the past. Every check is made and stands in the trace; the first that does not hold decides.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from hmac import compare_digest

from protocol.attestation import report_data
from protocol.errors import AppraisalError, Finding
from protocol.revocation import Revocations
from protocol.trust import CLOCK_SKEW
from schemas.attestation import AFFIRMING, ENCLAVE_PROFILE, TrustVector
from schemas.policy import AppraisalPolicy
from schemas.reason import Reason
from schemas.status import RevocationKind
from verifier.checks import (
    CONTRAINDICATED_RUNTIME,
    CRYPTO_VALIDATION_FAILED,
    UNRECOGNIZED_INSTANCE,
    UNSUPPORTABLE_CONFIGURATION,
    UNTRUSTWORTHY_INSTANCE,
    Aspect,
    Check,
    deciding,
    status_of,
    submodule_of,
    vector_of,
)
from verifier.judgement import judge
from verifier.policy import policy_id
from verifier.presentation import Subject
from verifier.reference_values import measurement_digest


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the appraisal came to. `status` is `AFFIRMING` only if every line of the trace holds."""

    status: int
    vector: TrustVector
    trace: tuple[Check, ...]

    @property
    def deciding(self) -> Check | None:
        """The first line that does not hold."""
        return deciding(self.trace)

    def affirm(self) -> None:
        """Raises `AppraisalError` with the deciding finding unless the verdict affirms."""
        check = self.deciding
        if check is not None:
            raise check.error


def appraise(subject: Subject, policy: AppraisalPolicy, revocations: Revocations, now: float) -> Verdict:
    """Hold a subject against reference values, enrolment, revocations and policy. Raises nothing."""
    ours = _checks(subject, policy, revocations, now)
    placed = (replace(check, submodule=submodule_of(subject.tee, check.aspect)) for check in ours)
    trace = (*placed, *judge(subject.tee, policy, now))
    return Verdict(status_of(trace), vector_of(trace), trace)


def _checks(subject: Subject, policy: AppraisalPolicy, revocations: Revocations, now: float) -> Iterator[Check]:
    line = policy_id(policy)
    # First what makes the claims the enclave's own; before that, nothing they say means anything.
    yield _binding(subject)
    yield from _address(subject)
    yield _time(subject, now)
    yield from _revocations(subject, revocations)
    yield _chip(subject, policy, line)
    if policy.reference_values.configurations:
        yield _configuration(subject, policy, line)
    if policy.enclave.confinement:
        yield _confinement(subject, policy, line)


def _binding(subject: Subject) -> Check:
    """P5: one hash binds the TEE's evidence to nonce, fleet, agent, both keys and every claim."""
    bound, found = report_data(subject.challenge, subject.document, subject.signing_key, subject.kem_key), subject.tee
    # A TPM signs 32 bytes.
    expected = sha256(bound).digest() if len(found.report_data) == 32 else bound
    holds = compare_digest(expected, found.report_data)
    return Check(
        Finding("tee.report-data", expected.hex()[:16], found.report_data.hex()[:16]),
        holds,
        Reason.BINDING_MISMATCH,
        "the evidence is not bound to this nonce, agent, claims and keys",
        "instance_identity",
        AFFIRMING if holds else CRYPTO_VALIDATION_FAILED,
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
        ("measurement", measurement_digest(subject.tee.measurement), "executables", CONTRAINDICATED_RUNTIME),
        ("key", subject.signing_key.thumbprint, "instance_identity", UNTRUSTWORTHY_INSTANCE),
    ]
    if subject.tee.chip is not None:
        named.append(("chip", subject.tee.chip, "instance_identity", UNTRUSTWORTHY_INSTANCE))
    for kind, identifier, aspect, value in named:
        holds = _is_current(revocations, kind, identifier)
        finding = Finding(kind, "not revoked", identifier.hex()[:16], f"revocations#{revocations.sequence}")
        yield Check(finding, holds, Reason.REVOKED, f"this {kind} is revoked", aspect, AFFIRMING if holds else value)


def _is_current(revocations: Revocations, kind: RevocationKind, identifier: bytes) -> bool:
    try:
        revocations.check(kind, identifier)
    except AppraisalError:
        return False
    return True


def _chip(subject: Subject, policy: AppraisalPolicy, line: str) -> Check:
    """P5: any genuine machine is not enough. Evidence that names none fits no enrolment, unless the policy says so."""
    chip, chips = subject.tee.chip, subject.enrolment.chips
    unnamed = chip is None and subject.tee.tier in policy.chips.unnamed
    listed = chip is not None and chip in chips
    return Check(
        Finding(
            "tee.chip",
            _any_of(chips),
            "none" if chip is None else chip.hex()[:16],
            f"{line} chips.unnamed" if chip is None else "enrolment",
        ),
        listed or unnamed,
        Reason.CHIP_NOT_ALLOWED,
        "the enrolment does not name this chip",
        "instance_identity",
        AFFIRMING if listed else None if unnamed else UNRECOGNIZED_INSTANCE,
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


def _confinement(subject: Subject, policy: AppraisalPolicy, line: str) -> Check:
    """What the process has given up, by its own word: believed because the measurement is."""
    claimed = subject.claims.confinement or ()
    missing = [each for each in policy.enclave.confinement if each not in claimed]
    return Check(
        Finding(
            "claims.confinement",
            " ".join(policy.enclave.confinement),
            f"without {' '.join(missing)}" if missing else " ".join(claimed),
            f"{line} enclave.confinement",
        ),
        not missing,
        Reason.EVIDENCE_INVALID,
        "the enclave's process has not given up what the policy demands",
        "configuration",
        UNSUPPORTABLE_CONFIGURATION if missing else AFFIRMING,
    )


def _any_of(digests: frozenset[bytes]) -> str:
    """The beginnings of a few digests, for a finding."""
    shown = sorted(each.hex()[:16] for each in digests)
    return " or ".join(shown[:4]) + (f" or {len(shown) - 4} others" if len(shown) > 4 else "") or "none"
