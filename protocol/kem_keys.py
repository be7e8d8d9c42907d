"""Keys that secrets are sealed to: X-Wing by default, X25519 alone by choice.

X-Wing (draft-connolly-cfrg-xwing-kem) joins ML-KEM-768 with X25519. Its private key is a seed of 32 bytes; its
public key is the ML-KEM key (1184 bytes) followed by the X25519 key (32). As a COSE_Key it is an AKP key
(RFC 9964) under the private-use algorithm of `protocol.algorithms`.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Final, Self

from cryptography.hazmat.primitives.asymmetric import mlkem, x25519
from cryptography.hazmat.primitives.hpke import MLKEM768X25519PrivateKey, MLKEM768X25519PublicKey

from protocol.algorithms import ACCEPTED_HPKE, HPKE_XWING_KE, Curve, KeyParameter, KeyType
from protocol.cbor import CborValue
from protocol.cose_key import algorithm_of_untrusted, check_parameters_untrusted, public_bytes_untrusted, thumbprint
from protocol.errors import ConfigurationError, MalformedError, UnsupportedError
from protocol.party import Randomness

SEED_BYTES: Final = 32
_X25519_BYTES: Final = 32
_MLKEM768_BYTES: Final = 1184

HpkePublicKey = x25519.X25519PublicKey | MLKEM768X25519PublicKey
HpkePrivateKey = x25519.X25519PrivateKey | MLKEM768X25519PrivateKey

# Any scalar does: X25519 clears the cofactor, so a point of small order gives zero whatever it is multiplied by.
_PROBE: Final = x25519.X25519PrivateKey.from_private_bytes(bytes([1]) * _X25519_BYTES)


@dataclass(frozen=True, slots=True, repr=False)
class KemPublicKey:
    """A public key to seal to, good for one HPKE suite only (`algorithm`, see `algorithms.HPKE_SUITES`).

    `raw` has 32 bytes for HPKE-3-KE and 1216 for HPKE-XWING-KE; `thumbprint` is that of RFC 9679.
    """

    algorithm: int
    raw: bytes
    thumbprint: bytes = field(compare=False)
    key: HpkePublicKey = field(compare=False)

    @classmethod
    def from_raw_untrusted(cls, algorithm: int, raw: bytes) -> Self:
        """Take the raw public key. Refuses X25519 points of small order and ML-KEM keys out of range.

        Raises `UnsupportedError` for other algorithms, `MalformedError` for what is no key.
        """
        if algorithm not in ACCEPTED_HPKE:
            raise UnsupportedError(f"key encryption algorithm {algorithm} is not accepted")
        try:
            key = _xwing_public(raw) if algorithm == HPKE_XWING_KE else _x25519_public(raw)
        except ValueError:
            raise MalformedError(f"no public key for algorithm {algorithm}") from None
        return cls(algorithm, raw, thumbprint(_required_parameters(algorithm, raw)), key)

    @classmethod
    def from_cose_key_untrusted(cls, cose_key: CborValue) -> Self:
        """Take a decoded COSE_Key with exactly the parameters that `to_cose_key` writes.

        Raises `MalformedError` or `UnsupportedError`. The key is valid after the call; whose it is, is not known.
        """
        algorithm = algorithm_of_untrusted(cose_key, ACCEPTED_HPKE)
        label = KeyParameter.PUB if algorithm == HPKE_XWING_KE else KeyParameter.X
        key = cls.from_raw_untrusted(algorithm, public_bytes_untrusted(cose_key, (label,)))
        check_parameters_untrusted(cose_key, key.to_cose_key())
        return key

    def to_cose_key(self) -> dict[int, int | bytes]:
        """The COSE_Key as a map: {kty, alg, pub} for X-Wing, {kty, alg, crv, x} for X25519."""
        return {KeyParameter.ALG: self.algorithm, **_required_parameters(self.algorithm, self.raw)}

    def __repr__(self) -> str:
        return f"KemPublicKey({self.thumbprint.hex()})"


class KemPrivateKey:
    """A private key that opens what was sealed to `public`. Its text forms show the public thumbprint only."""

    __slots__ = ("_seed", "algorithm", "key", "public")

    def __init__(self, algorithm: int, seed: bytes) -> None:
        if algorithm not in ACCEPTED_HPKE:
            raise ConfigurationError(f"no key can be made for key encryption algorithm {algorithm}")
        if len(seed) != SEED_BYTES:
            raise ConfigurationError(f"a key seed has {SEED_BYTES} bytes")
        self._seed = seed
        self.algorithm = algorithm
        self.key, raw = _xwing_pair(seed) if algorithm == HPKE_XWING_KE else _x25519_pair(seed)
        self.public = KemPublicKey.from_raw_untrusted(algorithm, raw)

    @classmethod
    def generate(cls, randomness: Randomness, *, algorithm: int = HPKE_XWING_KE) -> Self:
        """A new key from 32 bytes of `randomness`. Raises `ConfigurationError` for algorithms not accepted."""
        return cls(algorithm, randomness(SEED_BYTES))

    @classmethod
    def from_seed(cls, algorithm: int, seed: bytes) -> Self:
        """The key that `seed_bytes` gave. Raises `ConfigurationError`."""
        return cls(algorithm, seed)

    def seed_bytes(self) -> bytes:
        """The whole secret, 32 bytes: the X-Wing seed or the X25519 scalar."""
        return self._seed

    @property
    def thumbprint(self) -> bytes:
        """The thumbprint of the public key."""
        return self.public.thumbprint

    def __repr__(self) -> str:
        return f"KemPrivateKey({self.public.thumbprint.hex()})"

    def __reduce__(self) -> str:
        raise ConfigurationError("a private key is never pickled")


def _required_parameters(algorithm: int, raw: bytes) -> dict[int, int | bytes]:
    """What the thumbprint covers: kty, crv, x for OKP (RFC 9679 §3.1); kty, alg, pub for AKP (RFC 9964)."""
    if algorithm == HPKE_XWING_KE:
        return {KeyParameter.KTY: KeyType.AKP, KeyParameter.ALG: algorithm, KeyParameter.PUB: raw}
    return {KeyParameter.KTY: KeyType.OKP, KeyParameter.CRV: Curve.X25519, KeyParameter.X: raw}


def _x25519_public(raw: bytes) -> x25519.X25519PublicKey:
    """Raises ValueError for points of small order too (RFC 7748 §6.1), which everybody shares a secret with."""
    key = x25519.X25519PublicKey.from_public_bytes(raw)
    _PROBE.exchange(key)
    return key


def _xwing_public(raw: bytes) -> MLKEM768X25519PublicKey:
    """Raises ValueError: both halves check their length and their range."""
    mlkem_key = mlkem.MLKEM768PublicKey.from_public_bytes(raw[:_MLKEM768_BYTES])
    return MLKEM768X25519PublicKey(mlkem_key, _x25519_public(raw[_MLKEM768_BYTES:]))


def _x25519_pair(seed: bytes) -> tuple[HpkePrivateKey, bytes]:
    key = x25519.X25519PrivateKey.from_private_bytes(seed)
    return key, key.public_key().public_bytes_raw()


def _xwing_pair(seed: bytes) -> tuple[HpkePrivateKey, bytes]:
    """expandDecapsulationKey of draft-connolly-cfrg-xwing-kem: SHAKE256 gives d || z (64) and the scalar (32)."""
    expanded = hashlib.shake_256(seed).digest(96)
    mlkem_key = mlkem.MLKEM768PrivateKey.from_seed_bytes(expanded[:64])
    x25519_key = x25519.X25519PrivateKey.from_private_bytes(expanded[64:])
    raw = mlkem_key.public_key().public_bytes_raw() + x25519_key.public_key().public_bytes_raw()
    return MLKEM768X25519PrivateKey(mlkem_key, x25519_key), raw
