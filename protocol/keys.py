"""The door to keys: private signing keys here, public ones in `verifying_key`, those that seal in `kem_keys`."""

from collections.abc import Callable
from functools import partial
from typing import Final, Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from protocol.algorithms import ED25519, ESP256
from protocol.ecdsa_signature import COORDINATE_BYTES, from_der
from protocol.errors import ConfigurationError
from protocol.kem_keys import KemPrivateKey, KemPublicKey
from protocol.party import Randomness
from protocol.verifying_key import ECDSA_SHA256, VerifyingKey

__all__ = ["KemPrivateKey", "KemPublicKey", "SigningKey", "VerifyingKey"]

_P256_ORDER: Final = ec.SECP256R1().group_order
_PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


class SigningKey:
    """A private signing key. Its text forms show the public thumbprint only."""

    __slots__ = ("_key", "_sign", "algorithm", "public")

    def __init__(self, key: _PrivateKey) -> None:
        self._key = key
        # Asked here once: the library's classes of keys are abstract, and slow to ask.
        self._sign = key.sign if isinstance(key, ed25519.Ed25519PrivateKey) else partial(_sign_p256, key.sign)
        self.algorithm: int = ED25519 if isinstance(key, ed25519.Ed25519PrivateKey) else ESP256
        self.public = VerifyingKey.from_raw_untrusted(self.algorithm, _raw_public(key))

    @classmethod
    def generate(cls, randomness: Randomness | None = None, *, algorithm: int = ESP256) -> Self:
        """A new key from `randomness`, or from the cryptographic library's own generator.

        Raises `ConfigurationError` for other algorithms than ESP256 and Ed25519.
        """
        if algorithm == ESP256:
            return cls(_p256_private(randomness))
        if algorithm == ED25519:
            return cls(_ed25519_private(randomness))
        raise ConfigurationError(f"no signing key can be made for algorithm {algorithm}")

    @classmethod
    def from_cryptography(cls, key: object) -> Self:
        """Wrap a private key of `cryptography`. Raises `ConfigurationError` unless it is P-256 or Ed25519."""
        if isinstance(key, ed25519.Ed25519PrivateKey):
            return cls(key)
        if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
            return cls(key)
        raise ConfigurationError("a signing key must be P-256 or Ed25519")

    @classmethod
    def from_pem(cls, pem: bytes) -> Self:
        """Read an unencrypted PKCS #8 key. Raises `ConfigurationError`."""
        try:
            key = serialization.load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise ConfigurationError("not an unencrypted PEM private key") from None
        return cls.from_cryptography(key)

    def pem(self) -> bytes:
        """The private key as unencrypted PKCS #8: for the key store's eyes only."""
        return self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def sign(self, data: bytes) -> bytes:
        """64 bytes: r || s for ESP256 (RFC 9053 §2.1), the RFC 8032 signature for Ed25519."""
        return self._sign(data)

    def __repr__(self) -> str:
        return f"SigningKey({self.public.thumbprint.hex()})"

    def __reduce__(self) -> str:
        raise ConfigurationError("a private key is never pickled")


def _sign_p256(sign: Callable[[bytes, ec.EllipticCurveSignatureAlgorithm], bytes], data: bytes) -> bytes:
    return from_der(sign(data, ECDSA_SHA256))


def _p256_private(randomness: Randomness | None) -> ec.EllipticCurvePrivateKey:
    """FIPS 186-5 A.2.1: 64 bits more than the order has make the bias of the reduction negligible."""
    if randomness is None:
        return ec.generate_private_key(ec.SECP256R1())
    scalar = int.from_bytes(randomness(COORDINATE_BYTES + 8), "big") % (_P256_ORDER - 1) + 1
    return ec.derive_private_key(scalar, ec.SECP256R1())


def _ed25519_private(randomness: Randomness | None) -> ed25519.Ed25519PrivateKey:
    if randomness is None:
        return ed25519.Ed25519PrivateKey.generate()
    return ed25519.Ed25519PrivateKey.from_private_bytes(randomness(COORDINATE_BYTES))


def _raw_public(key: _PrivateKey) -> bytes:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.public_key().public_bytes_raw()
    numbers = key.public_key().public_numbers()
    return numbers.x.to_bytes(COORDINATE_BYTES, "big") + numbers.y.to_bytes(COORDINATE_BYTES, "big")
