"""COSE_Encrypt (RFC 9052 §5.1) with HPKE key encryption (draft-ietf-cose-hpke-27): for one or more recipients.

    96([ protected {1: A256GCM, ? 4: kid, 5: IV or 6: Partial IV, 16: typ}, {}, ciphertext,
         [+ [ protected {1: HPKE-...-KE, 4: kid}, {-4: ek}, encrypted content key ]] ])

The content key is what HPKE seals, 32 bytes. HPKE's info is the Recipient_structure, its aad is empty. Whoever
seals many messages under one content key wraps it once (`wrap_key`) and repeats the same recipients in each;
whoever opens them unwraps once, and knows them again by `Recipient.encoded`.

Nothing here says who sealed, and each recipient could seal to the others: a signature or receipt must say so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from protocol import cbor, hpke
from protocol.algorithms import A256GCM, ACCEPTED_HPKE, HPKE_SUITES, KEY_BYTES, NONCE_BYTES, TAG_BYTES, Header
from protocol.cose_encrypt0 import AeadKey
from protocol.cose_sign import check_typ
from protocol.cose_structure import (
    check_headers_untrusted,
    enc_structure,
    encode_partial_iv,
    envelope_parts_untrusted,
    envelope_untrusted,
    iv_untrusted,
    partial_iv_untrusted,
    protected_untrusted,
)
from protocol.errors import AuthenticationError, Finding, MalformedError, ProtocolMisuseError, UnsupportedError
from protocol.keys import KemPrivateKey, KemPublicKey
from schemas.reason import Reason

ENCRYPT_TAG: Final = 96
MAX_RECIPIENTS: Final = 16
_MESSAGE_START: Final = bytes((0xD8, ENCRYPT_TAG, 0x84))
_EMPTY_MAP: Final = b"\xa0"
_NONE: Final[frozenset[int]] = frozenset()
_CONTENT: Final = frozenset({Header.ALG, Header.TYP})
_CONTENT_OPTIONAL: Final = frozenset({Header.KID, Header.IV, Header.PARTIAL_IV})
_RECIPIENT: Final = frozenset({Header.ALG, Header.KID})
_RECIPIENT_UNPROTECTED: Final = frozenset({Header.EK})


@dataclass(frozen=True, slots=True, repr=False)
class Recipient:
    """One COSE_recipient: the content key, sealed to the KEM key with thumbprint `kid`.

    `encoded` is the whole structure in its one encoding: good as a cache key, and to repeat in other messages.
    """

    algorithm: int
    kid: bytes
    protected: bytes
    ek: bytes
    encrypted_key: bytes
    encoded: bytes

    def __repr__(self) -> str:
        return f"Recipient(kid={self.kid.hex()[:16]}, algorithm={self.algorithm})"


@dataclass(frozen=True, slots=True, repr=False)
class Encrypt:
    """A well-formed COSE_Encrypt with accepted headers. Nothing in it is trusted before `open` returns.

    Exactly one of `iv` (12 bytes) and `partial_iv` is there. `recipients` have distinct `kid`s.
    """

    protected: bytes
    typ: str
    kid: bytes | None
    iv: bytes | None
    partial_iv: int | None
    ciphertext: bytes
    recipients: tuple[Recipient, ...]

    def recipient(self, kid: bytes) -> Recipient:
        """The recipient with this key thumbprint. Raises `AuthenticationError` (reason `misaddressed`)."""
        for each in self.recipients:
            if each.kid == kid:
                return each
        found = Finding("recipients", kid.hex()[:16], f"{len(self.recipients)} others")
        raise AuthenticationError("sealed to other recipients", reason=Reason.MISADDRESSED, finding=found)

    def unwrap(self, private: KemPrivateKey, *, extra_info: bytes) -> bytes:
        """Returns the content key, 32 bytes, that somebody sealed to `private` with this `extra_info`.

        Raises `AuthenticationError` (reasons `misaddressed`, `decryption-failed`). Who sealed it is not known.
        """
        mine = self.recipient(private.public.thumbprint)
        if mine.algorithm != private.algorithm:
            found = Finding("alg", str(private.algorithm), str(mine.algorithm))
            raise AuthenticationError("sealed with another algorithm than the key is for", finding=found)
        info = recipient_structure(mine.protected, extra_info)
        # Parsing has checked the length of what is opened here, and so the length of the content key.
        return hpke.open_untrusted(private, mine.ek, mine.encrypted_key, info)

    def open(self, key: AeadKey, *, typ: str, external_aad: bytes) -> bytes:
        """Returns the plaintext: a holder of the content key encrypted it, as `typ`, for `external_aad`.

        Raises `AuthenticationError` (reason `decryption-failed`), `UnexpectedError` for `typ`.
        """
        check_typ(self.typ, typ)
        nonce = self.iv if self.partial_iv is None else key.nonce(self.partial_iv)
        # Parsing has seen to it that one of the two is there; an empty nonce would decrypt nothing.
        aad = enc_structure("Encrypt", self.protected, external_aad)
        return key.decrypt_untrusted(nonce or b"", self.ciphertext, aad)

    def __repr__(self) -> str:
        return f"Encrypt(typ={self.typ!r}, {len(self.recipients)} recipients, {len(self.ciphertext)} bytes)"


def recipient_structure(protected: bytes, extra_info: bytes, next_layer_alg: int = A256GCM) -> bytes:
    """The info of HPKE: what a content key is bound to (draft-ietf-cose-hpke-27, Recipient_structure)."""
    return cbor.encode(["HPKE Recipient", next_layer_alg, protected, extra_info])


def wrap_key(content_key: bytes, recipient: KemPublicKey, *, extra_info: bytes) -> Recipient:
    """Seal a content key of 32 bytes to `recipient`: one public-key operation, good for many messages.

    Raises `ProtocolMisuseError` for other lengths.
    """
    if len(content_key) != KEY_BYTES:
        raise ProtocolMisuseError(f"a content key has {KEY_BYTES} bytes")
    protected = cbor.encode({Header.ALG: recipient.algorithm, Header.KID: recipient.thumbprint})
    ek, encrypted_key = hpke.seal(recipient, content_key, recipient_structure(protected, extra_info))
    encoded = cbor.encode([protected, {Header.EK: ek}, encrypted_key])
    return Recipient(recipient.algorithm, recipient.thumbprint, protected, ek, encrypted_key, encoded)


def encrypt(
    key: AeadKey,
    payload: bytes,
    *,
    typ: str,
    recipients: Sequence[Recipient],
    external_aad: bytes,
    kid: bytes | None = None,
    iv: bytes | None = None,
    partial_iv: int | None = None,
) -> bytes:
    """A tagged COSE_Encrypt under the content key that `recipients` wrap, with an `iv` or a `partial_iv`.

    Raises `ProtocolMisuseError` for no or too many recipients, both or neither of the two, or a number that
    `key` sealed under before.
    """
    if not 1 <= len(recipients) <= MAX_RECIPIENTS:
        raise ProtocolMisuseError(f"a message has 1 to {MAX_RECIPIENTS} recipients")
    label, number, nonce = _nonce(key, iv, partial_iv)
    headers: dict[int, int | bytes | str] = {Header.ALG: A256GCM, label: number, Header.TYP: typ}
    if kid is not None:
        headers[Header.KID] = kid
    protected = cbor.encode(headers)
    ciphertext = key.encrypt(nonce, payload, enc_structure("Encrypt", protected, external_aad))
    # The recipients are encoded already; everything else has heads of known form (an array below 24 items).
    parts = (_MESSAGE_START, cbor.encode_bstr(protected), _EMPTY_MAP, cbor.encode_bstr(ciphertext))
    return b"".join((*parts, bytes((0x80 | len(recipients),)), *(each.encoded for each in recipients)))


def parse_encrypt_untrusted(
    data: bytes, *, max_bytes: int = cbor.MAX_MESSAGE, accepted: frozenset[int] = ACCEPTED_HPKE
) -> Encrypt:
    """Parse a tagged COSE_Encrypt. Well formed after the call; nothing is trusted yet.

    Raises `MalformedError`, or `UnsupportedError` for algorithms and header parameters not accepted here.
    """
    protected, unprotected, ciphertext, recipients = envelope_untrusted(data, ENCRYPT_TAG, 4, max_bytes)
    headers = protected_untrusted(protected, _CONTENT, _CONTENT_OPTIONAL)
    check_headers_untrusted(unprotected, _NONE)
    if headers[Header.ALG] != A256GCM:
        raise UnsupportedError(f"content encryption algorithm {headers[Header.ALG]} is not accepted")
    if (Header.IV in headers) == (Header.PARTIAL_IV in headers):
        raise MalformedError("a COSE_Encrypt has either an IV or a Partial IV")
    iv, partial_iv = headers.get(Header.IV), headers.get(Header.PARTIAL_IV)
    return Encrypt(
        protected=protected,
        typ=headers[Header.TYP],
        kid=headers.get(Header.KID),
        iv=None if iv is None else iv_untrusted(iv),
        partial_iv=None if partial_iv is None else partial_iv_untrusted(partial_iv),
        ciphertext=ciphertext,
        recipients=_recipients_untrusted(recipients, accepted),
    )


def _nonce(key: AeadKey, iv: bytes | None, partial_iv: int | None) -> tuple[int, bytes, bytes]:
    """The header parameter that carries the number, its value, and the nonce it stands for."""
    if iv is not None and partial_iv is None and len(iv) == NONCE_BYTES:
        return Header.IV, iv, iv
    if iv is None and partial_iv is not None:
        return Header.PARTIAL_IV, encode_partial_iv(partial_iv), key.nonce(partial_iv)
    raise ProtocolMisuseError(f"needs either an IV of {NONCE_BYTES} bytes or a Partial IV")


def _recipients_untrusted(found: object, accepted: frozenset[int]) -> tuple[Recipient, ...]:
    if not isinstance(found, list) or not 1 <= len(found) <= MAX_RECIPIENTS:
        raise MalformedError(f"a COSE_Encrypt has 1 to {MAX_RECIPIENTS} recipients")
    recipients = tuple(_recipient_untrusted(each, accepted) for each in found)
    if len({each.kid for each in recipients}) != len(recipients):
        raise MalformedError("two recipients of a COSE_Encrypt have one key id")
    return recipients


def _recipient_untrusted(found: Any, accepted: frozenset[int]) -> Recipient:
    protected, unprotected, encrypted_key = envelope_parts_untrusted(found, 3)
    headers = protected_untrusted(protected, _RECIPIENT, _NONE)
    check_headers_untrusted(unprotected, _RECIPIENT_UNPROTECTED)
    algorithm, ek = headers[Header.ALG], unprotected[Header.EK]
    if algorithm not in accepted:
        raise UnsupportedError(f"key encryption algorithm {algorithm} is not accepted")
    if len(ek) != HPKE_SUITES[algorithm].enc_bytes or len(encrypted_key) != KEY_BYTES + TAG_BYTES:
        raise MalformedError("a COSE_recipient holds a key of a wrong length")
    return Recipient(algorithm, headers[Header.KID], protected, ek, encrypted_key, cbor.encode(found))
