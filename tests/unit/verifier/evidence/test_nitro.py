"""Nitro documents: one fault each, and each is named; the AWS that signs them is made up."""

import hashlib
from functools import cache
from typing import Any

import pytest
from cbor2 import CBORTag, dumps, loads
from cryptography.hazmat.primitives import hashes
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import AuthenticationError, FreshnessError, MalformedError, RemoteError, UnsupportedError
from schemas.kinds import Tier
from schemas.reason import Reason
from tests.synthetic.cose import ec_key
from tests.synthetic.exhibit import Exhibit
from tests.synthetic.nitro import (
    ABSENT,
    INSTANCE,
    MODULE,
    NONCE,
    NOW,
    issuers,
    leaf,
    module,
    nitro,
    pcrs,
    root,
)
from tests.synthetic.pki import DAY, START, issue
from verifier.evidence.examination import Examination


@cache
def valid() -> Exhibit:
    return nitro()


def refused(exhibit: Exhibit, error: type[RemoteError], reason: Reason, signature: str = "unchecked") -> None:
    examination = Examination()
    with pytest.raises(error) as caught:
        exhibit.appraise(examination)
    assert (caught.value.reason, examination.signature) == (reason, signature)


def test_what_a_module_signed() -> None:
    examination = Examination()
    tee = valid().appraise(examination)
    assert examination.signature == "valid"
    assert all(line.holds for line in examination.lines)
    assert (tee.tier, tee.measurement, tee.report_data, tee.debug) == (Tier.NITRO, pcrs()[0], NONCE, False)
    assert tee.chip == hashlib.sha256(INSTANCE.encode()).digest()
    assert tee.tcb_status is None
    assert tee.claims["module_id"] == MODULE
    assert tee.claims["instance_id"] == INSTANCE
    assert tee.claims["pcrs"] == {str(index): pcr for index, pcr in pcrs().items()}


def test_definite_maps_are_documents_too() -> None:
    assert nitro(definite=True).appraise().measurement == pcrs()[0]


def test_zero_pcrs_are_debug_mode() -> None:
    tee = nitro(changed={"pcrs": pcrs(fill=0)}).appraise()
    assert (tee.debug, tee.measurement) == (True, bytes(48))


@pytest.mark.parametrize("nonce", [None, ABSENT, b"", b"\x01" * 32])
def test_a_nonce_is_what_it_is_or_empty(nonce: Any) -> None:
    expected = nonce if isinstance(nonce, bytes) else b""
    assert nitro(changed={"nonce": nonce}).appraise().report_data == expected


def test_user_data_and_key_are_claims() -> None:
    claims = nitro(changed={"user_data": b"data", "public_key": b"key"}).appraise().claims
    assert (claims["user_data"], claims["public_key"]) == (b"data", b"key")


@pytest.mark.parametrize("module_id", ["i-0123-enc0", "somewhere", "i-0123456789abcdef0", "x i-0123456789abcdef0-enc0"])
def test_a_module_without_an_instance_has_no_chip(module_id: str) -> None:
    assert nitro(changed={"module_id": module_id}).appraise().chip is None


def test_the_root_may_be_handed_over_and_must_be_the_one() -> None:
    assert valid().with_part("root", root().pem).appraise().chip is not None
    assert valid().with_part("root", root().der).appraise().chip is not None
    other = issue("aws.nitro-enclaves", ec_key(77, "P-384"), may_sign=True)
    refused(valid().with_part("root", other.pem), AuthenticationError, Reason.UNKNOWN_SIGNER)


def test_a_root_that_is_handed_over_is_no_pin() -> None:
    other = issue("aws.nitro-enclaves", ec_key(77, "P-384"), may_sign=True)
    forged = leaf(other)
    exhibit = nitro(certificate=forged, cabundle=(other,)).with_part("root", other.pem)
    refused(exhibit, AuthenticationError, Reason.UNKNOWN_SIGNER)


def test_a_signature_by_another_key() -> None:
    refused(nitro(signer=ec_key(78, "P-384")), AuthenticationError, Reason.SIGNATURE_INVALID, "invalid")


def test_a_chain_to_another_root() -> None:
    refused(nitro(pinned=issue("Root", ec_key(79, "P-384"))), AuthenticationError, Reason.UNKNOWN_SIGNER)


def test_the_order_of_the_bundle_counts() -> None:
    refused(nitro(cabundle=issuers()[::-1]), AuthenticationError, Reason.UNKNOWN_SIGNER)
    shuffled = (issuers()[0], issuers()[2], issuers()[1], issuers()[3])
    refused(nitro(cabundle=shuffled), AuthenticationError, Reason.SIGNATURE_INVALID, "invalid")


