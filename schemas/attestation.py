"""Credentials, challenges, evidence and attestation results (RFC 8392, RFC 8747, RFC 9711, EAR draft -04)."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from schemas.base import (
    CoseKeyMap,
    Counter,
    Digest,
    Document,
    Identifier,
    Message,
    Name,
    Nonce,
    Text,
    Time,
    at,
    text_only,
)
from schemas.kinds import Role, Tier

EAR_PROFILE = "tag:ietf.org,2026:rats/ear#03"
ENCLAVE_PROFILE = "tag:sealedge.dev,2026:enclave#1"
SIMULATED_PROFILE = "tag:sealedge.dev,2026:simulated#1"
SIMULATED_MEDIA_TYPE = "application/vnd.sealedge.simulated-evidence+cose"

AFFIRMING, WARNING, CONTRAINDICATED = 2, 32, 96
"""AR4SI trustworthiness tiers (draft-ietf-rats-ar4si)."""

MAX_WRAPPED_EVIDENCE = 131_072
"""Bytes: a quote with its collateral takes some 25,000, a TPM's with the log of a long boot 60,000."""

WrappedEvidence = Annotated[bytes, Field(min_length=1, max_length=MAX_WRAPPED_EVIDENCE)]
RoleName = Annotated[Role, Field(strict=False), BeforeValidator(text_only)]
TierName = Annotated[Tier, Field(strict=False), BeforeValidator(text_only)]


class Confirmation(Message):
    """`cnf` (RFC 8747 §3.1): the signing key, and the KEM key beside it under a private label."""

    signing_key: CoseKeyMap = at(1)
    kem_key: CoseKeyMap | None = at(-70003, None)


class Credential(Message):
    """A CWT by which the authority vouches for a party; for an agent it is the enrolment.

    `chips` lists the TEE chips an agent may run on: the allow-list of P5.
    """

    issuer: Name = at(1)
    subject: Name = at(2)
    fleet: Name = at(3)
    expires: Time = at(4)
    not_before: Time = at(5)
    issued: Time = at(6)
    identifier: Identifier = at(7)
    confirmation: Confirmation | None = at(8, None)
    role: RoleName = at(-70001)
    chips: tuple[Digest, ...] | None = at(-70002, None, max_length=64)


class LoadedModel(Message):
    """A model that an enclave holds."""

    model: Name = at(1)
    version: Counter = at(2)
    digest: Digest = at(3)


class AttestationRequest(Message):
    """An enclave asks to be challenged. Signed by its new key, with the enrolment beside it: a hint, not a claim."""

    fleet: Name = at(1)
    agent: Name = at(2)
    confirmation: Confirmation = at(3)
    boot: Identifier = at(4)
    issued: Time = at(5)
    purpose: Text = at(6)


class Challenge(Message):
    """The verifier's nonce, with what it will accept as an answer."""

    fleet: Name = at(1)
    agent: Name = at(2)
    verifier: Name = at(3)
    nonce: Nonce = at(4)
    issued: Time = at(5)
    expires: Time = at(6)
    purpose: Text = at(7)
    algorithms: tuple[int, ...] = at(8, min_length=1, max_length=16)
    formats: tuple[Text, ...] = at(9, min_length=1, max_length=16)


class EnclaveClaims(Message):
    """An EAT claims set (RFC 9711): all that the enclave says of itself. Trusted only through report data.

    `confinement` are words for what the enclave's process has given up, in order: worth what the measurement is.
    """

    agent: Name = at(2)
    fleet: Name = at(3)
    issued: Time = at(6)
    confirmation: Confirmation = at(8)
    nonce: Nonce = at(10)
    profile: Text = at(265)
    configuration: Digest = at(-70011)
    models: tuple[LoadedModel, ...] = at(-70012, max_length=16)
    boot: Identifier = at(-70013)
    confinement: tuple[Name, ...] | None = at(-70015, None, min_length=1, max_length=32)


class Evidence(Message):
    """Signed by the enclave's new key: its claims, the TEE's evidence over them, and the enrolment.

    `wrapped` is a CMW record (RFC 9999 §3.1): media type and evidence bytes (`schemas.evidence`).
    """

    claims: Document = at(1)
    wrapped: tuple[Text, WrappedEvidence] = at(2)
    enrolment: Document = at(3)


class SimulatedEvidence(Message):
    """What the simulated TEE signs with its chip key. It has the shape of hardware evidence and none of its worth."""

    chip: Digest = at(256)
    report_data: Annotated[bytes, Field(min_length=64, max_length=64)] = at(10)
    measurement: Digest = at(-70010)
    debug: bool = at(263)
    profile: Text = at(265)
    chip_key: CoseKeyMap = at(-70014)


class VerifierIdentity(Message):
    """EAR `verifier-id`."""

    developer: Text = at(0)
    build: Text = at(1)


class TrustVector(Message):
    """AR4SI trustworthiness vector: claims from -128 to 127; below 32 affirms, to 95 warns, from 96 contraindicates."""

    instance_identity: int | None = at(0, None, ge=-128, le=127)
    configuration: int | None = at(1, None, ge=-128, le=127)
    executables: int | None = at(2, None, ge=-128, le=127)
    file_system: int | None = at(3, None, ge=-128, le=127)
    hardware: int | None = at(4, None, ge=-128, le=127)
    runtime_opaque: int | None = at(5, None, ge=-128, le=127)
    storage_opaque: int | None = at(6, None, ge=-128, le=127)
    sourced_data: int | None = at(7, None, ge=-128, le=127)


class Appraisal(Message):
    """EAR appraisal of one submodule."""

    status: int = at(1000)
    vector: TrustVector | None = at(1001, None)
    policies: tuple[Text, ...] | None = at(1003, None, max_length=8)


class AttestationResult(Message):
    """EAR claims in a CWT: the passport of an agent's enclave, and a lease until `expires`.

    `sequence` only ever grows for an agent: a lower one than already seen is a stale retained copy (P8).
    """

    verifier: Name = at(1)
    agent: Name = at(2)
    fleet: Name = at(3)
    expires: Time = at(4)
    issued: Time = at(6)
    confirmation: Confirmation = at(8)
    nonce: Nonce = at(10)
    profile: Text = at(265)
    submodules: dict[str, Appraisal] = at(266, min_length=1, max_length=8)
    status: int = at(1000)
    verifier_identity: VerifierIdentity = at(1004)
    tier: TierName = at(-70020)
    sequence: Counter = at(-70021)
    measurement: Digest = at(-70022)
    configuration: Digest = at(-70023)
    models: tuple[LoadedModel, ...] = at(-70024, max_length=16)
    chip: Digest | None = at(-70025, None)
