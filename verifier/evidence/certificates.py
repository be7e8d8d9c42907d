"""X.509 certificates of TEE vendors (RFC 5280), from bytes to a path that ends in a pinned root.

The general path builders refuse what these vendors issue (serial number 0, RSASSA-PSS, no extended key usage), so
a path is given in order, leaf first, and each link is checked here with the library's own signature check.
"""

import re
import warnings
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import pairwise
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from protocol.errors import Finding, FreshnessError, MalformedError
from schemas.reason import Reason
from verifier.evidence.examination import Examination

MAX_CERTIFICATES: Final = 8
MAX_CERTIFICATE: Final = 16_384
"""Bytes of one certificate; the largest of these vendors has 1,800."""

MAX_RSA_BITS: Final = 4096
RSA_EXPONENTS: Final = range(65537, (1 << 32) + 1)
"""Of keys that verify: longer ones cost a verifier more than evidence is worth, smaller ones are no vendor's."""

UNREADABLE_EXTENSIONS: Final = (
    ValueError,
    TypeError,
    KeyError,
    UnsupportedAlgorithm,
    x509.ExtensionNotFound,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
"""What the library raises for extensions that are missing, or that it cannot read: one spoils all.

TypeError and KeyError it raises for a TLS feature (RFC 7633) that is none of its enumeration.
"""

_STRONG = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_PEM: Final = b"-----BEGIN "
_PEM_END: Final = re.compile(rb"-----END [A-Z0-9 ]+-----[\0 \t\r\n]*\Z")
"""Intel's chains end in NUL, others in blanks."""


def certificate_untrusted(data: bytes, name: str) -> x509.Certificate:
    """One certificate, DER or PEM. Raises `MalformedError` that names `name`. Nothing in it is trusted."""
    found = certificates_untrusted(data, name)
    if len(found) != 1:
        finding = Finding(name, "one certificate", f"{len(found)}")
        raise MalformedError(f"{name}: more than one certificate", finding=finding)
    return found[0]


def certificates_untrusted(data: bytes, name: str) -> tuple[x509.Certificate, ...]:
    """One certificate in DER, or up to `MAX_CERTIFICATES` in PEM, in their order. Raises `MalformedError`."""
    if len(data) > MAX_CERTIFICATES * MAX_CERTIFICATE:
        finding = Finding(name, f"at most {MAX_CERTIFICATES * MAX_CERTIFICATE} bytes", str(len(data)))
        raise MalformedError(f"{name} is too large", reason=Reason.OVERSIZED, finding=finding)
    try:
        found = _parsed(data)
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion):
        raise MalformedError(
            f"{name} is not a certificate", finding=Finding(name, "X.509, DER or PEM", f"{len(data)} bytes")
        ) from None
    if len(found) > MAX_CERTIFICATES:
        finding = Finding(name, f"at most {MAX_CERTIFICATES} certificates", str(len(found)))
        raise MalformedError(f"{name} has too many certificates", reason=Reason.OVERSIZED, finding=finding)
    return found


@lru_cache(maxsize=512)
def _parsed(data: bytes) -> tuple[x509.Certificate, ...]:
    with warnings.catch_warnings():
        # AMD's chips have certificates of serial number 0, which RFC 5280 §4.1.2.2 does not allow.
        warnings.simplefilter("ignore")
        if is_pem(data):
            found = tuple(x509.load_pem_x509_certificates(data))
        else:
            found = (x509.load_der_x509_certificate(data),)
        for certificate in found:
            check_form(certificate)
    return found


def is_pem(data: bytes) -> bool:
    """Whether it is PEM. Text may stand before a block (RFC 7468 §2), nothing but blanks and NUL after the last one.

    Raises `ValueError` where something does.
    """
    if not data.lstrip().startswith(_PEM):
        return False
    if _PEM_END.search(data) is None:
        raise ValueError("bytes after the last block")
    return True


def check_form(found: x509.Certificate | x509.CertificateRevocationList) -> None:
    """Read now, and once, what the library reads late: names that are none raise here and nowhere after.

    No signature covers the count of unused bits in the BIT STRING around it (X.690 §8.6.2.2): it must be zero.
    Raises `ValueError`.
    """
    _names = (found.issuer, found.subject if isinstance(found, x509.Certificate) else None)
    if found.public_bytes(Encoding.DER)[-len(found.signature) - 1] != 0:
        raise ValueError("a signature that is not of whole bytes")