def test_a_link_left_out() -> None:
    bundle = (*issuers()[:2], issuers()[3])
    refused(nitro(cabundle=bundle), AuthenticationError, Reason.SIGNATURE_INVALID, "invalid")


def test_a_leaf_that_issues_documents_for_another() -> None:
    """Somebody's own module certificate signs a second leaf: it is no CA."""
    second = leaf(module(), key=ec_key(80, "P-384"))
    exhibit = nitro(certificate=second, cabundle=(*issuers(), module()))
    refused(exhibit, AuthenticationError, Reason.SIGNATURE_INVALID)


@pytest.mark.parametrize("faults", [{"ca": True}, {"may_sign": None}, {"ca": True, "may_sign": True}])
def test_a_leaf_of_another_use(faults: dict[str, Any]) -> None:
    refused(nitro(certificate=leaf(**faults)), AuthenticationError, Reason.SIGNATURE_INVALID)


def test_a_leaf_of_another_curve() -> None:
    exhibit = nitro(certificate=leaf(key=ec_key(81)))
    refused(exhibit, MalformedError, Reason.MALFORMED)
    with_header = nitro(certificate=leaf(key=ec_key(81)), cose={"protected": dumps({1: -35})})
    refused(with_header, UnsupportedError, Reason.UNSUPPORTED)


def test_a_weak_hash_in_the_chain() -> None:
    weak = leaf(algorithm=hashes.SHA224())
    refused(nitro(certificate=weak), AuthenticationError, Reason.SIGNATURE_INVALID, "invalid")


@pytest.mark.parametrize(("at", "reason"), [(START + 3 * 3600 + 1, Reason.EXPIRED), (START - 61, Reason.NOT_YET_VALID)])
def test_the_module_s_certificate_lives_three_hours(at: float, reason: Reason) -> None:
    refused(valid().at(at), FreshnessError, reason)


def test_an_expired_issuer() -> None:
    late = issue("instance", ec_key(4, "P-384"), issuers()[2], may_sign=True, path_length=0, ends=START - 1)
    exhibit = nitro(certificate=leaf(late), cabundle=(*issuers()[:3], late))
    refused(exhibit, FreshnessError, Reason.EXPIRED)


