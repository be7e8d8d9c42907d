"""What all COSE messages share: the outer array, the header maps, and the bytes that are authenticated.

Headers are read against a list of labels: what is not on it is refused, `crit` included, since a header that
this code does not understand cannot be obeyed (RFC 9052 §3.1).
"""

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

from cbor2 import CBORTag

from protocol import cbor
from protocol.algorithms import NONCE_BYTES, Header
from protocol.errors import MalformedError, ProtocolMisuseError, UnsupportedError

MAX_PROTECTED: Final = 1024
"""Bytes of a protected header. sealedge's own stay below 200."""

MAX_PARTIAL_IV: Final = 2**40 - 1
"""Five bytes, as in RFC 8613 §7.2.1."""

_NO_TAGS: Final[frozenset[int]] = frozenset()
_ENVELOPE_DEPTH: Final = 6
_HEADER_DEPTH: Final = 2
_KINDS: Final[dict[int, type]] = {
    Header.ALG: int,
    Header.KID: bytes,
    Header.IV: bytes,
    Header.PARTIAL_IV: bytes,
    Header.TYP: str,
    Header.EK: bytes,
    Header.VDS: int,
    Header.CREDENTIAL: bytes,
}
_STRUCTURE_PREFIX: Final = {context: cbor.encode([context, 0, 0])[:-2] for context in ("Encrypt0", "Encrypt")}


def envelope_untrusted(data: bytes, tag: int, parts: int, max_bytes: int) -> list[Any]:
    """The `parts` of a tagged COSE message: protected bstr, header map, content bstr, then what may follow.

    Raises `MalformedError`. Nothing inside is trusted.
    """
    message = cbor.decode_untrusted(data, max_bytes=max_bytes, max_depth=_ENVELOPE_DEPTH, tags=frozenset((tag,)))
    if not isinstance(message, CBORTag):
        raise MalformedError(f"not a COSE message with tag {tag}")
    return envelope_parts_untrusted(message.value, parts)


def envelope_parts_untrusted(message: cbor.CborValue, parts: int) -> list[Any]:
    """Check the types of the first three parts and how many there are. Raises `MalformedError`."""
    if not isinstance(message, list) or len(message) != parts:
        raise MalformedError(f"a COSE structure of {parts} parts is expected")
    protected, unprotected, content = message[:3]
    if not (isinstance(protected, bytes) and isinstance(unprotected, dict) and isinstance(content, bytes)):
        raise MalformedError("COSE parts are a byte string, a map and a byte string")
    return message


@lru_cache(maxsize=256)
def known_protected_untrusted(encoded: bytes, required: frozenset[int]) -> Mapping[int, Any]:
    """What `protected_untrusted` gives, remembered: for headers that one signer repeats in every message."""
    return MappingProxyType(protected_untrusted(encoded, required, frozenset()))


def protected_untrusted(encoded: bytes, required: frozenset[int], optional: frozenset[int]) -> dict[int, Any]:
    """Decode a protected header. Raises `MalformedError`, or `UnsupportedError` for labels not named here."""
    headers = cbor.decode_untrusted(encoded, max_bytes=MAX_PROTECTED, max_depth=_HEADER_DEPTH, tags=_NO_TAGS)
    if not isinstance(headers, dict):
        raise MalformedError("a protected header is a map")
    check_headers_untrusted(headers, required, optional)
    return headers


def check_headers_untrusted(
    headers: dict[Any, Any], required: frozenset[int], optional: frozenset[int] = frozenset()
) -> None:
    """Check the labels of a decoded header map, and the types of their values. Raises as `protected_untrusted`."""
    labels = headers.keys()
    if not labels >= required:
        raise MalformedError(f"COSE header parameters {sorted(required - labels)} are missing")
    if not labels <= required | optional:
        raise UnsupportedError("a COSE header parameter is unknown here, or not accepted at this place")
    for label, value in headers.items():
        if type(value) is not _KINDS[label]:
            raise MalformedError(f"COSE header parameter {label} has a wrong type")


def sig_structure(protected: bytes, external_aad: bytes, payload: bytes) -> bytes:
    """What a COSE_Sign1 signature covers (RFC 9052 §4.4)."""
    return cbor.encode(["Signature1", _normal(protected), external_aad, payload])


def enc_structure(context: str, protected: bytes, external_aad: bytes) -> bytes:
    """What the AEAD of `context` ("Encrypt0", "Encrypt") authenticates besides the plaintext (RFC 9052 §5.3)."""
    return _STRUCTURE_PREFIX[context] + cbor.encode_bstr(_normal(protected)) + cbor.encode_bstr(external_aad)


def _normal(protected: bytes) -> bytes:
    """An empty header map, however it was sent, counts as no bytes (RFC 9052 §4.4 step 2, §5.3 step 2)."""
    return b"" if protected == b"\xa0" else protected


def encode_partial_iv(number: int) -> bytes:
    """The shortest big-endian form, at least one byte. Raises `ProtocolMisuseError` beyond `MAX_PARTIAL_IV`."""
    if not 0 <= number <= MAX_PARTIAL_IV:
        raise ProtocolMisuseError(f"a Partial IV counts from 0 to {MAX_PARTIAL_IV}")
    return number.to_bytes((number.bit_length() + 7) // 8 or 1, "big")


def partial_iv_untrusted(encoded: bytes) -> int:
    """Raises `MalformedError` unless it is the form that `encode_partial_iv` gives."""
    if not 1 <= len(encoded) <= 5 or (encoded[0] == 0 and len(encoded) > 1):
        raise MalformedError("a Partial IV has 1 to 5 bytes and no leading zero")
    return int.from_bytes(encoded, "big")


def iv_untrusted(encoded: bytes) -> bytes:
    """Raises `MalformedError` unless it has the 12 bytes of AES-GCM: other lengths are hashed to one (P14)."""
    if len(encoded) != NONCE_BYTES:
        raise MalformedError(f"an IV has {NONCE_BYTES} bytes")
    return encoded
