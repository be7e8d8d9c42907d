"""COSE_Sign1 as others make it, with every part open to a fault."""

from collections.abc import Mapping
from typing import Any

from cbor2 import CBORTag, dumps
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

PrivateKey = ec.EllipticCurvePrivateKey | Ed25519PrivateKey

CURVES = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}
_HASHES = {"secp256r1": hashes.SHA256(), "secp384r1": hashes.SHA384(), "secp521r1": hashes.SHA512()}
_ALGORITHMS = {"secp256r1": -7, "secp384r1": -35, "secp521r1": -36}


def ec_key(seed: int, curve: str = "P-256") -> ec.EllipticCurvePrivateKey:
    """The same key for the same seed."""
    return ec.derive_private_key(0x5EA1ED6E << 64 | seed, CURVES[curve])


def pem(key: PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def algorithm(key: PrivateKey) -> int:
    return _ALGORITHMS[key.curve.name] if isinstance(key, ec.EllipticCurvePrivateKey) else -8


def signature(key: PrivateKey, message: bytes) -> bytes:
    if isinstance(key, Ed25519PrivateKey):
        return key.sign(message)
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(_HASHES[key.curve.name])))
    width = (key.key_size + 7) // 8
    return r.to_bytes(width, "big") + s.to_bytes(width, "big")


def sign1(
    key: PrivateKey,
    payload: bytes,
    *,
    protected: bytes | None = None,
    unprotected: Mapping[Any, Any] | None = None,
    tag: int | None = 18,
    external_aad: bytes = b"",
) -> bytes:
    """Signed by `key`, with the algorithm that is its own unless `protected` says otherwise."""
    header = dumps({1: algorithm(key)}) if protected is None else protected
    signed = dumps(["Signature1", b"" if header == b"\xa0" else header, external_aad, payload])
    message = [header, dict(unprotected or {}), payload, signature(key, signed)]
    return dumps(message if tag is None else CBORTag(tag, message))
