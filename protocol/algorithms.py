"""The one table of COSE numbers: algorithms, header labels, key parameters, HPKE suites.

Every number that is assumed rather than registered (COSE-HPKE is a draft, X-Wing has no number yet) is in this
file and nowhere else, so that a change of mind of the standards is a change of one line.
"""

from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

# Signatures: fully specified algorithms (RFC 9864). The polymorphic -7 (ES256) and -8 (EdDSA) are never accepted.
ESP256: Final = -9
ED25519: Final = -19

# Verifiable data structures (RFC 9942 §8.2.2.1)
RFC9162_SHA256: Final = 1

# Content encryption (RFC 9053 §4.1)
A256GCM: Final = 3
KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16

# Key encryption (draft-ietf-cose-hpke-27). X-Wing has no registered number: this one is from the range for
# private use (RFC 9053 §11.1: below -65536).
HPKE_3_KE: Final = 49
HPKE_XWING_KE: Final = -65801


class Header:
    """Labels of COSE header parameters (RFC 9052 §3.1; RFC 9596 for `typ`; draft-ietf-cose-hpke-27 for `ek`)."""

    ALG: Final = 1
    CRIT: Final = 2
    CONTENT_TYPE: Final = 3
    KID: Final = 4
    IV: Final = 5
    PARTIAL_IV: Final = 6
    TYP: Final = 16
    EK: Final = -4
    PSK_ID: Final = -5
    VDS: Final = 395
    """Verifiable data structure (RFC 9942 §2): which kind of tree a signed root is of."""

    VDP: Final = 396
    """Verifiable data structure proofs (RFC 9942 §2). They stand unprotected: they lead to what is signed, or not."""

    CREDENTIAL: Final = -70000
    """Private use: the signer's credential, a CWT that the authority signed. It may stand unprotected for that."""


class KeyParameter:
    """Labels inside a COSE_Key (RFC 9052 §7.1, RFC 9053 §7.1 and §7.2, RFC 9964 for AKP)."""

    KTY: Final = 1
    ALG: Final = 3
    CRV: Final = -1
    X: Final = -2
    Y: Final = -3
    PUB: Final = -1


class KeyType:
    """Values of `kty`."""

    OKP: Final = 1
    EC2: Final = 2
    AKP: Final = 7


class Curve:
    """Values of `crv`."""

    P256: Final = 1
    X25519: Final = 4
    ED25519: Final = 6


@dataclass(frozen=True, slots=True)
class HpkeSuite:
    """One HPKE ciphersuite (RFC 9180 §7) under its COSE name; `enc_bytes` is the length of the encapsulated key."""

    name: str
    suite: Suite
    enc_bytes: int


def _suite(name: str, kem: KEM, kdf: KDF, aead: AEAD) -> HpkeSuite:
    return HpkeSuite(name, Suite(kem, kdf, aead), kem.enc_length())


_HPKE_0 = _suite("HPKE-0", KEM.P256, KDF.HKDF_SHA256, AEAD.AES_128_GCM)
_HPKE_1 = _suite("HPKE-1", KEM.P384, KDF.HKDF_SHA384, AEAD.AES_256_GCM)
_HPKE_2 = _suite("HPKE-2", KEM.P521, KDF.HKDF_SHA512, AEAD.AES_256_GCM)
_HPKE_3 = _suite("HPKE-3", KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_128_GCM)
_HPKE_4 = _suite("HPKE-4", KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
_HPKE_7 = _suite("HPKE-7", KEM.P256, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_XWING = _suite("HPKE-XWING", KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)

HPKE_SUITES: Final[dict[int, HpkeSuite]] = {
    46: _HPKE_0,
    47: _HPKE_1,
    48: _HPKE_2,
    HPKE_3_KE: _HPKE_3,
    50: _HPKE_4,
    53: _HPKE_7,
    HPKE_XWING_KE: _XWING,
}
"""Key-encryption suites this code can compute. HPKE-5 and -6 (51, 52) need X448, which `cryptography` lacks here."""

ACCEPTED_SIGNATURES: Final = frozenset({ESP256, ED25519})
ACCEPTED_HPKE: Final = frozenset({HPKE_XWING_KE, HPKE_3_KE})
"""What sealedge itself accepts; the rest of `HPKE_SUITES` exists for conformance to the standards' vectors."""
