"""COSE_Sign1 (RFC 9052 §4.2) as others make it: tag 18 or none, any header parameters, any encoding.

    parse_foreign_sign1_untrusted(data)  -> ForeignSign1         nothing in it is trusted
    ForeignSign1.verify(key, ...)        -> the payload, signed by `key`

The key fixes the algorithm. What the message names must agree with it, and decides nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from protocol.algorithms import ED25519, ESP256, Header
from protocol.cbor import CBORTag, CborValue
from protocol.cose_structure import sig_structure
from protocol.errors import AuthenticationError, Finding, MalformedError, UnsupportedError
from verifier.evidence.examination import Examination
from verifier.evidence.foreign_cbor import decode_foreign_untrusted
from verifier.evidence.public_keys import PublicKey

SIGN1_TAG: Final = 18
CWT_TAG: Final = 61
"""May stand before tag 18 (RFC 8392 §6)."""

MAX_PROTECTED: Final = 16_384
"""Bytes of a protected header, which may hold a certificate chain (RFC 9360)."""

ES256, ES384, ES512, EDDSA = -7, -35, -36, -8
ESP384, ESP512 = -51, -52

_HASHES: Final[Mapping[str, hashes.HashAlgorithm]] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}
_ALGORITHMS: Final[Mapping[str, frozenset[int]]] = {
    "secp256r1": frozenset({ES256, ESP256}),
    "secp384r1": frozenset({ES384, ESP384}),
    "secp521r1": frozenset({ES512, ESP512}),
    "ed25519": frozenset({EDDSA, ED25519}),
}
"""By kind of key: the registered numbers of its one algorithm, polymorphic and fully specified (RFC 9053, RFC 9864)."""

_KNOWN: Final = frozenset[int]().union(*_ALGORITHMS.values())

_OTHER_COSE: Final = {16: "COSE_Encrypt0", 17: "COSE_Mac0", 96: "COSE_Encrypt", 97: "COSE_Mac", 98: "COSE_Sign"}
_OUTER_TAGS: Final = frozenset({SIGN1_TAG, CWT_TAG, *_OTHER_COSE})
_OUTER_DEPTH: Final = 10
_HEADER_DEPTH: Final = 8


@dataclass(frozen=True, slots=True, repr=False)
class ForeignSign1:
    """A well-formed COSE_Sign1. `headers` are the protected ones; `unprotected` ones nobody signs, ever."""

    protected: bytes
    headers: Mapping[Any, Any]
    unprotected: Mapping[Any, Any]
    payload: bytes
    signature: bytes

    @property
    def algorithm(self) -> int | None:
        """What the message names: protected, else unprotected, else not at all."""
        found: int | None = self.headers.get(Header.ALG, self.unprotected.get(Header.ALG))
        return found

    def is_signed_by(self, key: PublicKey, *, external_aad: bytes = b"") -> bool:
        """Whether `key` signed protected header, payload and `external_aad`, by the algorithm of its kind."""
        if self.algorithm is not None and self.algorithm not in algorithms_of(key):
            return False
        message = sig_structure(self.protected, external_aad, self.payload)
        if isinstance(key, ec.EllipticCurvePublicKey):
            return _ecdsa_holds(key, self.signature, message)
        if not isinstance(key, Ed25519PublicKey):
            return False
        try:
            key.verify(self.signature, message)
        except InvalidSignature:
            return False
        return True

    def verify(
        self, key: PublicKey, examination: Examination, claim: str, by: str, *, external_aad: bytes = b""
    ) -> bytes:
        """Returns the payload: `key`, which `by` names for people, signed it.

        `examination` learns of the algorithm as `{claim}.alg` and of the signature as `{claim}.signature`. Raises
        `UnsupportedError` for a key of a kind that signs nothing here, `AuthenticationError` for the rest.
        """
        fitting = algorithms_of(key)
        expected = " or ".join(map(str, sorted(fitting, reverse=True)))
        if not fitting:
            finding = Finding(f"{claim}.key", "P-256, P-384, P-521 or Ed25519", "another")
            raise UnsupportedError("a key of a kind that signs no COSE here", finding=finding)
        if self.algorithm is None:
            examination.note(f"{claim}.alg", expected, "not given: that of the key")
        else:
            holds = self.algorithm in fitting
            message = "the key is for another algorithm"
            examination.demand(holds, f"{claim}.alg", expected, self.algorithm, message, error=AuthenticationError)
        holds = self.is_signed_by(key, external_aad=external_aad)
        examination.signature_checked(holds, f"{claim}.signature", by)
        return self.payload

    def __repr__(self) -> str:
        return f"ForeignSign1(alg={self.algorithm}, {len(self.payload)} bytes)"


def parse_foreign_sign1_untrusted(
    data: bytes,
    *,
    max_bytes: int,
    tagged: bool | None = None,
    understood: frozenset[int] = frozenset(),
    alg_protected: bool = True,
) -> ForeignSign1:
    """Parse a COSE_Sign1 with an attached payload. Well formed after the call; nothing is trusted yet.

    `tagged` demands tag 18 alone, or no tag: what is tagged is not signed. `understood` are the labels that `crit`
    may name. `alg_protected` demands the algorithm where RFC 9052 §3.1 has it; otherwise it may be unprotected or
    missing.

    Raises `MalformedError`, and `UnsupportedError` for the other kinds of COSE message, for algorithms that this
    code does not know, and for `crit` of other labels.
    """
    message = decode_foreign_untrusted(data, max_bytes=max_bytes, max_depth=_OUTER_DEPTH, tags=_OUTER_TAGS)
    _check_tag_untrusted(message, tagged)
    protected, unprotected, payload, signature = _parts_untrusted(_untagged_untrusted(message))
    headers = _headers_untrusted(protected)
    if headers.keys() & unprotected.keys():
        raise MalformedError("a COSE header parameter is protected and unprotected")
    _check_crit_untrusted(headers, unprotected, understood)
    signed = ForeignSign1(protected, headers, unprotected, payload, signature)
    _check_alg_untrusted(signed, alg_protected)
    return signed


def algorithms_of(key: PublicKey) -> frozenset[int]:
    """The COSE numbers of the one algorithm that a key of this kind signs with; none for other kinds."""
    if isinstance(key, ec.EllipticCurvePublicKey):
        return _ALGORITHMS.get(key.curve.name, frozenset())
    return _ALGORITHMS["ed25519"] if isinstance(key, Ed25519PublicKey) else frozenset()


def _check_tag_untrusted(message: CborValue, tagged: bool | None) -> None:
    found = message.tag if isinstance(message, CBORTag) else None
    if tagged is None or found in _OTHER_COSE or found == (SIGN1_TAG if tagged else None):
        return
    finding = Finding("cose.tag", str(SIGN1_TAG) if tagged else "none", "none" if found is None else str(found))
    raise MalformedError("a COSE_Sign1 is tagged otherwise here", finding=finding)


def _untagged_untrusted(message: CborValue) -> CborValue:
    if isinstance(message, CBORTag) and message.tag == CWT_TAG:
        message = message.value
        if not isinstance(message, CBORTag):
            raise MalformedError("a CWT tag stands before a COSE tag")
    if not isinstance(message, CBORTag):
        return message
    if message.tag != SIGN1_TAG:
        found = _OTHER_COSE.get(message.tag, f"tag {message.tag}")
        raise UnsupportedError("not a COSE_Sign1", finding=Finding("cose", "COSE_Sign1", found))
    content: CborValue = message.value
    return content


def _parts_untrusted(message: Any) -> tuple[bytes, dict[Any, Any], bytes, bytes]:
    if not isinstance(message, list) or len(message) != 4:
        raise MalformedError("not a COSE_Sign1", finding=Finding("cose", "an array of 4", "another item"))
    protected, unprotected, payload, signature = message
    if not all(isinstance(each, bytes) for each in (protected, payload, signature)):
        raise MalformedError("protected header, payload and signature of a COSE_Sign1 are byte strings")
    if not isinstance(unprotected, dict):
        raise MalformedError("the unprotected header of a COSE_Sign1 is a map")
    return protected, unprotected, payload, signature


def _headers_untrusted(protected: bytes) -> dict[Any, Any]:
    if not protected:
        return {}
    headers = decode_foreign_untrusted(protected, max_bytes=MAX_PROTECTED, max_depth=_HEADER_DEPTH)
    if not isinstance(headers, dict):
        raise MalformedError("a protected header is a map")
    return headers


def _check_crit_untrusted(headers: dict[Any, Any], unprotected: dict[Any, Any], understood: frozenset[int]) -> None:
    """RFC 9052 §3.1: `crit` is protected, and not to be overlooked."""
    if Header.CRIT in unprotected:
        raise MalformedError("the COSE header parameter crit is unprotected")
    if Header.CRIT not in headers:
        return
    labels = headers[Header.CRIT]
    if not isinstance(labels, list) or not labels:
        raise MalformedError("the COSE header parameter crit is a list of labels")
    if not all(isinstance(label, int) and label in understood for label in labels):
        raise UnsupportedError("a critical COSE header parameter is unknown here")


def _check_alg_untrusted(signed: ForeignSign1, protected: bool) -> None:
    if protected and Header.ALG not in signed.headers:
        raise MalformedError("the algorithm is not in the protected header", finding=Finding("alg", "protected", "not"))
    named, algorithm = Header.ALG in signed.headers or Header.ALG in signed.unprotected, signed.algorithm
    if named and not (isinstance(algorithm, int) and algorithm in _KNOWN):
        finding = Finding("alg", "ECDSA or Ed25519", ascii(algorithm)[:32])
        raise UnsupportedError("a signature algorithm that is not accepted", finding=finding)


def _ecdsa_holds(key: ec.EllipticCurvePublicKey, signature: bytes, message: bytes) -> bool:
    """RFC 9053 §2.1: r and s, each as long as the curve's order."""
    algorithm, width = _HASHES.get(key.curve.name), (key.key_size + 7) // 8
    if algorithm is None or len(signature) != 2 * width:
        return False
    r, s = int.from_bytes(signature[:width], "big"), int.from_bytes(signature[width:], "big")
    try:
        key.verify(encode_dss_signature(r, s), message, ec.ECDSA(algorithm))
    except InvalidSignature:
        return False
    return True
