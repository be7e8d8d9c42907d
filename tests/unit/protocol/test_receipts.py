"""Receipts that are signed together: each proves itself alone, and no change to one goes through."""

from collections.abc import Callable
from typing import Any

import pytest
from cbor2 import CBORTag
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import cose_inclusion
from protocol.algorithms import ED25519, ESP256, RFC9162_SHA256, Header
from protocol.cbor import CborValue, decode_untrusted, encode
from protocol.cose import parse_sign1_untrusted, sign1
from protocol.cose_inclusion import MAX_INCLUSION, sign_inclusions
from protocol.cose_structure import sig_structure
from protocol.envelope import sign_document
from protocol.errors import AuthenticationError, MalformedError, RemoteError, UnexpectedError, UnsupportedError
from protocol.keys import SigningKey
from protocol.merkle import MAX_LEAVES, tree
from protocol.messages import encode_message
from protocol.receipts import (
    MAX_RECEIPT,
    VerifiedRoots,
    sign_receipts,
    signed_receipt_untrusted,
    verified_receipt_untrusted,
)
from protocol.verifying_key import VerifyingKey
from schemas.kinds import Kind, Tier
from schemas.reason import Reason
from schemas.session import CarriedState, Receipt
from tests.support.examples import examples

KEY = SigningKey.generate(lambda length: b"\1" * length)
OTHER = SigningKey.generate(lambda length: b"\2" * length)


def receipt(number: int) -> Receipt:
    return Receipt(
        fleet="clinic",
        agent="agent-1",
        request=number.to_bytes(16, "big"),
        model="scan",
        version=1,
        module=bytes(32),
        input_commitment=bytes(32),
        output_commitment=bytes(32),
        sequence=number,
        time=1_800_000_000,
        attestation_result=bytes(32),
        tier=Tier.SIMULATED,
        session=bytes(16),
        sender=bytes(32),
    )


RECEIPTS = [receipt(number) for number in range(5)]
SIGNED = sign_receipts(RECEIPTS, KEY)


def decoded(data: bytes) -> Any:
    return decode_untrusted(data)


class Parts:
    """A signed receipt taken apart, to be put together wrongly."""

    def __init__(self, signed: bytes = SIGNED[1]) -> None:
        self.entry, self.inclusion = decoded(signed)
        self.protected, unprotected, self.payload, self.signature = decoded(self.inclusion).value
        [proof] = unprotected[Header.VDP][-1]
        self.size, self.index, self.path = decoded(proof)

    def proof(self) -> bytes:
        return encode([self.size, self.index, self.path])

    def together(self, unprotected: CborValue | None = None, tag: int = 18) -> bytes:
        beside = {Header.VDP: {-1: [self.proof()]}} if unprotected is None else unprotected
        message = CBORTag(tag, [self.protected, beside, self.payload, self.signature])
        return encode([self.entry, encode(message)])

    def changed(self, **changes: object) -> bytes:
        for name, value in changes.items():
            setattr(self, name, value)
        return self.together()


def refusal(signed: bytes, key: VerifyingKey = KEY.public) -> RemoteError:
    roots = VerifiedRoots()
    for each in SIGNED:
        verified_receipt_untrusted(each, KEY.public, roots)
    with pytest.raises(RemoteError) as alone:
        verified_receipt_untrusted(signed, key)
    with pytest.raises(type(alone.value)):
        verified_receipt_untrusted(signed, key, roots)
    return alone.value


