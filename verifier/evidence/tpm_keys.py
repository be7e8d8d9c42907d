"""The attestation key of a TPM: PEM, DER, a certificate, TPMT_PUBLIC or TPM2B_PUBLIC; and what it signed.

A key that may sign anything can sign a TPMS_ATTEST that no TPM made. TPMT_PUBLIC says whether the TPM would; that
this public area is the TPM's own is what enrolment finds out (TPM2_MakeCredential binds to its name), not a quote.
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from protocol.errors import AppraisalError, Finding, MalformedError, UnsupportedError
from verifier.evidence.certificates import MAX_RSA_BITS, certificate_untrusted, is_bounded
from verifier.evidence.cursor import Cursor
from verifier.evidence.event_log import HASHES
from verifier.evidence.examination import Examination
from verifier.evidence.public_keys import PublicKey, public_key_untrusted, spki
from verifier.evidence.tpm_structures import Scheme, Signature, bounded, hash_untrusted, scheme_untrusted

MIN_RSA_BITS: Final = 2048

# TPMA_OBJECT (Part 2 §8.3)
FIXED_TPM, FIXED_PARENT, SENSITIVE_DATA_ORIGIN = 1 << 1, 1 << 4, 1 << 5
RESTRICTED, DECRYPT, SIGN = 1 << 16, 1 << 17, 1 << 18

REQUIRED_ATTRIBUTES: Final = {
    "fixedTPM": FIXED_TPM,
    "fixedParent": FIXED_PARENT,
    "sensitiveDataOrigin": SENSITIVE_DATA_ORIGIN,
    "restricted": RESTRICTED,
    "sign": SIGN,
}
"""Made in this TPM, never to leave it, and signing only what the TPM itself made."""

HASH_CLASSES: Final[dict[str, type[hashes.HashAlgorithm]]] = {
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}

_RSA, _ECC, _NULL = 0x0001, 0x0023, 0x0010
_CURVES: Final[dict[int, type[ec.EllipticCurve]]] = {0x0003: ec.SECP256R1, 0x0004: ec.SECP384R1}


@dataclass(frozen=True, slots=True)
class PublicArea:
    """TPMT_PUBLIC of a signing key (Part 2 §12.2.4). `scheme` and `hash` are None where the key leaves them open."""

    key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey
    name: bytes
    attributes: int
    scheme: Scheme | None
    hash: str | None

    @property
    def attribute_names(self) -> tuple[str, ...]:
        """Those of `REQUIRED_ATTRIBUTES` that it has."""
        return tuple(name for name, bit in REQUIRED_ATTRIBUTES.items() if self.attributes & bit)


@dataclass(frozen=True, slots=True)
class AttestationKey:
    """`chip` is SHA-256 over the key's SPKI in DER. `area` is None where only the key was given."""

    key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey
    chip: bytes
    area: PublicArea | None


@lru_cache(maxsize=256)
def attestation_key_untrusted(data: bytes) -> AttestationKey:
    """The key in `data`, whosever it is. Raises `MalformedError`, and `UnsupportedError` for a weak one."""
    area = _area_in(data)
    key = accepted(_plain(data) if area is None else area.key, "ak")
    return AttestationKey(key, hashlib.sha256(spki(key)).digest(), area)


def accepted(key: PublicKey, name: str) -> rsa.RSAPublicKey | ec.EllipticCurvePublicKey:
    """`key`, if it is RSA of 2048 to 4096 bits or on P-256 or P-384. Raises `UnsupportedError`."""
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= MIN_RSA_BITS and is_bounded(key):
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, tuple(_CURVES.values())):
        return key
    finding = Finding(name, "RSA of 2048 to 4096 bits, P-256 or P-384", type(key).__name__)
    raise UnsupportedError("an attestation key that is not accepted", finding=finding)


def check_area(ak: AttestationKey, signature: Signature, examination: Examination) -> None:
    """Check that a TPM would sign nothing but its own statements with this key. Raises `AppraisalError`.

    Without a public area this cannot be seen; the trace then says so.
    """
    if ak.area is None:
        examination.note("tpm.ak.attributes", " ".join(REQUIRED_ATTRIBUTES), "not given: only a public key")
        return
    missing = [name for name in REQUIRED_ATTRIBUTES if name not in ak.area.attribute_names]
    holds = not missing and not ak.area.attributes & DECRYPT
    found = " ".join(ak.area.attribute_names) + (" decrypt" if ak.area.attributes & DECRYPT else "")
    wanted = " ".join(REQUIRED_ATTRIBUTES)
    message = "a key that can sign what no TPM made"
    examination.demand(holds, "tpm.ak.attributes", wanted, found, message, error=AppraisalError)
    if ak.area.scheme is not None:
        wanted, found = f"{ak.area.scheme.name} {ak.area.hash}", f"{signature.scheme.name} {signature.hash}"
        message = "a signature of a scheme that this key does not have"
        examination.demand(wanted == found, "tpm.ak.scheme", wanted, found, message, error=AppraisalError)


