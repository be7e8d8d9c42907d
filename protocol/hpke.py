"""HPKE in base mode (RFC 9180 §6.1), one message per encapsulation, with an empty aad.

What a message is bound to goes into `info`. That is what COSE-HPKE's key encryption does
(draft-ietf-cose-hpke-27), and what lets the one-shot calls of `cryptography` do all of the work.
"""

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from protocol.algorithms import HPKE_SUITES
from protocol.errors import AuthenticationError, ProtocolMisuseError
from protocol.kem_keys import HpkePrivateKey, KemPrivateKey, KemPublicKey
from schemas.reason import Reason


def seal(public: KemPublicKey, plaintext: bytes, info: bytes) -> tuple[bytes, bytes]:
    """Seal to `public`: (encapsulated key, ciphertext with tag). Anybody can do this: it proves no sender."""
    chosen = HPKE_SUITES[public.algorithm]
    sealed = chosen.suite.encrypt(plaintext, public.key, info=info)
    return sealed[: chosen.enc_bytes], sealed[chosen.enc_bytes :]


def open_untrusted(private: KemPrivateKey, enc: bytes, ciphertext: bytes, info: bytes) -> bytes:
    """The plaintext that `seal` was given, if it was for this key and this `info`.

    Raises `AuthenticationError` (reason `decryption-failed`) for anything else. After the call the plaintext is
    what somebody sealed; who, is not known.
    """
    return open_suite_untrusted(private.algorithm, private.key, enc, ciphertext, info)


def open_suite_untrusted(
    algorithm: int, key: HpkePrivateKey | ec.EllipticCurvePrivateKey, enc: bytes, ciphertext: bytes, info: bytes
) -> bytes:
    """`open_untrusted` for any suite of the table, also those that sealedge does not accept in messages.

    Raises `AuthenticationError` (reason `decryption-failed`).
    """
    chosen = HPKE_SUITES[algorithm]
    # `decrypt` takes both parts joined: a wrong length would move bytes from one into the other.
    if len(enc) != chosen.enc_bytes:
        raise AuthenticationError("the encapsulated key has a wrong length", reason=Reason.DECRYPTION_FAILED)
    try:
        return chosen.suite.decrypt(enc + ciphertext, key, info=info)
    except (InvalidTag, ValueError, UnsupportedAlgorithm):
        raise AuthenticationError("sealed for another key or purpose", reason=Reason.DECRYPTION_FAILED) from None


def derive(secret: bytes, info: bytes, length: int) -> bytes:
    """HKDF-SHA256 (RFC 5869) without salt. `secret` must be uniform and at least 32 bytes; `length` is in bytes.

    Raises `ProtocolMisuseError` for shorter secrets.
    """
    if len(secret) < 32:
        raise ProtocolMisuseError("a secret to derive from has at least 32 bytes")
    return HKDF(hashes.SHA256(), length, salt=None, info=info).derive(secret)
