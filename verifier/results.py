"""From an affirming verdict to the attestation result: EAR claims in a CWT (draft-ietf-rats-ear-04)."""

from importlib.metadata import version

from protocol.trust import confirmation
from schemas.attestation import AFFIRMING, EAR_PROFILE, Appraisal, AttestationResult, TrustVector, VerifierIdentity
from schemas.policy import AppraisalPolicy
from verifier.appraisal import Verdict
from verifier.policy import policy_id
from verifier.presentation import Subject
from verifier.records import Lease

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
        submodules=_submodules(verdict.vector, policy),
        status=AFFIRMING,
        verifier_identity=IDENTITY,
        tier=subject.tee.tier,
        sequence=sequence,
        measurement=subject.tee.measurement,
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


def _submodules(vector: TrustVector, policy: AppraisalPolicy) -> dict[str, Appraisal]:
    """One appraisal of the machine, one of what runs in it."""
    tee = TrustVector(
        instance_identity=vector.instance_identity, hardware=vector.hardware, runtime_opaque=vector.runtime_opaque
    )
    enclave = TrustVector(executables=vector.executables, configuration=vector.configuration)
    policies = (policy_id(policy),)
    return {
        "tee": Appraisal(status=AFFIRMING, vector=tee, policies=policies),
        "enclave": Appraisal(status=AFFIRMING, vector=enclave, policies=policies),
    }
