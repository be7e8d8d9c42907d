"""What kinds of messages and documents there are: the COSE `typ` of each (RFC 9596).

A document (credential, attestation result, manifest, receipt, revocation list, status) is complete in itself
and may be kept; it names its fleet and subject inside. A message is bound to the topic, the parties and the
correlation data of one exchange through its external_aad, and is refused anywhere else.
"""

from enum import StrEnum


class Kind(StrEnum):
    """The `typ` header of every COSE structure that sealedge sends."""

    # Documents
    CREDENTIAL = "application/vnd.sealedge.credential+cwt"
    ATTESTATION_RESULT = 'application/eat+cwt; eat_profile="tag:ietf.org,2026:rats/ear#03"'
    MANIFEST = "application/vnd.sealedge.manifest+cose"
    RECEIPT = "application/vnd.sealedge.receipt+cose"
    REVOCATIONS = "application/vnd.sealedge.revocations+cose"
    STATUS = "application/vnd.sealedge.status+cose"
    SIMULATED_EVIDENCE = "application/vnd.sealedge.simulated-evidence+cose"
    # Messages
    ATTESTATION_REQUEST = "application/vnd.sealedge.attestation-request+cose"
    CHALLENGE = "application/vnd.sealedge.challenge+cose"
    EVIDENCE = "application/vnd.sealedge.evidence+cose"
    KEY_REQUEST = "application/vnd.sealedge.key-request+cose"
    KEY_RELEASE = "application/vnd.sealedge.key-release+cose"
    SESSION_OPEN = "application/vnd.sealedge.session-open+cose"
    SESSION_ACCEPT = "application/vnd.sealedge.session-accept+cose"
    ONE_SHOT = "application/vnd.sealedge.one-shot+cose"
    REQUEST = "application/vnd.sealedge.request+cose"
    REPLY = "application/vnd.sealedge.reply+cose"
    RESULT = "application/vnd.sealedge.result+cose"
    REFUSAL = "application/vnd.sealedge.refusal+cose"
    CHUNK = "application/vnd.sealedge.chunk+cose"
    INDEX = "application/vnd.sealedge.index+cose"


class Role(StrEnum):
    """What the authority's credential allows its holder to be."""

    VERIFIER = "verifier"
    PUBLISHER = "publisher"
    AGENT = "agent"
    SENSOR = "sensor"
    CONSUMER = "consumer"


class Tier(StrEnum):
    """What stands behind an enclave: the kind of TEE whose evidence was appraised (P6).

    `SIMULATED` proves nothing about hardware. Only a policy that names it accepts it. `TPM` names the machine and
    its boot, and hides nothing from it. `EAR` is another verifier's attestation result, as good as that verifier.
    """

    SIMULATED = "simulated"
    SEV_SNP = "sev-snp"
    SGX = "sgx"
    TDX = "tdx"
    NITRO = "nitro"
    PSA = "psa"
    CCA = "cca"
    TPM = "tpm"
    AZURE_SEV_SNP = "azure-sev-snp"
    AZURE_TDX = "azure-tdx"
    EAR = "ear"


class State(StrEnum):
    """What a party's status says of it."""

    ONLINE = "online"
    LEFT = "left"
    LOST = "lost"
