"""Verification keys that somebody hands over beside evidence: PEM, DER or JWK (RFC 7517), certificates included."""

from collections.abc import Mapping
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from protocol.errors import Finding, MalformedError, UnsupportedError
from verifier.evidence.certificates import MAX_RSA_BITS, certificate_untrusted, is_bounded
from verifier.evidence.documents import json_object_untrusted

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | Ed25519PublicKey

MAX_KEY: Final = 16_384
MIN_RSA_BITS: Final = 2048

_JWK_MEMBERS: Final = ("kty", "crv", "x", "y", "n", "e")
"""Of public keys (RFC 7518 §6, RFC 8037 §2)."""


def public_key_untrusted(data: bytes, name: str) -> PublicKey:
    """The public key in `data`. Whether it is to be trusted is for the caller to know.

    Raises `MalformedError`, and `UnsupportedError` for a kind or size that is not used here.
    """
    if len(data) > MAX_KEY:
        raise MalformedError(f"{name} is too large", finding=Finding(name, f"at most {MAX_KEY} bytes", str(len(data))))
    try:
        key = _parsed(data, name)
    except (ValueError, TypeError, KeyError, RecursionError, UnsupportedAlgorithm, PyJWTError):
        finding = Finding(name, "a public key: PEM, DER or JWK", f"{len(data)} bytes")
        raise MalformedError(f"{name} is not a public key", finding=finding) from None
    if isinstance(key, rsa.RSAPublicKey) and not (key.key_size >= MIN_RSA_BITS and is_bounded(key)):
        expected = f"RSA of {MIN_RSA_BITS} to {MAX_RSA_BITS} bits, exponent from 65537 to 2^32"
        raise UnsupportedError(
            f"{name} is too weak or too slow", finding=Finding(name, expected, f"{key.key_size} bits")
        )
    if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey | Ed25519PublicKey):
        raise UnsupportedError(f"{name} is of another kind", finding=Finding(name, "EC, RSA or Ed25519", "another"))
    return key


def spki(key: PublicKey) -> bytes:
    """SubjectPublicKeyInfo in DER (RFC 5280 §4.1.2.7): what a key is named by, under SHA-256."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _parsed(data: bytes, name: str) -> object:
    text = data.strip()
    if text.startswith(b"{"):
        return _from_jwk(json_object_untrusted(text, name))
    if text.startswith(b"-----BEGIN CERTIFICATE"):
        return certificate_untrusted(data, name).public_key()
    return load_pem_public_key(text) if text.startswith(b"-----BEGIN ") else load_der_public_key(data)


def _from_jwk(jwk: Mapping[str, object]) -> object:
    if "d" in jwk or "k" in jwk:
        raise ValueError("not a public JWK")
    # Without `alg`, which would choose what the members are read as: the key's kind does.
    return PyJWK({name: jwk[name] for name in _JWK_MEMBERS if name in jwk}).key