def is_signed(key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey, signature: Signature, message: bytes) -> bool:
    """Whether `key` signed `message`. False too where the scheme is not the key's kind."""
    hashed = HASH_CLASSES[signature.hash]()
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            if signature.scheme is not Scheme.ECDSA:
                return False
            key.verify(signature.value, message, ec.ECDSA(hashed))
        elif signature.scheme is Scheme.ECDSA:
            return False
        else:
            key.verify(signature.value, message, _padding(signature.scheme, hashed), hashed)
    except (InvalidSignature, ValueError, UnsupportedAlgorithm):
        return False
    return True


def _padding(scheme: Scheme, hashed: hashes.HashAlgorithm) -> padding.AsymmetricPadding:
    # A TPM salts with as much as fits or with the length of the hash, by its version (Part 1 annex B.7).
    if scheme is Scheme.RSAPSS:
        return padding.PSS(padding.MGF1(hashed), padding.PSS.AUTO)
    return padding.PKCS1v15()


def _plain(data: bytes) -> PublicKey:
    """PEM, SPKI or JWK; or a certificate in DER, of which the key alone is read."""
    try:
        return public_key_untrusted(data, "ak")
    except MalformedError:
        if not data.startswith(b"\x30"):
            raise
        return _of_certificate(data)


def _of_certificate(data: bytes) -> PublicKey:
    try:
        key = certificate_untrusted(data, "ak").public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise MalformedError("ak is no public key", finding=Finding("ak", "a public key", "a certificate")) from None
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise UnsupportedError("ak is of another kind", finding=Finding("ak", "RSA or ECC", type(key).__name__))
    return key


def _area_in(data: bytes) -> PublicArea | None:
    """TPM2B_PUBLIC begins with its length, TPMT_PUBLIC with its type; no key in text or DER begins so."""
    if len(data) > 2 and int.from_bytes(data[:2], "big") == len(data) - 2:
        return public_area_untrusted(data[2:])
    if data[:2] in (_RSA.to_bytes(2, "big"), _ECC.to_bytes(2, "big")):
        return public_area_untrusted(data)
    return None


def public_area_untrusted(data: bytes) -> PublicArea:
    """TPMT_PUBLIC of an asymmetric key. Raises `MalformedError`, `UnsupportedError`."""
    cursor = bounded(data, "ak")
    kind, name_algorithm, attributes = cursor.integer(2), cursor.integer(2), cursor.integer(4)
    cursor.sized(2)  # authPolicy
    if kind not in (_RSA, _ECC) or name_algorithm not in HASHES:
        finding = Finding("ak.type", "RSA or ECC, named by SHA", f"{kind:#06x} {name_algorithm:#06x}")
        raise UnsupportedError("a public area that is not read here", finding=finding)
    if cursor.integer(2) != _NULL:  # symmetric: TPMT_SYM_DEF_OBJECT
        cursor.take(4)
    scheme, hashed = _scheme(cursor)
    key = _rsa(cursor) if kind == _RSA else _ecc(cursor)
    cursor.end()
    name = name_algorithm.to_bytes(2, "big") + hashlib.new(HASHES[name_algorithm], data).digest()
    return PublicArea(key, name, attributes, scheme, hashed)


def _scheme(cursor: Cursor) -> tuple[Scheme | None, str | None]:
    """TPMT_RSA_SCHEME or TPMT_ECC_SCHEME."""
    algorithm = cursor.integer(2)
    if algorithm == _NULL:
        return None, None
    return scheme_untrusted(algorithm, "ak.scheme"), hash_untrusted(cursor.integer(2), "ak.scheme.hash")


def _rsa(cursor: Cursor) -> rsa.RSAPublicKey:
    bits, exponent = cursor.integer(2), cursor.integer(4) or 65537
    modulus = int.from_bytes(cursor.sized(2), "big")
    if not MIN_RSA_BITS <= bits <= MAX_RSA_BITS or modulus.bit_length() != bits:
        finding = Finding("ak.keyBits", "2048 to 4096, and as long", f"{bits}, {modulus.bit_length()}")
        raise UnsupportedError("an RSA key that is not accepted", finding=finding)
    try:
        return rsa.RSAPublicNumbers(exponent, modulus).public_key()
    except ValueError:
        raise MalformedError("not an RSA key", finding=Finding("ak.unique", "a modulus", "another")) from None


def _ecc(cursor: Cursor) -> ec.EllipticCurvePublicKey:
    curve = _CURVES.get(cursor.integer(2))
    if cursor.integer(2) != _NULL:  # kdf: TPMT_KDF_SCHEME
        cursor.take(2)
    x, y = (int.from_bytes(cursor.sized(2), "big") for _ in range(2))
    if curve is None:
        raise UnsupportedError("a curve that is not accepted", finding=Finding("ak.curveID", "P-256 or P-384", "other"))
    try:
        return ec.EllipticCurvePublicNumbers(x, y, curve()).public_key()
    except ValueError:
        raise MalformedError("not on the curve", finding=Finding("ak.unique", "a point", "another")) from None
