"""Public signing keys: their COSE_Key form (RFC 9052 §7, RFC 9053 §7, RFC 9864) and thumbprint (RFC 9679)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from protocol.algorithms import ACCEPTED_SIGNATURES, ED25519, ESP256, Curve, KeyParameter, KeyType
from protocol.cbor import CborValue
from protocol.cose_key import algorithm_of_untrusted, check_parameters_untrusted, public_bytes_untrusted, thumbprint
from protocol.ecdsa_signature import COORDINATE_BYTES, SIGNATURE_BYTES, to_der
from protocol.errors import AuthenticationError, ConfigurationError, MalformedError, UnsupportedError

ECDSA_SHA256: Final = ec.ECDSA(hashes.SHA256())

_ED25519_SMALL_ORDER_Y: Final = frozenset(
    bytes.fromhex(y)
    for y in (
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    )
)
"""The y of every point of order 1, 2, 4 or 8: under such a "key" one signature holds for many messages."""
_ED25519_PRIME: Final = 2**255 - 19

_PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
_Verify = Callable[[bytes, bytes], None]
"""Of (signature, data). Chosen once: the library's classes of keys are abstract, and slow to ask."""


@dataclass(frozen=True, slots=True, repr=False)
class VerifyingKey:
    """A public signing key, good for one algorithm only.

    `raw` is x || y (64 bytes) for ESP256 and the 32 bytes of RFC 8032 for Ed25519. Two keys are equal when
    algorithm and `raw` are; `thumbprint` is the SHA-256 of the deterministic COSE_Key (RFC 9679 §3).
    """

    algorithm: int
    raw: bytes
    thumbprint: bytes = field(compare=False)
    _key: _PublicKey = field(compare=False)
    _verify: _Verify = field(compare=False)

    @classmethod
    def from_raw_untrusted(cls, algorithm: int, raw: bytes) -> Self:
        """Take the raw public key; the point is checked to be on its curve and of large order.

        Raises `UnsupportedError` for other algorithms, `MalformedError` for what is no key. The key is valid after
        the call; whose it is, is not known.
        """
        if algorithm not in ACCEPTED_SIGNATURES:
            raise UnsupportedError(f"signature algorithm {algorithm} is not accepted")
        try:
            key, verify = _p256_key(raw) if algorithm == ESP256 else _ed25519_key(raw)
        except ValueError:
            raise MalformedError(f"no public key for algorithm {algorithm}") from None
        return cls(algorithm, raw, thumbprint(_required_parameters(algorithm, raw)), key, verify)

    @classmethod
    def from_cose_key_untrusted(cls, cose_key: CborValue) -> Self:
        """Take a decoded COSE_Key with exactly the parameters that `to_cose_key` writes.

        Raises `MalformedError` or `UnsupportedError`; an `alg` that does not belong to `kty` and `crv` is refused.
        """
        algorithm = algorithm_of_untrusted(cose_key, ACCEPTED_SIGNATURES)
        coordinates = (KeyParameter.X, KeyParameter.Y) if algorithm == ESP256 else (KeyParameter.X,)
        key = cls.from_raw_untrusted(algorithm, public_bytes_untrusted(cose_key, coordinates))
        check_parameters_untrusted(cose_key, key.to_cose_key())
        return key

    def to_cose_key(self) -> dict[int, int | bytes]:
        """The COSE_Key as a map: kty, alg, crv and the coordinates, nothing else."""
        return {KeyParameter.ALG: self.algorithm, **_required_parameters(self.algorithm, self.raw)}

    def pem(self) -> bytes:
        """The public key as SubjectPublicKeyInfo (RFC 5480, RFC 8410), for files that people exchange."""
        return self._key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    @classmethod
    def from_pem(cls, pem: bytes) -> Self:
        """Read a public key file. Raises `ConfigurationError` unless it is a valid P-256 or Ed25519 key."""
        try:
            key = serialization.load_pem_public_key(pem)
            if isinstance(key, ed25519.Ed25519PublicKey):
                return cls.from_raw_untrusted(ED25519, key.public_bytes_raw())
        except (ValueError, UnsupportedAlgorithm, MalformedError):
            raise ConfigurationError("not a PEM public key") from None
        if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
            point = key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
            return cls.from_raw_untrusted(ESP256, point[1:])
        raise ConfigurationError("a verifying key must be P-256 or Ed25519")

    def verify(self, signature: bytes, data: bytes) -> None:
        """Return if `signature` (64 bytes; r || s for ESP256) is this key's over `data`.

        Raises `AuthenticationError` otherwise. A valid ECDSA signature can be turned into another valid one
        for the same data: never use it as an identifier.
        """
        try:
            self._verify(signature, data)
        except InvalidSignature:
            raise AuthenticationError("the signature does not hold") from None

    def __repr__(self) -> str:
        return f"VerifyingKey({self.thumbprint.hex()})"


def _required_parameters(algorithm: int, raw: bytes) -> dict[int, int | bytes]:
    """What RFC 9679 §3.1 and §3.2 hash: for EC2 kty, crv, x, y; for OKP kty, crv, x."""
    if algorithm == ESP256:
        x, y = raw[:COORDINATE_BYTES], raw[COORDINATE_BYTES:]
        kind: dict[int, int | bytes] = {KeyParameter.KTY: KeyType.EC2, KeyParameter.CRV: Curve.P256}
        return {**kind, KeyParameter.X: x, KeyParameter.Y: y}
    return {KeyParameter.KTY: KeyType.OKP, KeyParameter.CRV: Curve.ED25519, KeyParameter.X: raw}


def _p256_key(raw: bytes) -> tuple[_PublicKey, _Verify]:
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + raw)
    return key, partial(_verify_p256, key.verify)


def _verify_p256(
    verify: Callable[[bytes, bytes, ec.EllipticCurveSignatureAlgorithm], None], signature: bytes, data: bytes
) -> None:
    """RFC 9053 §2.1: both halves have the length of the order; anything else is no signature."""
    if len(signature) != SIGNATURE_BYTES:
        raise InvalidSignature
    verify(to_der(signature), data, ECDSA_SHA256)


def _ed25519_key(raw: bytes) -> tuple[_PublicKey, _Verify]:
    """The library loads any 32 bytes. What is off the curve verifies nothing; small orders verify too much."""
    key = ed25519.Ed25519PublicKey.from_public_bytes(raw)
    y = int.from_bytes(raw, "little") & (2**255 - 1)
    if y >= _ED25519_PRIME or y.to_bytes(COORDINATE_BYTES, "little") in _ED25519_SMALL_ORDER_Y:
        raise ValueError
    return key, key.verify
