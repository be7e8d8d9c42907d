"""Whether a TPM's maker vouches for its endorsement key: the EK certificate (TCG EK Credential Profile 2.5 §3.2)."""

from collections.abc import Sequence
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from protocol.errors import AuthenticationError, ConfigurationError, Finding, MalformedError
from schemas.reason import Reason
from verifier.evidence.certificates import UNREADABLE_EXTENSIONS, certificate_untrusted, fingerprint, verify_path
from verifier.evidence.examination import Examination
from verifier.evidence.public_keys import PublicKey, spki

EK_CERTIFICATE: Final = x509.ObjectIdentifier("2.23.133.8.1")
"""tcg-kp-EKCertificate: the purpose for which a maker certifies an EK, and nothing else."""

_MAX_PATH: Final = 6


def check_endorsement(key: PublicKey, certificate: bytes, authorities: bytes, now: float) -> str:
    """The name of the authority that vouches for the EK `key`: afterwards its private half is in a TPM of that maker.

    `authorities` are the roots and intermediates that the operator trusts, as PEM. Raises `MalformedError`,
    `AuthenticationError`, `FreshnessError`; `ConfigurationError` for authorities that cannot be read. Revocation lists
    of makers are not looked at.
    """
    leaf = certificate_untrusted(certificate, "ek-certificate")
    known = _authorities(authorities)
    path = _path(leaf, known)
    roots = frozenset(fingerprint(each) for each in known if each.issuer == each.subject)
    verify_path(path, roots, now, Examination(), "ek")
    _check_purpose(leaf)
    if _key_of(leaf) != spki(key):
        finding = Finding("ek-certificate.key", "the EK of the identity", "another key")
        raise AuthenticationError("the certificate is of another endorsement key", finding=finding)
    return path[-1].subject.rfc4514_string()[:200]


def _authorities(pem: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise ConfigurationError("--ek-roots: is not a file of certificates in PEM") from error


def _path(leaf: x509.Certificate, known: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """Leaf first, by the names of subject and issuer; whether they signed is checked later."""
    path = [leaf]
    while path[-1].issuer != path[-1].subject and len(path) < _MAX_PATH:
        issuer = next((each for each in known if each.subject == path[-1].issuer), None)
        if issuer is None:
            finding = Finding("ek-certificate.issuer", "one of --ek-roots", path[-1].issuer.rfc4514_string()[:100])
            raise AuthenticationError(
                "nobody of --ek-roots issued the EK certificate", reason=Reason.UNKNOWN_SIGNER, finding=finding
            )
        path.append(issuer)
    return path


def _check_purpose(leaf: x509.Certificate) -> None:
    try:
        purposes = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except UNREADABLE_EXTENSIONS:
        purposes = x509.ExtendedKeyUsage([])
    if EK_CERTIFICATE not in purposes:
        finding = Finding("ek-certificate.purpose", EK_CERTIFICATE.dotted_string, "another")
        raise AuthenticationError("the certificate is not of an endorsement key", finding=finding)


def _key_of(leaf: x509.Certificate) -> bytes:
    try:
        key = leaf.public_key()
    except (ValueError, UnsupportedAlgorithm):
        finding = Finding("ek-certificate.key", "RSA or EC", "unreadable")
        raise MalformedError("a key in the EK certificate that cannot be read", finding=finding) from None
    return spki(key)  # type: ignore[arg-type] # any public key has an SPKI; it is only compared