@pytest.mark.parametrize(
    ("timestamp", "reason"),
    [
        ((START - 61) * 1000, Reason.NOT_YET_VALID),
        ((START + 3 * 3600 + 1) * 1000, Reason.EXPIRED),
        ((START + 61) * 1000, Reason.NOT_YET_VALID),
        (START * 1000 // 1000, Reason.NOT_YET_VALID),
    ],
    ids=["before its certificate", "after it", "in the future", "in seconds"],
)
def test_when_the_document_was_made(timestamp: int, reason: Reason) -> None:
    refused(nitro(changed={"timestamp": timestamp}), FreshnessError, reason, "valid")


def test_a_clock_may_be_a_minute_ahead() -> None:
    assert nitro(changed={"timestamp": (START + 60) * 1000}).appraise()


MALFORMED: dict[str, dict[str, Any]] = {
    "no module": {"module_id": ABSENT},
    "a module of bytes": {"module_id": b"i-1"},
    "an empty module": {"module_id": ""},
    "a long module": {"module_id": "i" * 257},
    "a module with an escape": {"module_id": "i-\x1b[2J"},
    "no digest": {"digest": ABSENT},
    "another digest": {"digest": "SHA256"},
    "no time": {"timestamp": ABSENT},
    "a time that is text": {"timestamp": "now"},
    "a time that is true": {"timestamp": True},
    "time zero": {"timestamp": 0},
    "a time before time": {"timestamp": -1},
    "a time beyond time": {"timestamp": (1 << 64) - 1},
    "no PCRs": {"pcrs": ABSENT},
    "an empty map of PCRs": {"pcrs": {}},
    "a list of PCRs": {"pcrs": [bytes(48)]},
    "a PCR of 31 bytes": {"pcrs": {0: bytes(31)}},
    "a PCR of 49 bytes": {"pcrs": {0: bytes(49)}},
    "a PCR of text": {"pcrs": {0: "x" * 48}},
    "PCR 32": {"pcrs": {0: bytes(48), 32: bytes(48)}},
    "PCR -1": {"pcrs": {0: bytes(48), -1: bytes(48)}},
    "a PCR by name": {"pcrs": {0: bytes(48), "1": bytes(48)}},
    "33 PCRs": {"pcrs": {index: bytes(48) for index in range(33)}},
    "no PCR 0": {"pcrs": {1: bytes(48)}},
    "no certificate": {"certificate": ABSENT},
    "an empty certificate": {"certificate": b""},
    "a certificate that is none": {"certificate": b"certificate"},
    "a certificate of text": {"certificate": "certificate"},
    "a long certificate": {"certificate": bytes(1025)},
    "no bundle": {"cabundle": ABSENT},
    "an empty bundle": {"cabundle": []},
    "a bundle of nothing": {"cabundle": [b""]},
    "a bundle of text": {"cabundle": ["root"]},
    "a bundle of maps": {"cabundle": [{}]},
    "a bundle that is bytes": {"cabundle": b"root"},
    "a long bundle": {"cabundle": [b"x"] * 8},
    "a nonce of text": {"nonce": "nonce"},
    "a nonce of 1025 bytes": {"nonce": bytes(1025)},
    "user data that is false": {"user_data": False},
    "a key that is a list": {"public_key": []},
    "an entry of no document": {"extra": None},
    "an entry with a number": {1: None},
}


@pytest.mark.parametrize("changed", MALFORMED.values(), ids=MALFORMED)
def test_what_is_no_document(changed: dict[str, Any]) -> None:
    refused(nitro(changed=changed), MalformedError, Reason.MALFORMED)


@pytest.mark.parametrize("payload", [b"", b"\xa0", b"\x80", b"\x01", b"\xbf", dumps([1]), b"\xa1\x01\x01\x00"])
def test_a_payload_that_is_none(payload: bytes) -> None:
    message = loads(valid().parts["doc"])
    refused(valid().with_part("doc", dumps([message[0], {}, payload, message[3]])), MalformedError, Reason.MALFORMED)


@pytest.mark.parametrize(
    "cose",
    [
        {"protected": dumps({1: -51})},
        {"protected": dumps({1: -35, 4: b"kid"})},
        {"unprotected": {4: b"kid"}},
        {"protected": b"", "unprotected": {1: -35}},
        {"protected": b"\xa0"},
        {"tag": 18},
        {"tag": 61},
    ],
    ids=str,
)
def test_headers_and_tags_that_no_module_writes(cose: dict[str, Any]) -> None:
    refused(nitro(cose=cose), MalformedError, Reason.MALFORMED)


def test_a_document_is_needed_and_bounded() -> None:
    refused(valid().without("doc"), MalformedError, Reason.MALFORMED)
    refused(valid().with_part("doc", bytes(16_385)), MalformedError, Reason.OVERSIZED)
    refused(
        valid().with_part("doc", dumps(CBORTag(17, loads(valid().parts["doc"])))), UnsupportedError, Reason.UNSUPPORTED
    )


@pytest.mark.parametrize("step", [pytest.param(1, marks=pytest.mark.slow), 13])
def test_a_flipped_bit_anywhere_is_refused(step: int) -> None:
    """The whole document is signed, or is the signature, or has no other form."""
    document = valid().parts["doc"]
    for at in range(0, len(document), step):
        flipped = document[:at] + bytes([document[at] ^ 1 << at % 8]) + document[at + 1 :]
        with pytest.raises(RemoteError):
            valid().with_part("doc", flipped).appraise()


def test_no_other_length_is_accepted() -> None:
    document = valid().parts["doc"]
    for at in range(0, len(document), 7):
        with pytest.raises(RemoteError):
            valid().with_part("doc", document[:at]).appraise()
    for more in (b"\x00", b"\xff", document):
        with pytest.raises(MalformedError):
            valid().with_part("doc", document + more).appraise()


@given(st.binary(max_size=200), st.none() | st.binary(max_size=200))
def test_any_bytes_are_refused(document: bytes, given_root: bytes | None) -> None:
    exhibit = valid() if given_root is None else valid().with_part("root", given_root)
    with pytest.raises(RemoteError):
        exhibit.with_part("doc", document).appraise()


@given(st.binary(max_size=200))
def test_any_root_beside_a_valid_document(given_root: bytes) -> None:
    with pytest.raises(RemoteError):
        valid().with_part("root", given_root).appraise()


def test_times_are_checked_each_time_and_never_remembered() -> None:
    assert valid().appraise().tier is Tier.NITRO
    with pytest.raises(FreshnessError):
        valid().at(NOW + DAY).appraise()
    assert valid().at(NOW + 3600).appraise().tier is Tier.NITRO


def test_another_document_by_the_same_module() -> None:
    """Nothing but the chain is remembered from the last one."""
    assert nitro(changed={"nonce": b"other"}).appraise().report_data == b"other"
    assert valid().appraise().report_data == NONCE
