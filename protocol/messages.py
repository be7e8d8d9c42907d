"""From models to bytes and back, and what every message is bound to.

message → map with integer keys → deterministic CBOR (RFC 8949 §4.2.1) → COSE (protocol.envelope)
"""

import hashlib
from typing import TypeVar

import cbor2
from pydantic import ValidationError

from protocol.cbor import MAX_MESSAGE, decode_untrusted, encode
from protocol.errors import Finding, MalformedError
from schemas.base import WIRE, Message, to_map
from schemas.kinds import Kind

DOMAIN = "sealedge/1"
"""The first element of everything that is hashed, derived or authenticated: nothing else ever signs it."""

M = TypeVar("M", bound=Message)


def encode_message(message: Message) -> bytes:
    """The deterministic CBOR of a message.

    `to_map` leaves ordered maps of plain values, for which cbor2's encoding is the deterministic one; a test holds
    it against `protocol.cbor.encode`.
    """
    return cbor2.dumps(to_map(message))


def decode_message_untrusted(model: type[M], data: bytes, *, max_bytes: int = MAX_MESSAGE) -> M:
    """Parse a message. Returns a well-formed model; nothing in it is authentic by this call alone.

    Raises `MalformedError`, naming the first field that is wrong and never its value.
    """
    found = decode_untrusted(data, max_bytes=max_bytes)
    if not isinstance(found, dict):
        raise MalformedError("not a map", finding=Finding(model.__name__, "a map", type(found).__name__))
    try:
        return model.model_validate(found, context=WIRE)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or model.__name__
        raise MalformedError(
            f"{model.__name__}.{where} is not valid", finding=Finding(where, first["type"], "another value")
        ) from None


def message_aad(kind: Kind, topic: str, sender: bytes, recipient: str, correlation: bytes) -> bytes:
    """The external_aad of every message (RFC 9052 §4.4, §5.3): moved elsewhere, it does not verify (P2).

    `sender` is the signer's key id, or the session id inside a session; `recipient` the name of the party that
    shall read it, or "" for all consumers of a topic; `correlation` the request it belongs to, or b"".
    """
    return encode([DOMAIN, str(kind), topic, sender, recipient, correlation])


def digest(data: bytes) -> bytes:
    """SHA-256: the name of a document, a chunk or a module."""
    return hashlib.sha256(data).digest()
