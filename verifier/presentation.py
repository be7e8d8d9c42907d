"""The evidence message: from bytes to a subject that can be appraised.

    bytes ─parse─> Presentation ─nonce consumed, then authenticated─> Subject ─> verifier.appraisal

Parsing costs no public-key operation: what answers no open nonce is refused before any is done.
"""

from dataclasses import dataclass, field

from protocol.cose import Sign1, parse_sign1_untrusted
from protocol.envelope import Address
from protocol.errors import AuthenticationError, Finding
from protocol.keys import KemPublicKey, VerifyingKey
from protocol.messages import decode_message_untrusted
from protocol.trust import Identity, Trust
from schemas.attestation import Challenge, EnclaveClaims, Evidence
from schemas.kinds import Kind, Role
from schemas.reason import Reason
from verifier.evidence import Appraisers, TeeClaims, examine_untrusted
from verifier.evidence.examination import Examination
from verifier.records import MAX_EVIDENCE_MESSAGE


@dataclass(frozen=True, slots=True)
class Presentation:
    """A well-formed evidence message. Nothing in it is trusted."""

    message: Sign1
    evidence: Evidence = field(repr=False)
    claims: EnclaveClaims


@dataclass(frozen=True, slots=True)
class Subject:
    """What is appraised. Each signature holds by itself; that the parts belong together is for the appraisal.

    `enrolment` is the authority's word on the challenged agent, in time and not revoked; `signing_key` signed the
    message; `tee` is authentic by its own chain. `claims` (`document` are their bytes) and `kem_key` are the
    signer's word until the report data is found to bind them.
    """

    challenge: Challenge
    enrolment: Identity
    claims: EnclaveClaims
    document: bytes = field(repr=False)
    signing_key: VerifyingKey
    kem_key: KemPublicKey
    tee: TeeClaims


def parse_presentation_untrusted(payload: bytes) -> Presentation:
    """Returns the message, well formed. Raises `MalformedError` or `UnsupportedError`."""
    message = parse_sign1_untrusted(payload, max_bytes=MAX_EVIDENCE_MESSAGE)
    evidence = decode_message_untrusted(Evidence, message.payload)
    return Presentation(message, evidence, decode_message_untrusted(EnclaveClaims, evidence.claims))


def authenticate_untrusted(
    presented: Presentation,
    challenge: Challenge,
    trust: Trust,
    appraisers: Appraisers,
    now: float,
    examination: Examination,
) -> Subject:
    """Returns the subject: the holder of the claimed signing key answered this challenge, here, to this verifier.

    What was looked at in the TEE's evidence is added to `examination`. Raises a `RemoteError`: the message's
    signature, the enrolment, or the TEE's own evidence does not hold.
    """
    signing_key, kem_key = _claimed_keys(presented.claims)
    address = Address(trust.topics.evidence(challenge.agent), challenge.verifier, challenge.nonce)
    aad = address.aad(Kind.EVIDENCE, signing_key.thumbprint)
    presented.message.verify(signing_key, typ=str(Kind.EVIDENCE), external_aad=aad)
    enrolment = enrolled_untrusted(presented.evidence.enrolment, challenge.agent, trust, now)
    media_type, evidence = presented.evidence.wrapped
    tee = examine_untrusted(appraisers, media_type, evidence, now, examination)
    return Subject(
        challenge=challenge,
        enrolment=enrolment,
        claims=presented.claims,
        document=presented.evidence.claims,
        signing_key=signing_key,
        kem_key=kem_key,
        tee=tee,
    )


def enrolled_untrusted(credential: bytes, agent: str, trust: Trust, now: float) -> Identity:
    """Returns the enrolment of `agent`: signed by the authority, of this fleet, in time, not revoked.

    Raises as `Trust.identify_untrusted`, and `AuthenticationError` (misaddressed) for another agent's.
    """
    identity = trust.identify_untrusted(credential, now, Role.AGENT)
    if identity.name != agent:
        finding = Finding("enrolment.subject", agent, identity.name)
        raise AuthenticationError("the enrolment of another agent", reason=Reason.MISADDRESSED, finding=finding)
    return identity


def _claimed_keys(claims: EnclaveClaims) -> tuple[VerifyingKey, KemPublicKey]:
    if claims.confirmation.kem_key is None:
        finding = Finding("claims.confirmation.kem-key", "a KEM key", "none")
        raise AuthenticationError("an enclave without a KEM key", reason=Reason.BINDING_MISMATCH, finding=finding)
    return (
        VerifyingKey.from_cose_key_untrusted(claims.confirmation.signing_key),
        KemPublicKey.from_cose_key_untrusted(claims.confirmation.kem_key),
    )
