"""Reading what the broker saw, as somebody reads it who knows the formats and holds no key."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeVar

from protocol.cose import parse_encrypt0_untrusted, parse_encrypt_untrusted, parse_sign1_untrusted
from protocol.errors import RemoteError
from protocol.messages import decode_message_untrusted
from protocol.receipts import signed_receipt_untrusted
from schemas.base import Message
from schemas.kinds import Kind
from schemas.session import Receipt

_SIGN1, _ENCRYPT0, _ENCRYPT = 0xD2, 0xD0, 0xD8
"""First bytes of the three envelopes (RFC 9052 §2)."""

BOUND: Final = frozenset(
    {
        Kind.ATTESTATION_REQUEST,
        Kind.CHALLENGE,
        Kind.EVIDENCE,
        Kind.KEY_REQUEST,
        Kind.KEY_RELEASE,
        Kind.SESSION_OPEN,
        Kind.SESSION_ACCEPT,
        Kind.ONE_SHOT,
        Kind.REQUEST,
        Kind.REPLY,
        Kind.RESULT,
        Kind.REFUSAL,
    }
)
"""Messages: good on one topic and in one exchange. Documents are not bound, and may be shown anywhere."""

M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True)
class Envelope:
    """What stands on the outside of a message. `kid` is a signer's thumbprint or a session id.

    `number` is the Partial IV, or the IV of a result; `readers` are thumbprints of the KEM keys it is sealed to;
    `inside` is the signed payload.
    """

    typ: str
    kid: bytes
    number: int = -1
    readers: tuple[bytes, ...] = ()
    inside: bytes = b""
    credential: bytes | None = None


@lru_cache(maxsize=4096)
def envelope(payload: bytes) -> Envelope | None:
    """The outside of a payload, or None where it is no envelope."""
    first = payload[:1]
    try:
        if first == bytes([_SIGN1]):
            return _signed(payload)
        if first == bytes([_ENCRYPT0]):
            message = parse_encrypt0_untrusted(payload)
            return Envelope(message.typ, message.kid, message.partial_iv)
        if first == bytes([_ENCRYPT]):
            sealed = parse_encrypt_untrusted(payload)
            readers = tuple(each.kid for each in sealed.recipients)
            return Envelope(sealed.typ, sealed.kid or b"", int.from_bytes(sealed.iv or b"", "big"), readers)
    except RemoteError:
        return None
    return None


def _signed(payload: bytes) -> Envelope:
    message = parse_sign1_untrusted(payload)
    readers: tuple[bytes, ...] = ()
    if message.payload[:1] == bytes([_ENCRYPT]):
        readers = tuple(each.kid for each in parse_encrypt_untrusted(message.payload).recipients)
    return Envelope(message.typ, message.kid, -1, readers, message.payload, message.credential)


def said(model: type[M], payload: bytes) -> M | None:
    """The signed message inside a payload, unverified; None where it is none of this model."""
    found = envelope(payload)
    if found is None or not found.inside:
        return None
    try:
        return decode_message_untrusted(model, found.inside)
    except RemoteError:
        return None


def said_receipt(document: bytes) -> Receipt:
    """A receipt, unverified. Raises `RemoteError` where it is none."""
    return decode_message_untrusted(Receipt, signed_receipt_untrusted(document)[0])


def typ_of(payload: bytes) -> str:
    """The `typ` of an envelope, "" where there is none."""
    found = envelope(payload)
    return "" if found is None else found.typ
