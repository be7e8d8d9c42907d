"""From an affirming verdict to the attestation result: EAR claims in a CWT (draft-ietf-rats-ear-04)."""

from importlib.metadata import version

from protocol.trust import confirmation
from schemas.attestation import AFFIRMING, EAR_PROFILE, AttestationResult, VerifierIdentity
from schemas.policy import AppraisalPolicy
from verifier.appraisal import Verdict
from verifier.checks import appraisals
from verifier.policy import policy_id
from verifier.presentation import Subject
from verifier.records import Lease
from verifier.reference_values import measurement_digest

IDENTITY = VerifierIdentity(developer="sealedge", build=f"sealedge {version('sealedge')}")


def attestation_result(
    subject: Subject, verdict: Verdict, policy: AppraisalPolicy, sequence: int, now: float
) -> AttestationResult:
    """The passport of an affirmed subject, both keys confirmed in it. It ends no later than the agent's enrolment.

    Raises `AppraisalError` where the verdict does not affirm: there is no other way to a result.
    """
    verdict.affirm()
    issued = int(now)
    return AttestationResult(
        verifier=subject.challenge.verifier,
        agent=subject.challenge.agent,
        fleet=subject.challenge.fleet,
        expires=min(issued + policy.lease_seconds, subject.enrolment.expires),
        issued=issued,
        confirmation=confirmation(subject.signing_key, subject.kem_key),
        nonce=subject.challenge.nonce,
        profile=EAR_PROFILE,
        submodules=appraisals(verdict.trace, policy_id(policy)),
        status=AFFIRMING,
        verifier_identity=IDENTITY,
        tier=subject.tee.tier,
        sequence=sequence,
        measurement=measurement_digest(subject.tee.measurement),
        configuration=subject.claims.configuration,
        models=subject.claims.models,
        chip=subject.tee.chip,
    )


def lease_of(result: AttestationResult, subject: Subject, document: bytes, evidence: bytes) -> Lease:
    """What the verifier remembers of a result: `document` is the signed result, `evidence` the message's digest."""
    return Lease(
        agent=result.agent,
        issued=result.issued,
        expires=result.expires,
        measurement=result.measurement,
        chip=result.chip,
        signing_key=subject.signing_key.thumbprint,
        enrolment=subject.enrolment.identifier,
        evidence=evidence,
        document=document,
    )
