"""What a file that a vendor published is, by its content: which endorsements are in it, and under which names.

    certificates     AMD's ASK or ASVK with ARK, a VCEK; Intel's TCB signing chain
    lists            of an ARK, of Intel's root and PCK CAs
    Intel's JSON     TCB info, QE identity, or all collateral in one object as dcap-qvl has it
    public keys      of PSA, CCA and EAR, and attestation keys of TPMs: somebody must say of whom

Pure. Nothing is trusted after the call; `endorsement_import` verifies.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from protocol.errors import ConfigurationError, MalformedError
from sealedge.operations.evidence_json import binary_of
from verifier.endorsements import name_of
from verifier.evidence.certificates import certificates_untrusted, common_name
from verifier.evidence.dcap_collateral import Signed, collateral_untrusted, given_untrusted
from verifier.evidence.dcap_rating import SIGNER as TCB_SIGNER
from verifier.evidence.dcap_tcb import EnclaveIdentity, TcbInfo
from verifier.evidence.documents import json_object_untrusted
from verifier.evidence.public_keys import public_key_untrusted, spki
from verifier.evidence.revocation_lists import RevocationList, crl_untrusted
from verifier.evidence.snp_certificates import endorsed_untrusted
from verifier.evidence.snp_report import SigningKey

KEY_KINDS: Final = ("psa", "cca", "ear", "tpm")
_INSTANCE_ID: Final = 33
"""Bytes of an instance id (RFC 9783 §4.2.1)."""

_LINES: Final = ("milan", "genoa", "turin")
_CRLS: Final = {
    **{f"ARK-{line.capitalize()}": f"snp/crl/{line}" for line in _LINES},
    "Intel SGX Root CA": "intel/root-crl",
    "Intel SGX PCK Platform CA": "intel/pck-crl/platform",
    "Intel SGX PCK Processor CA": "intel/pck-crl/processor",
}
_CHAINS: Final = {
    **{f"SEV-{line.capitalize()}": f"snp/chain/{line}-vcek" for line in _LINES},
    **{f"SEV-VLEK-{line.capitalize()}": f"snp/chain/{line}-vlek" for line in _LINES},
    TCB_SIGNER: "intel/tcb-signing-chain",
}
"""By the common name of the first certificate that a root issued."""


@dataclass(frozen=True, slots=True)
class Chain:
    """A certificate that is worth keeping, and those that came with it."""

    name: str
    leaf: x509.Certificate


@dataclass(frozen=True, slots=True)
class List:
    """A revocation list."""

    name: str
    crl: RevocationList


@dataclass(frozen=True, slots=True)
class Document:
    """TCB info or a QE identity: `content` is document and signature in one, as Intel's service gives them."""

    name: str
    content: bytes
    signed: Signed[TcbInfo] | Signed[EnclaveIdentity]


@dataclass(frozen=True, slots=True)
class Key:
    """A public key, as SubjectPublicKeyInfo in PEM."""

    name: str
    pem: bytes


Piece = Chain | List | Document | Key


@dataclass(frozen=True, slots=True)
class Recognised:
    """What is in one file: what is kept, and certificates that may have issued others."""

    pieces: tuple[Piece, ...]
    certificates: tuple[x509.Certificate, ...] = ()


def recognise(data: bytes, kind: str | None = None, identifier: str | None = None) -> Recognised:
    """What `data` is. `kind` and `identifier` say whose a bare key is.

    Raises `ConfigurationError` for what is not known here or cannot be named, and `MalformedError`.
    """
    data = data if data.lstrip().startswith((b"-", b"{")) else binary_of(data)
    if kind is not None:
        return Recognised((_key(data, kind, identifier),))
    if data.lstrip().startswith(b"{"):
        return _of_json(data)
    found = _of_list(data) or _of_certificates(data)
    if found is None:
        raise ConfigurationError(_hint(data))
    return found


def _of_list(data: bytes) -> Recognised | None:
    try:
        crl = crl_untrusted(data, "file")
        issuer = _common_name(crl.x509.issuer)
    except (MalformedError, ValueError):
        return None
    if issuer not in _CRLS:
        raise ConfigurationError(f"a revocation list of {issuer[:64]!a}, who is none of the vendors")
    return Recognised((List(_CRLS[issuer], crl),))