@lru_cache(maxsize=1024)
def fingerprint(certificate: x509.Certificate) -> bytes:
    """SHA-256 over the certificate's DER: what roots are pinned by."""
    return certificate.fingerprint(hashes.SHA256())


def verify_path(
    path: Sequence[x509.Certificate], roots: frozenset[bytes], now: float, examination: Examination, name: str
) -> None:
    """Check that `path`, leaf first, ends in one of `roots`, each certificate issued by the next and in time at `now`.

    After the call the leaf's key is the vendor's word. Raises `AuthenticationError` (unknown-signer,
    signature-invalid) and `FreshnessError` (expired, not-yet-valid). Signatures that held are remembered, times not.
    """
    root = path[-1]
    pinned = " or ".join(sorted(each.hex()[:16] for each in roots))
    examination.demand(
        fingerprint(root) in roots,
        f"{name}.root",
        pinned,
        fingerprint(root).hex()[:16],
        "the chain does not end in a pinned root",
        reason=Reason.UNKNOWN_SIGNER,
    )
    for below, (subject, issuer) in enumerate(pairwise(path)):
        examination.signature_checked(
            _is_issued_by(subject, issuer), f"{name}.{common_name(subject)}", common_name(issuer)
        )
        is_ca = _may_issue(issuer, below)
        found = "a CA" if is_ca else "none, or one of shorter paths"
        examination.demand(is_ca, f"{name}.{common_name(issuer)}", "a CA", found, "an issuer that may not issue")
    for certificate in path:
        check_time(certificate, now, examination, f"{name}.{common_name(certificate)}")


def check_time(certificate: x509.Certificate, now: float, examination: Examination, name: str) -> None:
    """Raises `FreshnessError` (expired, not-yet-valid) where `now` is outside the certificate's validity."""
    begins, ends = certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()
    check_window(begins, ends, now, examination, name)


def check_window(begins: float, ends: float, now: float, examination: Examination, name: str) -> None:
    """Raises `FreshnessError` (expired, not-yet-valid) where `now` is outside; all three in seconds since the epoch."""
    examination.demand(
        begins <= now <= ends,
        f"{name}.validity",
        f"{_day(begins)} to {_day(ends)}",
        _day(now),
        f"{name} is not valid at this time",
        error=FreshnessError,
        reason=Reason.NOT_YET_VALID if now < begins else Reason.EXPIRED,
    )


@lru_cache(maxsize=1024)
def _is_issued_by(subject: x509.Certificate, issuer: x509.Certificate) -> bool:
    if not has_strong_hash(subject) or not _has_bounded_key(issuer):
        return False
    try:
        subject.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def is_bounded(key: rsa.RSAPublicKey) -> bool:
    """Whether verifying with `key` takes no longer than with those of the vendors."""
    return key.key_size <= MAX_RSA_BITS and key.public_numbers().e in RSA_EXPONENTS


def _has_bounded_key(certificate: x509.Certificate) -> bool:
    # A chain is verified from its leaf on: an issuer's key is used before anybody vouches for it.
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return False
    return not isinstance(key, rsa.RSAPublicKey) or is_bounded(key)


def has_strong_hash(signed: x509.Certificate | x509.CertificateRevocationList) -> bool:
    """Whether it is signed over a SHA-2 of at least 256 bits: under SHA-1, a signature can be of something else."""
    try:
        return isinstance(signed.signature_hash_algorithm, _STRONG)
    except UnsupportedAlgorithm:
        return False


@lru_cache(maxsize=256)
def _may_issue(issuer: x509.Certificate, below: int) -> bool:
    """RFC 5280 §4.2.1.9, §4.2.1.3: a CA, of enough path length, whose key may sign certificates."""
    try:
        constraints = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
    except UNREADABLE_EXTENSIONS:
        return False
    if not constraints.ca or (constraints.path_length is not None and below > constraints.path_length):
        return False
    try:
        return issuer.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except x509.ExtensionNotFound:
        return True


@lru_cache(maxsize=1024)
def _day(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@lru_cache(maxsize=512)
def common_name(certificate: x509.Certificate) -> str:
    """Its common name, for a trace."""
    try:
        found = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    except ValueError:
        return "certificate"
    return str(found[0].value)[:64] if found else "certificate"
