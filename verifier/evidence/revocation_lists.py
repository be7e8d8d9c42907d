"""Revocation lists of TEE vendors (RFC 5280 §5): from bytes to whether a certificate is named.

A list without an end, or without an entry, is a list: compare with None, never by truth (an empty one is falsy).
"""

import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from protocol.errors import AppraisalError, Finding, MalformedError, UnsupportedError
from schemas.reason import Reason
from verifier.evidence.certificates import (
    UNREADABLE_EXTENSIONS,
    check_form,
    check_window,
    common_name,
    has_strong_hash,
    is_pem,
)
from verifier.evidence.examination import Examination

MAX_CRL: Final = 1 << 20
"""Bytes of one list."""


@dataclass(frozen=True, eq=False, slots=True)
class RevocationList:
    """A parsed list; the same bytes give the same object, so that its signature is checked once.

    `issued` is thisUpdate, in seconds since the epoch.
    """

    x509: x509.CertificateRevocationList
    issued: float


def crl_untrusted(data: bytes, name: str) -> RevocationList:
    """A revocation list, DER or PEM. Raises `MalformedError`. Nothing in it is trusted."""
    if len(data) > MAX_CRL:
        finding = Finding(name, f"at most {MAX_CRL} bytes", str(len(data)))
        raise MalformedError(f"{name} is too large", reason=Reason.OVERSIZED, finding=finding)
    try:
        return _parsed_crl(data)
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion):
        finding = Finding(name, "X.509 CRL, DER or PEM", f"{len(data)} bytes")
        raise MalformedError(f"{name} is not a revocation list", finding=finding) from None


@lru_cache(maxsize=64)
def _parsed_crl(data: bytes) -> RevocationList:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = x509.load_pem_x509_crl(data) if is_pem(data) else x509.load_der_x509_crl(data)
        check_form(found)
        return RevocationList(found, found.last_update_utc.timestamp())


def newest(given: RevocationList | None, held: RevocationList | None, now: float) -> RevocationList | None:
    """What travels, unless the verifier's own is newer: an older list must not hide what a newer one revokes.

    One of the future, where evidence of the past is looked at, does not count. Nothing is verified here.
    """
    if given is None or held is None:
        return held if given is None else given
    return held if given.issued < held.issued <= now else given


def verify_crl(crl: RevocationList, issuer: x509.Certificate, now: float, examination: Examination, name: str) -> None:
    """Check that `issuer`, whose own path is verified, signed `crl`, and that it is whole and in time at `now`.

    Raises `AuthenticationError`, `FreshnessError`, and `UnsupportedError` for a list that leaves certificates out, and
    for one that is signed over a SHA-1 or another weak hash.
    """
    is_strong, wanted = has_strong_hash(crl.x509), "SHA-256, SHA-384 or SHA-512"
    message = f"{name} is signed over a hash that is too weak"
    found = wanted if is_strong else "another"
    examination.demand(
        is_strong, f"{name}.hash", wanted, found, message, error=UnsupportedError, reason=Reason.UNSUPPORTED
    )
    holds = crl.x509.issuer == issuer.subject and _is_signed_by(crl, issuer)
    examination.demand(
        holds, f"{name}.signature", common_name(issuer), "valid" if holds else "invalid", f"{name} is forged"
    )
    critical = _critical(crl)
    message = f"{name} is not of all certificates"
    examination.demand(
        not critical, f"{name}.critical", "none", critical, message, error=UnsupportedError, reason=Reason.UNSUPPORTED
    )
    ends = crl.x509.next_update_utc
    check_window(crl.issued, now if ends is None else ends.timestamp(), now, examination, name)


def check_not_revoked(certificate: x509.Certificate, crl: RevocationList, examination: Examination, name: str) -> None:
    """Raises `AppraisalError` (revoked) if a verified list of its issuer names this certificate."""
    holds = crl.x509.get_revoked_certificate_by_serial_number(certificate.serial_number) is None
    examination.demand(
        holds,
        f"{name}.{common_name(certificate)}",
        "not revoked",
        "not revoked" if holds else "revoked",
        "a certificate that its issuer revoked",
        error=AppraisalError,
        reason=Reason.REVOKED,
    )


@lru_cache(maxsize=64)
def _critical(crl: RevocationList) -> str:
    """The list's critical extensions, all of which say that it leaves certificates out (RFC 5280 §5.2)."""
    try:
        return " ".join(each.oid.dotted_string for each in crl.x509.extensions if each.critical)
    except UNREADABLE_EXTENSIONS:
        return "unreadable"


@lru_cache(maxsize=64)
def _is_signed_by(crl: RevocationList, issuer: x509.Certificate) -> bool:
    try:
        return crl.x509.is_signature_valid(issuer.public_key())  # type: ignore[arg-type] # other keys raise TypeError
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False