def _of_certificates(data: bytes) -> Recognised | None:
    try:
        found = certificates_untrusted(data, "file")
    except MalformedError:
        return None
    names = {common_name(each): each for each in reversed(found)}
    pieces: list[Piece] = [Chain(_CHAINS[name], each) for name, each in names.items() if name in _CHAINS]
    if "SEV-VCEK" in names:
        pieces.append(Chain(_vcek_name(names["SEV-VCEK"]), names["SEV-VCEK"]))
    if not pieces and not any(name in _CRLS for name in names):
        raise ConfigurationError(f"a certificate of {next(iter(names))[:64]!a}, which is not kept here")
    return Recognised(tuple(pieces), found)


def _of_json(data: bytes) -> Recognised:
    found = json_object_untrusted(data, "file")
    if "kty" in found:
        raise ConfigurationError(_hint(b"-----BEGIN PUBLIC KEY"))
    if "tcbInfo" in found:
        return Recognised(tuple(_pieces({"tcb_info": data})))
    if "enclaveIdentity" in found:
        return Recognised(tuple(_pieces({"qe_identity": data})))
    if "tcb_info" not in found and "qe_identity" not in found:
        raise ConfigurationError(_hint(data))
    chains = [found.get(name) for name in ("pck_crl_issuer_chain", "tcb_info_issuer_chain")]
    issuers = [certificates_untrusted(each.encode(), "chain") for each in chains if isinstance(each, str)]
    given = given_untrusted({"collateral": data})
    return Recognised(tuple(_pieces(given)), tuple(each for chain in issuers for each in chain))


def _pieces(given: Mapping[str, bytes]) -> Iterator[Piece]:
    collateral = collateral_untrusted(given)
    if collateral.tcb_info is not None:
        info = collateral.tcb_info.document
        yield Document(f"intel/tcb-info/{info.id.lower()}-{info.fmspc.hex()}", given["tcb_info"], collateral.tcb_info)
    if collateral.qe_identity is not None:
        tee = "tdx" if collateral.qe_identity.document.id == "TD_QE" else "sgx"
        yield Document(f"intel/qe-identity/{tee}", given["qe_identity"], collateral.qe_identity)
    if collateral.tcb_chain is not None:
        yield Chain(_CHAINS[TCB_SIGNER], collateral.tcb_chain[0])
    for crl in (collateral.root_crl, collateral.pck_crl):
        issuer = None if crl is None else _CRLS.get(_common_name(crl.x509.issuer))
        if crl is not None and issuer is not None:
            yield List(issuer, crl)


def _vcek_name(leaf: x509.Certificate) -> str:
    """A VCEK is for one chip and one TCB: the chip id as a report has it, the TCB as the number that it is there."""
    endorsed = endorsed_untrusted(leaf, SigningKey.VCEK)
    level = int.from_bytes(endorsed.tcb, "little")
    return f"snp/vcek/{(endorsed.chip_id or b'').hex()}-{level:016x}"


def _key(data: bytes, kind: str, identifier: str | None) -> Key:
    key = public_key_untrusted(data, "file")
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    if kind == "tpm":
        return Key(f"tpm/ak/{hashlib.sha256(spki(key)).hexdigest()}", pem)
    if identifier is None:
        what = "the verifier's issuer or key id" if kind == "ear" else "the device's instance id in hex"
        raise ConfigurationError(f"a key of kind {kind} needs --id: {what}")
    return Key(f"{kind}/key/{name_of(identifier) if kind == 'ear' else _device(identifier)}", pem)


def _device(identifier: str) -> str:
    """SHA-256 of the instance id: of the id itself, or as `evidence verify` shows it as the chip."""
    try:
        found = bytes.fromhex(identifier)
    except ValueError:
        found = b""
    if len(found) not in {_INSTANCE_ID, hashlib.sha256().digest_size}:
        raise ConfigurationError(f"--id of a device is its instance id, {_INSTANCE_ID} bytes in hex, or the SHA-256")
    return (hashlib.sha256(found).digest() if len(found) == _INSTANCE_ID else found).hex()


def _common_name(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(found[0].value) if found else ""


def _hint(data: bytes) -> str:
    if data.lstrip().startswith(b"-----BEGIN PUBLIC KEY"):
        return f"a bare key: --kind says whose it is, one of {', '.join(KEY_KINDS)}"
    return "neither certificates, nor a revocation list, nor Intel's collateral"
