"""COSE_Sign1 (RFC 9052 §4.2) as sealedge writes it, and nothing else.

    18([ protected {1: alg, 4: kid, 16: typ}, {} or {CREDENTIAL: bstr}, payload, signature ])

`kid` is the thumbprint of the signing key and `typ` (RFC 9596) says what the payload is: a signature made for one
purpose does not hold for another.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from protocol import cbor
from protocol.algorithms import ACCEPTED_SIGNATURES, Header
from protocol.cose_structure import (
    check_headers_untrusted,
    envelope_untrusted,
    known_protected_untrusted,
    sig_structure,
)
from protocol.errors import AuthenticationError, Finding, MalformedError, UnexpectedError, UnsupportedError
from protocol.keys import SigningKey, VerifyingKey
from schemas.reason import Reason

SIGN1_TAG: Final = 18
_PROTECTED: Final = frozenset({Header.ALG, Header.KID, Header.TYP})
_NONE: Final[frozenset[int]] = frozenset()
_UNPROTECTED: Final = frozenset({Header.CREDENTIAL})
SIGN1_START: Final = bytes((0xC0 | SIGN1_TAG, 0x84))
"""The tag, and an array of four."""


@dataclass(frozen=True, slots=True, repr=False)
class Sign1:
    """A well-formed COSE_Sign1 with accepted headers. Nothing in it is trusted before `verify` returns."""

    protected: bytes
    algorithm: int
    kid: bytes
    typ: str
    credential: bytes | None
    payload: bytes
    signature: bytes

    def verify(self, key: VerifyingKey, *, typ: str, external_aad: bytes = b"") -> bytes:
        """Returns the payload: `key` signed it, as `typ`, for `external_aad`. The credential is not covered.

        The algorithm is the one that the key is for; what the message names must agree, and decides nothing.
        Raises `AuthenticationError` (reason `unknown-signer` for another `kid`), `UnexpectedError` for `typ`.
        """
        if self.kid != key.thumbprint:
            found = Finding("kid", key.thumbprint.hex()[:16], self.kid.hex()[:16])
            raise AuthenticationError("signed with another key", reason=Reason.UNKNOWN_SIGNER, finding=found)
        if self.algorithm != key.algorithm:
            found = Finding("alg", str(key.algorithm), str(self.algorithm))
            raise AuthenticationError("the key is for another algorithm", finding=found)
        check_typ(self.typ, typ)
        key.verify(self.signature, sig_structure(self.protected, external_aad, self.payload))
        return self.payload

    def __repr__(self) -> str:
        return f"Sign1(typ={self.typ!r}, kid={self.kid.hex()[:16]}, {len(self.payload)} bytes)"


def sign1(
    key: SigningKey, payload: bytes, *, typ: str, external_aad: bytes = b"", credential: bytes | None = None
) -> bytes:
    """A tagged COSE_Sign1. `credential` travels unprotected: it proves itself by the authority's signature."""
    protected = _protected(key.algorithm, key.public.thumbprint, typ)
    signature = key.sign(sig_structure(protected, external_aad, payload))
    unprotected = {} if credential is None else {Header.CREDENTIAL: credential}
    parts = [cbor.encode(each) for each in (protected, unprotected, payload, signature)]
    return b"".join((SIGN1_START, *parts))


@lru_cache(maxsize=64)
def _protected(algorithm: int, kid: bytes, typ: str) -> bytes:
    """The protected header: the same for every message of a kind by one signer."""
    return cbor.encode({Header.ALG: algorithm, Header.KID: kid, Header.TYP: typ})


def parse_sign1_untrusted(data: bytes, *, max_bytes: int = cbor.MAX_MESSAGE) -> Sign1:
    """Parse a tagged COSE_Sign1. Well formed after the call; nothing is trusted yet.

    Raises `MalformedError`, or `UnsupportedError` for algorithms and header parameters not accepted here. A
    detached payload (nil) is refused.
    """
    protected, unprotected, payload, signature = envelope_untrusted(data, SIGN1_TAG, 4, max_bytes)
    headers = known_protected_untrusted(protected, _PROTECTED)
    check_headers_untrusted(unprotected, _NONE, _UNPROTECTED)
    check_accepted_untrusted(headers)
    if not isinstance(signature, bytes):
        raise MalformedError("a COSE signature is a byte string")
    return Sign1(
        protected=protected,
        algorithm=headers[Header.ALG],
        kid=headers[Header.KID],
        typ=headers[Header.TYP],
        credential=unprotected.get(Header.CREDENTIAL),
        payload=payload,
        signature=signature,
    )


def check_accepted_untrusted(headers: Mapping[int, Any]) -> None:
    """Raises `UnsupportedError` where a signer's protected header names an algorithm that is not accepted here."""
    if headers[Header.ALG] not in ACCEPTED_SIGNATURES:
        raise UnsupportedError(f"signature algorithm {headers[Header.ALG]} is not accepted")


def check_typ(found: str, expected: str) -> None:
    """Raises `UnexpectedError` where a message is of another type than this place takes."""
    if found != expected:
        # The text is the sender's: what a terminal would obey does not get into logs.
        shown = found[:64] if found.isascii() and found.isprintable() else "unprintable"
        raise UnexpectedError("a message of another type", finding=Finding("typ", expected, shown))
