"""COSE_Encrypt0 (RFC 9052 §5.2) under a key that both sides already hold: the hot path of a session.

    16([ protected {1: A256GCM, 4: kid, 6: Partial IV, 16: typ}, {}, ciphertext ])

The nonce is the Base IV XOR the Partial IV, padded with zeros on the left (RFC 9052 §3.1).
"""

from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from protocol import cbor
from protocol.algorithms import A256GCM, KEY_BYTES, NONCE_BYTES, Header
from protocol.cose_sign import check_typ
from protocol.cose_structure import (
    check_headers_untrusted,
    enc_structure,
    encode_partial_iv,
    envelope_untrusted,
    partial_iv_untrusted,
    protected_untrusted,
)
from protocol.errors import AuthenticationError, ConfigurationError, ProtocolMisuseError, UnsupportedError
from schemas.reason import Reason

ENCRYPT0_TAG: Final = 16
NO_BASE_IV: Final = bytes(NONCE_BYTES)
"""For keys whose messages carry a whole IV, and keys that encrypt a single plaintext."""

_PROTECTED: Final = frozenset({Header.ALG, Header.KID, Header.PARTIAL_IV, Header.TYP})
_NONE: Final[frozenset[int]] = frozenset()

# {1: 3, 4: kid, 6: Partial IV, 16: typ} without its three values. Labels below 24 are one byte, and in order.
_HEADER_START: Final = bytes((0xA4, Header.ALG, A256GCM, Header.KID))
_HEADER_PARTIAL_IV: Final = bytes((Header.PARTIAL_IV,))
_HEADER_TYP: Final = bytes((Header.TYP,))
_MESSAGE_START: Final = bytes((0xC0 | ENCRYPT0_TAG, 0x83))
_EMPTY_MAP: Final = b"\xa0"


class AeadKey:
    """An AES-256-GCM key (32 bytes) with its Base IV (12 bytes), set up once. Never printed, never pickled.

    It seals under rising numbers only, so that no nonce is ever used twice through one object: two objects for
    one key and direction are the caller's mistake. Opening changes nothing.
    """

    __slots__ = ("_aead", "_base_iv", "_sealed")

    def __init__(self, key: bytes, base_iv: bytes) -> None:
        if len(key) != KEY_BYTES or len(base_iv) != NONCE_BYTES:
            raise ConfigurationError(f"an AEAD key has {KEY_BYTES} bytes and a Base IV {NONCE_BYTES}")
        self._aead = AESGCM(key)
        self._base_iv = int.from_bytes(base_iv, "big")
        self._sealed = -1

    def nonce(self, partial_iv: int) -> bytes:
        """The nonce of RFC 9052 §3.1 for this Partial IV."""
        return (self._base_iv ^ partial_iv).to_bytes(NONCE_BYTES, "big")

    def encrypt(self, nonce: bytes, plaintext: bytes, aad: bytes) -> bytes:
        """Ciphertext and tag. Raises `ProtocolMisuseError` where `nonce` XOR the Base IV does not rise."""
        number = int.from_bytes(nonce, "big") ^ self._base_iv
        if number <= self._sealed:
            raise ProtocolMisuseError("this number was sealed under before: a nonce would repeat")
        self._sealed = number
        return self._aead.encrypt(nonce, plaintext, aad)

    def decrypt_untrusted(self, nonce: bytes, ciphertext: bytes, aad: bytes) -> bytes:
        """The plaintext. Raises `AuthenticationError` (reason `decryption-failed`)."""
        try:
            return self._aead.decrypt(nonce, ciphertext, aad)
        except (InvalidTag, ValueError):
            raise AuthenticationError(
                "encrypted under another key or for another place", reason=Reason.DECRYPTION_FAILED
            ) from None

    def __repr__(self) -> str:
        return "AeadKey(...)"

    def __reduce__(self) -> str:
        raise ConfigurationError("a secret key is never pickled")


@dataclass(frozen=True, slots=True, repr=False)
class Encrypt0:
    """A well-formed COSE_Encrypt0 with accepted headers. Nothing in it is trusted before `open` returns."""

    protected: bytes
    kid: bytes
    partial_iv: int
    typ: str
    ciphertext: bytes

    def open(self, key: AeadKey, *, typ: str, external_aad: bytes) -> bytes:
        """Returns the plaintext: a holder of `key` encrypted it, as `typ`, for `external_aad`.

        It may be a replay: `partial_iv` is authentic now, and for the caller to check. Raises
        `AuthenticationError` (reason `decryption-failed`), `UnexpectedError` for `typ`.
        """
        check_typ(self.typ, typ)
        aad = enc_structure("Encrypt0", self.protected, external_aad)
        return key.decrypt_untrusted(key.nonce(self.partial_iv), self.ciphertext, aad)

    def __repr__(self) -> str:
        return f"Encrypt0(typ={self.typ!r}, kid={self.kid.hex()[:16]}, partial_iv={self.partial_iv})"


def seal0(key: AeadKey, payload: bytes, *, typ: str, kid: bytes, partial_iv: int, external_aad: bytes) -> bytes:
    """A tagged COSE_Encrypt0. `kid` names the session or context, "" where there is only one.

    Raises `ProtocolMisuseError` unless `partial_iv` is above all that `key` sealed before.
    """
    protected = b"".join(
        (
            _HEADER_START,
            cbor.encode_bstr(kid),
            _HEADER_PARTIAL_IV,
            cbor.encode_bstr(encode_partial_iv(partial_iv)),
            _HEADER_TYP,
            cbor.encode(typ),
        )
    )
    aad = enc_structure("Encrypt0", protected, external_aad)
    ciphertext = key.encrypt(key.nonce(partial_iv), payload, aad)
    return _MESSAGE_START + cbor.encode_bstr(protected) + _EMPTY_MAP + cbor.encode_bstr(ciphertext)


def parse_encrypt0_untrusted(data: bytes, *, max_bytes: int = cbor.MAX_MESSAGE) -> Encrypt0:
    """Parse a tagged COSE_Encrypt0. Well formed after the call; nothing is trusted yet.

    Raises `MalformedError`, or `UnsupportedError` for algorithms and header parameters not accepted here.
    """
    protected, unprotected, ciphertext = envelope_untrusted(data, ENCRYPT0_TAG, 3, max_bytes)
    headers = protected_untrusted(protected, _PROTECTED, _NONE)
    check_headers_untrusted(unprotected, _NONE)
    if headers[Header.ALG] != A256GCM:
        raise UnsupportedError(f"content encryption algorithm {headers[Header.ALG]} is not accepted")
    partial_iv = partial_iv_untrusted(headers[Header.PARTIAL_IV])
    return Encrypt0(protected, headers[Header.KID], partial_iv, headers[Header.TYP], ciphertext)