@pytest.mark.parametrize("algorithm", [ESP256, ED25519])
@pytest.mark.parametrize("count", [1, 2, 3, 63, 64, 65, 130])
def test_each_receipt_proves_itself_alone(algorithm: int, count: int) -> None:
    key = SigningKey.generate(lambda length: bytes([7]) * length, algorithm=algorithm)
    receipts = [receipt(number) for number in range(count)]
    signed = sign_receipts(receipts, key)
    assert [verified_receipt_untrusted(each, key.public) for each in signed] == receipts
    assert len({signed_receipt_untrusted(each)[1].signature for each in signed}) == -(-count // MAX_LEAVES)


def test_no_receipts_are_no_signature() -> None:
    assert sign_receipts([], KEY) == []


def test_the_largest_receipt_is_below_the_limit() -> None:
    most = {"fleet": "f" * 32, "agent": "a" * 32, "model": "m" * 32, "version": 2**63 - 1, "sequence": 2**63 - 1}
    carried = CarriedState(step=2**63 - 1, commitment=bytes(32))
    largest = receipt(0).model_copy(update={**most, "carried": carried, "delivered": 2**63 - 1})
    [signed, *_] = sign_receipts([largest] * MAX_LEAVES, KEY)
    assert len(signed) < 1024 < MAX_RECEIPT
    assert len(Parts(signed).inclusion) < 500 < MAX_INCLUSION


def test_what_is_put_together_again_is_the_same() -> None:
    """The changes below fail for what they change, and for nothing else."""
    assert Parts().together() == SIGNED[1]


CHANGES: dict[str, tuple[Callable[[], bytes], Reason]] = {
    "another receipt under the signature": (
        lambda: Parts().changed(entry=encode_message(receipt(9))),
        Reason.SIGNATURE_INVALID,
    ),
    "its neighbour's receipt": (lambda: Parts().changed(entry=Parts(SIGNED[0]).entry), Reason.SIGNATURE_INVALID),
    "a path of another tree": (
        lambda: Parts().changed(path=Parts(sign_receipts([receipt(n) for n in range(3, 8)], KEY)[1]).path),
        Reason.SIGNATURE_INVALID,
    ),
    "a path in another order": (lambda: Parts().changed(path=Parts().path[::-1]), Reason.SIGNATURE_INVALID),
    "another index": (lambda: Parts().changed(index=0), Reason.SIGNATURE_INVALID),
    "an index beyond the tree": (lambda: Parts().changed(index=5), Reason.MALFORMED),
    "a larger tree": (lambda: Parts().changed(size=17), Reason.MALFORMED),
    "a smaller tree": (lambda: Parts().changed(size=2), Reason.MALFORMED),
    "a tree that is too large": (lambda: Parts().changed(size=65, path=[bytes(32)] * 7), Reason.MALFORMED),
    "a path that goes on": (lambda: Parts().changed(path=[*Parts().path, bytes(32)]), Reason.MALFORMED),
    "a path that ends early": (lambda: Parts().changed(path=Parts().path[:-1]), Reason.MALFORMED),
    "no path": (lambda: Parts().changed(size=1, index=0, path=[]), Reason.SIGNATURE_INVALID),
    "a signature of another tree": (
        lambda: Parts().changed(signature=Parts(sign_receipts([receipt(1)], KEY)[0]).signature),
        Reason.SIGNATURE_INVALID,
    ),
    "a node as a receipt": (
        lambda: Parts().changed(size=2, index=0, entry=bytes(64), path=Parts().path[-1:]),
        Reason.SIGNATURE_INVALID,
    ),
    "the root beside its signature": (
        lambda: Parts().changed(payload=signed_receipt_untrusted(SIGNED[1])[1].payload),
        Reason.MALFORMED,
    ),
    "another tag": (lambda: Parts().together(tag=16), Reason.MALFORMED),
    "no signature": (lambda: Parts().changed(signature=None), Reason.MALFORMED),
    "an empty signature": (lambda: Parts().changed(signature=b""), Reason.SIGNATURE_INVALID),
    "no proof": (lambda: Parts().together({}), Reason.MALFORMED),
    "no proofs": (lambda: Parts().together({Header.VDP: {-1: []}}), Reason.MALFORMED),
    "two proofs": (lambda: Parts().together({Header.VDP: {-1: [Parts().proof()] * 2}}), Reason.MALFORMED),
    "a proof of consistency": (lambda: Parts().together({Header.VDP: {-2: [Parts().proof()]}}), Reason.MALFORMED),
    "a proof of consistency as well": (
        lambda: Parts().together({Header.VDP: {-1: [Parts().proof()], -2: [Parts().proof()]}}),
        Reason.MALFORMED,
    ),
    "something beside the proof": (
        lambda: Parts().together({Header.VDP: {-1: [Parts().proof()]}, Header.CREDENTIAL: b""}),
        Reason.MALFORMED,
    ),
    "a proof that is text": (lambda: Parts().together({Header.VDP: {-1: ["proof"]}}), Reason.MALFORMED),
    "another kind of tree": (lambda: under({Header.VDS: 2}), Reason.UNSUPPORTED),
    "no kind of tree": (lambda: under({Header.VDS: None}), Reason.MALFORMED),
    "a polymorphic algorithm": (lambda: under({Header.ALG: -7}), Reason.UNSUPPORTED),
    "another of our algorithms": (lambda: under({Header.ALG: ED25519}), Reason.SIGNATURE_INVALID),
    "another kind of entry": (lambda: under({Header.TYP: str(Kind.STATUS)}), Reason.UNEXPECTED),
    "a header of somebody's own": (lambda: under({-70001: 1}), Reason.UNSUPPORTED),
}


def under(headers: dict[int, Any]) -> bytes:
    """Signed by the right key over the right root, under another protected header."""
    [signed] = sign_receipts([receipt(1)], KEY)
    parts = Parts(signed)
    usual = {
        Header.ALG: ESP256,
        Header.KID: KEY.public.thumbprint,
        Header.TYP: str(Kind.RECEIPT),
        Header.VDS: RFC9162_SHA256,
    }
    kept = {label: value for label, value in {**usual, **headers}.items() if value is not None}
    protected = encode(kept)
    signature = KEY.sign(sig_structure(protected, b"", tree([parts.entry])[0]))
    return parts.changed(protected=protected, signature=signature)


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_refused(what: str) -> None:
    change, reason = CHANGES[what]
    assert refusal(change()).reason is reason


def test_the_usual_header_holds() -> None:
    assert verified_receipt_untrusted(under({}), KEY.public) == receipt(1)


def test_another_enclave_s_signature_is_refused() -> None:
    assert refusal(SIGNED[0], OTHER.public).reason is Reason.UNKNOWN_SIGNER
    assert refusal(sign_receipts(RECEIPTS, OTHER)[0]).reason is Reason.UNKNOWN_SIGNER


def test_a_root_that_was_signed_for_another_purpose_is_refused() -> None:
    """The same 32 bytes under the same key: as a document, as a message, as the root of other entries."""
    parts = Parts()
    root = signed_receipt_untrusted(SIGNED[1])[1].payload
    for made, expected in (
        (sign1(KEY, root, typ=str(Kind.RECEIPT)), MalformedError),
        (sign1(KEY, root, typ=str(Kind.STATUS), external_aad=b"aad"), MalformedError),
    ):
        message = parse_sign1_untrusted(made)
        signed = parts.changed(protected=message.protected, signature=message.signature)
        assert isinstance(refusal(signed), expected)
    [other] = sign_inclusions(KEY, [parts.entry], typ=str(Kind.STATUS))
    assert isinstance(refusal(encode([parts.entry, other])), UnexpectedError)


def test_a_signed_receipt_without_a_tree_is_none() -> None:
    """As receipts were before they were signed together: there is one way to verify."""
    assert refusal(sign_document(Kind.RECEIPT, receipt(1), KEY)).reason is Reason.MALFORMED


def test_a_root_is_no_document() -> None:
    with pytest.raises((MalformedError, UnsupportedError)):
        parse_sign1_untrusted(Parts().inclusion)


def test_the_same_receipt_twice_is_the_same_receipt_twice() -> None:
    one, other = sign_receipts([receipt(1)] * 2, KEY)
    assert one != other
    assert verified_receipt_untrusted(one, KEY.public) == verified_receipt_untrusted(other, KEY.public)


def test_a_signature_is_verified_once_for_its_root(monkeypatch: pytest.MonkeyPatch) -> None:
    verified: list[bytes] = []
    verify = VerifyingKey.verify

    def counting(self: VerifyingKey, signature: bytes, data: bytes) -> None:
        verified.append(signature)
        verify(self, signature, data)

    monkeypatch.setattr(VerifyingKey, "verify", counting)
    roots = VerifiedRoots(limit=2)
    for each in (*SIGNED, *SIGNED):
        verified_receipt_untrusted(each, KEY.public, roots)
    assert len(verified) == 1
    for number in (6, 7):
        [alone] = sign_receipts([receipt(number)], KEY)
        verified_receipt_untrusted(alone, KEY.public, roots)
    verified_receipt_untrusted(SIGNED[0], KEY.public, roots)
    assert len(verified) == 4, "the oldest was forgotten: it is verified again, not believed"


def test_what_failed_is_not_remembered() -> None:
    roots = VerifiedRoots()
    wrong = Parts().changed(signature=bytes(64))
    for _ in range(2):
        with pytest.raises(AuthenticationError):
            verified_receipt_untrusted(wrong, KEY.public, roots)


def test_a_verified_root_is_another_key_s_no_more_than_before() -> None:
    roots = VerifiedRoots()
    verified_receipt_untrusted(SIGNED[0], KEY.public, roots)
    with pytest.raises(AuthenticationError):
        verified_receipt_untrusted(SIGNED[0], OTHER.public, roots)


def test_the_encoding_that_is_joined_by_hand_is_the_one_that_cbor_has() -> None:
    joined = cose_inclusion._encoded
    _, proofs = tree([bytes([number]) for number in range(MAX_LEAVES)])
    for proof in proofs:
        assert joined(proof) == encode([proof.size, proof.index, list(proof.path)])


@given(st.integers(0, len(SIGNED[1]) - 1), st.integers(1, 255))
@settings(max_examples=examples(600), deadline=None)
def test_a_changed_byte_is_refused_or_means_the_same(position: int, change: int) -> None:
    """Size and index say sides, and are signed only as far as sides follow from them."""
    changed = bytearray(SIGNED[1])
    changed[position] ^= change
    try:
        found = verified_receipt_untrusted(bytes(changed), KEY.public)
    except RemoteError:
        return
    assert found == RECEIPTS[1]


@given(st.binary(max_size=600))
@settings(max_examples=examples(300), deadline=None)
def test_whatever_the_bytes_nothing_but_a_refusal_comes_of_them(data: bytes) -> None:
    inclusion = encode([Parts().entry, data])
    for each in (data, inclusion, encode([data, data])):
        with pytest.raises(RemoteError):
            verified_receipt_untrusted(each, KEY.public)
