"""COSE Receipts of inclusion (RFC 9942 §5.2.1) as sealedge writes them: one signature over many entries.

    18([ protected {1: alg, 4: kid, 16: typ, 395: 1}, {396: {-1: [inclusion proof]}}, nil, signature ])

The payload is detached: it is the root that the entry and its proof lead to. So the signature holds for this entry or
not at all. `typ` says what the entries are, and 395 that the signed bytes are a tree's root: a signature over anything
else is none over a root.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from cbor2 import CBORTag

from protocol import cbor
from protocol.algorithms import RFC9162_SHA256, Header
from protocol.cose_sign import SIGN1_START, SIGN1_TAG, Sign1, check_accepted_untrusted
from protocol.cose_structure import known_protected_untrusted, sig_structure
from protocol.errors import MalformedError, UnsupportedError
from protocol.keys import SigningKey
from protocol.merkle import InclusionProof, inclusion_proof_untrusted, root_untrusted, tree

MAX_INCLUSION: Final = 1024
"""Bytes of one. sealedge's own stay below 500."""

_PROTECTED: Final = frozenset({Header.ALG, Header.KID, Header.TYP, Header.VDS})
_ONE_PROOF: Final = bytes((0xA1, 0x19, *Header.VDP.to_bytes(2, "big"), 0xA1, 0x20, 0x81))
"""{396: {-1: [ and one proof; -1 is the label of inclusion proofs (RFC 9942 §8.2.2.2)."""

_NIL: Final = b"\xf6"
_TAGS: Final = frozenset({SIGN1_TAG})
_NO_TAGS: Final[frozenset[int]] = frozenset()


def sign_inclusions(key: SigningKey, entries: Sequence[bytes], *, typ: str) -> list[bytes]:
    """Sign `entries` together: one COSE Receipt for each, in their order, which proves it without the others.

    Raises `ProtocolMisuseError` for none, and for more than `merkle.MAX_LEAVES`.
    """
    root, proofs = tree(entries)
    protected = _protected(key.algorithm, key.public.thumbprint, typ)
    signature = key.sign(sig_structure(protected, b"", root))
    before = SIGN1_START + cbor.encode_bstr(protected) + _ONE_PROOF
    after = _NIL + cbor.encode_bstr(signature)
    return [before + cbor.encode_bstr(_encoded(proof)) + after for proof in proofs]


def open_inclusion_untrusted(data: bytes, entry: bytes) -> Sign1:
    """Parse a COSE Receipt and follow its path from `entry`: returns what is to be verified, the root as its payload.

    Well formed after the call; nothing is trusted before `verify` returns, and then `entry` was signed.
    Raises `MalformedError`, or `UnsupportedError` for algorithms and header parameters not accepted here.
    """
    protected, unprotected, signature = _parts_untrusted(data)
    headers = known_protected_untrusted(protected, _PROTECTED)
    check_accepted_untrusted(headers)
    if headers[Header.VDS] != RFC9162_SHA256:
        raise UnsupportedError(f"verifiable data structure {headers[Header.VDS]} is not accepted")
    return Sign1(
        protected=protected,
        algorithm=headers[Header.ALG],
        kid=headers[Header.KID],
        typ=headers[Header.TYP],
        credential=None,
        payload=root_untrusted(entry, _proof_untrusted(unprotected)),
        signature=signature,
    )


@lru_cache(maxsize=64)
def _protected(algorithm: int, kid: bytes, typ: str) -> bytes:
    return cbor.encode({Header.ALG: algorithm, Header.KID: kid, Header.TYP: typ, Header.VDS: RFC9162_SHA256})


def _encoded(proof: InclusionProof) -> bytes:
    # A path is an array below 24 items, and so is the proof.
    path = bytes((0x80 | len(proof.path),)), *map(cbor.encode_bstr, proof.path)
    return b"".join((b"\x83", cbor.encode(proof.size), cbor.encode(proof.index), *path))


def _parts_untrusted(data: bytes) -> tuple[bytes, cbor.CborValue, bytes]:
    """Protected header, unprotected header, signature. Raises `MalformedError`."""
    message = cbor.decode_untrusted(data, max_bytes=MAX_INCLUSION, tags=_TAGS)
    parts = message.value if isinstance(message, CBORTag) else None
    if not isinstance(parts, list) or len(parts) != 4:
        raise MalformedError("not a COSE Receipt")
    protected, unprotected, payload, signature = parts
    if not isinstance(protected, bytes) or payload is not None or not isinstance(signature, bytes):
        raise MalformedError("the parts of a COSE Receipt are a byte string, a map, nil and a byte string")
    return protected, unprotected, signature


def _proof_untrusted(unprotected: cbor.CborValue) -> InclusionProof:
    """The one proof, where nothing else stands. Raises `MalformedError`."""
    match unprotected:
        case {Header.VDP: {-1: [bytes() as encoded], **others}, **more} if not others and not more:
            return inclusion_proof_untrusted(cbor.decode_untrusted(encoded, max_bytes=MAX_INCLUSION, tags=_NO_TAGS))
        case _:
            raise MalformedError("a COSE Receipt has one inclusion proof beside its signature, and nothing else")
