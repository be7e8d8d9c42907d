"""EAR tokens from bytes to claims whose signature holds: JWT (RFC 7519) and CWT (RFC 8392).

    parse_ear_untrusted(data)   -> EarToken      of which nothing is trusted
    EarToken.verify(key, ...)                    after which its claims are signed by `key`

Keys that travel in a header (`jwk`, `x5c`, `jku`) are never looked at: whose word counts is for the caller to say.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, cast

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from jwt.algorithms import Algorithm, get_default_algorithms

from protocol.errors import Finding, MalformedError, UnsupportedError
from verifier.evidence.documents import json_object_untrusted
from verifier.evidence.examination import Examination
from verifier.evidence.foreign_cbor import decode_foreign_untrusted
from verifier.evidence.foreign_cose import ForeignSign1, parse_foreign_sign1_untrusted
from verifier.evidence.public_keys import PublicKey

MAX_TOKEN: Final = 131_072
"""Bytes; Veraison's tokens with all of a PSA token's claims stay below 4,000."""

Claims = Mapping[Any, Any]

_SEGMENT: Final = re.compile(rb"[A-Za-z0-9_-]*")
_KID: Final = 4
_ISSUER: Final = ("iss", 1)
_JWS: Final = {"secp256r1": ("ES256",), "secp384r1": ("ES384",), "secp521r1": ("ES512",)}
_ED25519: Final = ("EdDSA", "Ed25519")
_KNOWN: Final = frozenset({*_ED25519, *(name for names in _JWS.values() for name in names)})


class EarToken(Protocol):
    """A well-formed token. `names` are what its key may be filed under: key id, then issuer."""

    @property
    def form(self) -> Literal["jwt", "cwt"]:
        """How it is encoded."""

    @property
    def claims(self) -> Claims:
        """What it says; not trusted before `verify`."""

    @property
    def names(self) -> tuple[str | bytes, ...]:
        """Hints at whose key it takes; not trusted."""

    def verify(self, key: PublicKey, examination: Examination) -> None:
        """After it `claims` are what the holder of `key` said. Raises `UnsupportedError` and `AuthenticationError`."""


@dataclass(frozen=True, slots=True, repr=False)
class Jwt:
    """JWS compact serialisation (RFC 7515 §7.1) of a claims set."""

    header: Mapping[str, Any]
    claims: Claims
    signed: bytes
    signature: bytes
    form: Literal["jwt"] = "jwt"

    @property
    def names(self) -> tuple[str | bytes, ...]:
        """`kid` of the header, `iss` of the claims."""
        return _names(self.header.get("kid"), self.claims)

    def verify(self, key: PublicKey, examination: Examination) -> None:
        """See `EarToken.verify`."""
        fitting = _jws_algorithms(key)
        found = self.header["alg"]
        message = "the key is for another algorithm"
        examination.demand(found in fitting, "ear.alg", " or ".join(fitting), found, message)
        # By the name that the key has, not the message.
        algorithm: Algorithm = get_default_algorithms()[fitting[0]]
        examination.signature_checked(
            algorithm.verify(self.signed, cast(Any, key), self.signature), "ear.signature", "the pinned key"
        )


@dataclass(frozen=True, slots=True, repr=False)
class Cwt:
    """COSE_Sign1 of a claims set."""

    message: ForeignSign1
    claims: Claims
    form: Literal["cwt"] = "cwt"

    @property
    def names(self) -> tuple[str | bytes, ...]:
        """`kid`, wherever it stands, and `iss`."""
        kid = self.message.headers.get(_KID, self.message.unprotected.get(_KID))
        return _names(kid, self.claims)

    def verify(self, key: PublicKey, examination: Examination) -> None:
        """See `EarToken.verify`."""
        self.message.verify(key, examination, "ear", "the pinned key")


def parse_ear_untrusted(data: bytes) -> EarToken:
    """A token of either form. Well formed after the call; nothing is trusted yet.

    Raises `MalformedError`, and `UnsupportedError` for algorithms that are not accepted: "none" and MACs are not.
    """
    if len(data) > MAX_TOKEN:
        raise MalformedError("the token is too large", finding=Finding("token", f"{MAX_TOKEN} bytes", str(len(data))))
    return _jwt_untrusted(data) if data.startswith(b"ey") else _cwt_untrusted(data)


def unpadded_untrusted(text: bytes, name: str) -> bytes:
    """base64url without padding (RFC 7515 §2), in the one form of its bytes. Raises `MalformedError`."""
    try:
        if _SEGMENT.fullmatch(text) is not None:
            decoded = base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
            if base64.urlsafe_b64encode(decoded).rstrip(b"=") == text:
                return decoded
    except (ValueError, binascii.Error):
        pass
    raise MalformedError(f"{name} is not base64url", finding=Finding(name, "base64url", f"{len(text)} bytes"))


def _jwt_untrusted(data: bytes) -> Jwt:
    segments = data.split(b".")
    if len(segments) != 3:
        finding = Finding("token", "three segments", str(len(segments)))
        raise MalformedError("not a JWT in compact form", finding=finding)
    header = json_object_untrusted(unpadded_untrusted(segments[0], "the JWT's header"), "the JWT's header")
    claims = json_object_untrusted(unpadded_untrusted(segments[1], "the JWT's claims"), "the JWT's claims")
    signature = unpadded_untrusted(segments[2], "the JWT's signature")
    algorithm = header.get("alg")
    if not isinstance(algorithm, str):
        raise MalformedError("a JWT without an algorithm", finding=Finding("ear.alg", "a name", "none"))
    if algorithm not in _KNOWN:
        finding = Finding("ear.alg", " or ".join(sorted(_KNOWN)), ascii(algorithm[:32]))
        raise UnsupportedError("a signature algorithm that is not accepted", finding=finding)
    if "crit" in header or "b64" in header:
        raise UnsupportedError("a critical JWS header parameter is unknown here")
    return Jwt(header, claims, segments[0] + b"." + segments[1], signature)


def _cwt_untrusted(data: bytes) -> Cwt:
    message = parse_foreign_sign1_untrusted(data, max_bytes=MAX_TOKEN)
    claims = decode_foreign_untrusted(message.payload, max_bytes=MAX_TOKEN)
    if not isinstance(claims, dict):
        raise MalformedError("the claims of a CWT are a map", finding=Finding("token", "a map", "another item"))
    return Cwt(message, claims)


def _jws_algorithms(key: PublicKey) -> tuple[str, ...]:
    """The names of the one algorithm that a key of this kind signs with, the one that PyJWT knows first."""
    fitting: tuple[str, ...] = ()
    if isinstance(key, ec.EllipticCurvePublicKey):
        fitting = _JWS.get(key.curve.name, ())
    elif isinstance(key, Ed25519PublicKey):
        fitting = _ED25519
    if not fitting:
        finding = Finding("ear.key", "P-256, P-384, P-521 or Ed25519", "another")
        raise UnsupportedError("a key of a kind that signs no EAR here", finding=finding)
    return fitting


def _names(kid: object, claims: Claims) -> tuple[str | bytes, ...]:
    issuer = next((claims[label] for label in _ISSUER if label in claims), None)
    return tuple(each for each in (kid, issuer) if isinstance(each, str | bytes) and each)
