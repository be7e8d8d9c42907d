"""From Intel's root to an attestation key: PCK certificate, quoting enclave (QE), quote.

    root ─▶ PCK CA ─▶ PCK certificate ─▶ QE report ─▶ attestation key ─▶ header and body

A platform's PCK certificate names it (PPID) and its firmware (TCB components) in an extension of Intel's (Intel SGX PCK
Certificate and CRL Profile Specification §1.3.5). The certificates of a quote are text that nobody signs, so the text
must be the one that its certificates make: no byte of it can differ unseen.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from dcap_qvl import PckExtension, parse_pck_extension_from_pem

from protocol.errors import AuthenticationError, Finding, MalformedError
from schemas.reason import Reason
from verifier.evidence.certificates import certificates_untrusted, common_name, verify_path
from verifier.evidence.dcap_quote import PCK_CHAIN, PCK_LEAF, PLAIN_PPID, Quote
from verifier.evidence.examination import Examination
from verifier.evidence.interface import Parts

PCK_NAME: Final = "Intel SGX PCK Certificate"
CA_NAMES: Final[Mapping[str, Literal["platform", "processor"]]] = {
    "Intel SGX PCK Platform CA": "platform",
    "Intel SGX PCK Processor CA": "processor",
}

_PPID_SIZES: Final[Mapping[int, int]] = {PLAIN_PPID: 16, 2: 256, 3: 384}
"""Bytes, by type of certification data: in plain, or encrypted to Intel and therefore not compared."""

_LINE_ENDINGS: Final = ((b"", b""), (b"\r", b"\r"), (b"\r", b""))
"""Before the line feed: of all lines but the last, and of the last."""

_EXTENSION: Final = "1.2.840.113741.1.13.1"
_FLAGS: Final = {
    "dynamic_platform": f"{_EXTENSION}.7.1",
    "cached_keys": f"{_EXTENSION}.7.2",
    "smt": f"{_EXTENSION}.7.3",
}


@dataclass(frozen=True, slots=True)
class Platform:
    """What a PCK certificate says: `components` are 16 SVNs, `flags` those of a multi-package platform alone."""

    ppid: bytes
    fmspc: bytes
    pce_id: bytes
    components: bytes
    cpu_svn: bytes
    pce_svn: int
    sgx_type: int
    flags: tuple[tuple[str, bool], ...]


def pck_path_untrusted(quote: Quote, parts: Parts) -> tuple[x509.Certificate, ...]:
    """The PCK certificate and its issuers, leaf first: of the quote, or of part `pck_chain` where it has none.

    Raises `MalformedError`, and `AuthenticationError` (unknown-signer) where neither has them.
    """
    if quote.certification_type == PCK_CHAIN:
        return _embedded_untrusted(quote.certification)
    chain = parts.get("pck_chain")
    if chain is None:
        finding = Finding("pck_chain", "given, since the quote holds none", "not given")
        raise AuthenticationError(
            "no PCK certificate to check the quote with", reason=Reason.UNKNOWN_SIGNER, finding=finding
        )
    path = certificates_untrusted(chain, "pck_chain")
    _check_length(path, "pck_chain")
    if quote.certification_type == PCK_LEAF and _embedded_untrusted(quote.certification, 1) != path[:1]:
        finding = Finding("pck_chain", "the certificate that the quote holds", "another")
        raise MalformedError("the PCK certificates of quote and chain differ", finding=finding)
    return path


def verify_quote(
    quote: Quote, path: tuple[x509.Certificate, ...], roots: frozenset[bytes], now: float, examination: Examination
) -> Platform:
    """Returns the platform: header and body of `quote` are signed by a key that an enclave on it vouches for.

    Which enclave that is remains to be judged. Raises `AuthenticationError`, `FreshnessError`, and `MalformedError`
    for a certificate without Intel's extension or certification data of another platform.
    """
    verify_path(path, roots, now, examination, "pck")
    leaf, ca = path[0], path[1]
    for holds, certificate, expected in (
        (common_name(leaf) == PCK_NAME, leaf, PCK_NAME),
        (common_name(ca) in CA_NAMES, ca, " or ".join(CA_NAMES)),
    ):
        found = common_name(certificate)
        message = "not the chain of a PCK certificate"
        examination.demand(holds, "pck.subject", expected, found, message, reason=Reason.UNKNOWN_SIGNER)
    platform = _platform(leaf)
    _check_certification_data(quote, platform)
    vouched = is_signed_by(leaf, quote.qe_signature, quote.qe_report.content)
    examination.signature_checked(vouched, "quote.qe-report", "the PCK certificate")
    bound = hashlib.sha256(quote.attestation_key + quote.qe_authentication).digest() + bytes(32)
    holds = quote.qe_report.field("report_data") == bound
    examination.signature_checked(holds, "quote.attestation-key", "the quoting enclave")
    holds = _is_quote_signed(quote.attestation_key, quote.signed, quote.signature)
    examination.signature_checked(holds, "quote.signature", "the attestation key")
    return platform


@lru_cache(maxsize=1024)
def is_signed_by(certificate: x509.Certificate, signature: bytes, message: bytes) -> bool:
    """Whether the key of `certificate` made `signature` over `message`; remembered."""
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return False
    return ecdsa_holds(key, signature, message)


def ecdsa_holds(key: object, signature: bytes, message: bytes) -> bool:
    """Whether `key` is P-256 and made `signature`, r then s in 64 bytes, over `message` under SHA-256."""
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1" or len(signature) != 64:
        return False
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    try:
        key.verify(encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def _is_quote_signed(point: bytes, signed: bytes, signature: bytes) -> bool:
    try:
        key = _attestation_key(point)
    except ValueError:
        return False
    return ecdsa_holds(key, signature, signed)


@lru_cache(maxsize=1024)
def _attestation_key(point: bytes) -> ec.EllipticCurvePublicKey:
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\4" + point)


@lru_cache(maxsize=512)
def _embedded_untrusted(text: bytes, count: int | None = None) -> tuple[x509.Certificate, ...]:
    path = certificates_untrusted(text, "quote.certification-data")
    if not _is_plain_pem(text, path):
        finding = Finding("quote.certification-data", "certificates in PEM, and at most one NUL", "something between")
        raise MalformedError("the certificates of the quote are not in plain PEM", finding=finding)
    _check_length(path, "quote.certification-data", count)
    return path


def _is_plain_pem(text: bytes, path: tuple[x509.Certificate, ...]) -> bool:
    """Whether `text` is these certificates, in lines of one kind of ending, with empty lines at most between them."""
    lines = [line for line in text.removesuffix(b"\0").split(b"\n") if line]
    plain = b"".join(each.public_bytes(Encoding.PEM) for each in path).splitlines()
    forms = ([line + end for line in plain[:-1]] + [plain[-1] + last] for end, last in _LINE_ENDINGS)
    return any(lines == form for form in forms)


def _check_length(path: tuple[x509.Certificate, ...], name: str, count: int | None = None) -> None:
    if len(path) != (count or 3):
        finding = Finding(name, f"{count or 3} certificates", str(len(path)))
        raise MalformedError("not a chain of PCK certificate, PCK CA and root", finding=finding)


@lru_cache(maxsize=512)
def _platform(leaf: x509.Certificate) -> Platform:
    try:
        extension = parse_pck_extension_from_pem(leaf.public_bytes(Encoding.PEM))
        svns = [extension.get_value(f"{_EXTENSION}.2.{number}") for number in range(1, 17)]
        components = bytes(int.from_bytes(svn, "big") for svn in svns)
    except (ValueError, TypeError):
        finding = Finding("pck.extension", f"Intel's SGX extension, {_EXTENSION}", "none that is sound")
        raise MalformedError("the PCK certificate does not describe a platform", finding=finding) from None
    return Platform(
        ppid=extension.ppid,
        fmspc=extension.fmspc,
        pce_id=extension.pce_id,
        components=components,
        cpu_svn=extension.cpu_svn,
        pce_svn=extension.pce_svn,
        sgx_type=extension.sgx_type,
        flags=_flags(extension),
    )


def _flags(extension: PckExtension) -> tuple[tuple[str, bool], ...]:
    found = ((name, extension.get_value(oid)) for name, oid in _FLAGS.items())
    return tuple((name, any(value)) for name, value in found if value is not None)


def _check_certification_data(quote: Quote, platform: Platform) -> None:
    """Types 1 to 3: the PPID, plain or encrypted, then the platform's TCB and the PCE's id, which some leave out."""
    size = _PPID_SIZES.get(quote.certification_type)
    if size is None:
        return
    ppid, tcb = quote.certification[:size], quote.certification[size:]
    known = platform.cpu_svn + platform.pce_svn.to_bytes(2, "little")
    is_same = quote.certification_type != PLAIN_PPID or ppid == platform.ppid
    if not is_same or tcb not in (known, known + platform.pce_id):
        finding = Finding("quote.certification-data", f"those of {platform.fmspc.hex()}", "another platform's")
        raise MalformedError("the quote names another platform than its PCK certificate", finding=finding)
