"""The kinds of TEE evidence, and the parts that each is made of: what an attester sends and an appraiser reads.

The same part names stand in the collection on the wire, on the command line (`sealedge evidence verify snp
report=FILE vcek=FILE`) and in the endorsement folder. A part that endorses may travel with the evidence or be
found by the verifier, a bare key only the latter; a part that evidences must travel.
"""

from dataclasses import dataclass
from typing import Final

from schemas.attestation import SIMULATED_MEDIA_TYPE

BINARY: Final = "application/octet-stream"
CERTIFICATE: Final = "application/pkix-cert"
CERTIFICATES: Final = "application/pem-certificate-chain"
CRL: Final = "application/pkix-crl"
JSON: Final = "application/json"
COSE: Final = "application/cose"


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of evidence or endorsement. `about` is for people.

    `travels` is False for a bare key, for which only the hand that gives it vouches: that is never an attester's.
    """

    name: str
    media_type: str
    about: str
    endorses: bool = False
    travels: bool = True


@dataclass(frozen=True, slots=True)
class EvidenceFormat:
    """One kind of evidence: its name on the command line, and its media type in a CMW record."""

    name: str
    media_type: str
    parts: tuple[Part, ...]

    def part(self, name: str) -> Part | None:
        """The part of this name."""
        return next((part for part in self.parts if part.name == name), None)


def _collection(name: str, *parts: Part) -> EvidenceFormat:
    return EvidenceFormat(name, f'application/cmw+cbor; cmwc_t="{collection_type(name)}"', parts)


def collection_type(name: str) -> str:
    """The `__cmwc_t` of a kind's collection (RFC 9999 §3.3)."""
    return f"tag:sealedge.dev,2026:evidence/{name}#1"


SIMULATED = EvidenceFormat(
    "simulated", SIMULATED_MEDIA_TYPE, (Part("evidence", SIMULATED_MEDIA_TYPE, "COSE_Sign1 by a chip key"),)
)

SNP = _collection(
    "snp",
    Part("report", BINARY, "ATTESTATION_REPORT, 1184 bytes"),
    Part("vcek", CERTIFICATE, "the chip's certificate", endorses=True),
    Part("vlek", CERTIFICATE, "the cloud's certificate, in place of the chip's", endorses=True),
    Part("chain", CERTIFICATES, "ASK or ASVK, then ARK", endorses=True),
    Part("crl", CRL, "the ARK's revocation list", endorses=True),
)

_INTEL = (
    Part("quote", BINARY, "ECDSA quote"),
    Part("collateral", JSON, "all of the following in one object, as dcap-qvl has it", endorses=True),
    Part("tcb_info", JSON, "TCB info and its signature, as Intel's service gives it", endorses=True),
    Part("qe_identity", JSON, "QE identity and its signature", endorses=True),
    Part("tcb_signing_chain", CERTIFICATES, "who signed both: TCB signing certificate, then root", endorses=True),
    Part("pck_chain", CERTIFICATES, "PCK certificate and issuers, where the quote holds none", endorses=True),
    Part("pck_crl", CRL, "revocation list of the PCK CA", endorses=True),
    Part("root_crl", CRL, "revocation list of the root", endorses=True),
)

SGX = _collection("sgx", *_INTEL)
TDX = _collection("tdx", *_INTEL, Part("eventlog", BINARY, "CCEL event log, replayed into RTMR0 to 3"))

NITRO = _collection(
    "nitro",
    Part("doc", COSE, "attestation document, an untagged COSE_Sign1"),
    Part("root", CERTIFICATES, "AWS Nitro Enclaves root, believed only if it is the pinned one", endorses=True),
)

PSA = _collection(
    "psa",
    Part("token", COSE, "PSA attestation token (RFC 9783, or the older profile)"),
    Part("key", CERTIFICATES, "the device's attestation key, PEM or JWK", endorses=True, travels=False),
)

CCA = _collection(
    "cca",
    Part("token", COSE, "CCA token: tag 399, or a CMW collection (tag 907)"),
    Part("key", CERTIFICATES, "the platform's attestation key (CPAK), PEM or JWK", endorses=True, travels=False),
)

TPM = _collection(
    "tpm",
    Part("quote", BINARY, "TPMS_ATTEST"),
    Part("sig", BINARY, "TPMT_SIGNATURE"),
    Part("pcrs", JSON, "PCR values: JSON, or the blob of tpm2_quote -o"),
    Part("eventlog", BINARY, "TCG event log of the boot"),
    Part("measurements", BINARY, "what the agent extended: 32 bytes each, oldest first"),
    Part("ak", CERTIFICATES, "the attestation key: PEM, TPM2B_PUBLIC or TPMT_PUBLIC", endorses=True),
)

AZURE_VTPM = _collection(
    "azure-vtpm",
    Part("evidence", JSON, "HCL report, TPM quote and VCEK or TD quote, as Confidential Containers has it"),
    Part("collateral", JSON, "for a TD quote: as of kind tdx", endorses=True),
    Part("vcek", CERTIFICATE, "for an SNP report: in place of the one in the document", endorses=True),
    Part("chain", CERTIFICATES, "for an SNP report: ASK, then ARK", endorses=True),
    Part("crl", CRL, "for an SNP report: the ARK's revocation list", endorses=True),
    Part("eventlog", BINARY, "TCG event log of the boot"),
)

EAR = _collection(
    "ear",
    Part("token", JSON, "EAR of another verifier, JWT or CWT"),
    Part("key", CERTIFICATES, "that verifier's key, PEM or JWK", endorses=True, travels=False),
)

FORMATS: Final = {each.name: each for each in (SIMULATED, SNP, SGX, TDX, NITRO, PSA, CCA, TPM, AZURE_VTPM, EAR)}
"""By name."""
