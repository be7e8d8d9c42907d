"""CCA tokens: the platform's key vouches for the realm's, and one fault each breaks the chain."""

import hashlib
from functools import cache
from typing import Any

import pytest
from cbor2 import CBORTag, dumps, loads
from hypothesis import given
from hypothesis import strategies as st

from protocol.cbor import encode
from protocol.errors import AppraisalError, AuthenticationError, MalformedError, RemoteError, UnsupportedError
from schemas.kinds import Tier
from schemas.reason import Reason
from tests.synthetic.cca import (
    ABSENT,
    COLLECTION_TAG,
    INSTANCE_ID,
    NONCE,
    TOKEN_TAG,
    cca,
    cose_key,
    platform_key,
    point,
    realm_key,
)
from tests.synthetic.cose import ec_key, pem
from tests.synthetic.exhibit import Exhibit
from tests.synthetic.psa import COMPONENTS
from verifier.evidence.cca import PLATFORM, REALM
from verifier.evidence.examination import Examination

TAGS = (COLLECTION_TAG, TOKEN_TAG)


@cache
def valid(tag: int = COLLECTION_TAG) -> Exhibit:
    return cca(tag=tag)


def refused(exhibit: Exhibit, error: type[RemoteError], reason: Reason, signature: str) -> Examination:
    examination = Examination()
    with pytest.raises(error) as caught:
        exhibit.appraise(examination)
    assert (caught.value.reason, examination.signature) == (reason, signature)
    return examination


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("form", [point, cose_key], ids=["point", "COSE_Key"])
def test_what_a_platform_says_of_a_realm(tag: int, form: Any) -> None:
    examination = Examination()
    tee = cca(tag=tag, rak=form(realm_key())).appraise(examination)
    assert examination.signature == "valid"
    assert all(line.holds for line in examination.lines)
    assert (tee.tier, tee.measurement, tee.report_data, tee.debug) == (Tier.CCA, b"\x77" * 32, NONCE, False)
    assert tee.chip == hashlib.sha256(INSTANCE_ID).digest()
    platform, realm = tee.claims["platform"], tee.claims["realm"]
    assert isinstance(platform, dict)
    assert isinstance(realm, dict)
    assert platform["lifecycle_state"] == "secured"
    assert len(platform["software_components"]) == len(COMPONENTS)
    assert realm["extensible_measurements"] == tuple(bytes([index]) * 32 for index in range(4))


def test_a_platform_alone_says_nothing_of_a_realm() -> None:
    examination = Examination()
    tee = cca(alone=True, platform={10: b"\x99" * 32}).appraise(examination)
    assert examination.signature == "valid"
    assert tee.claims["realm"] is None
    assert tee.report_data == b"\x99" * 32
    assert tee.measurement == hashlib.sha256(encode([[each[2], each[5]] for each in COMPONENTS])).digest()
    assert any("alone" in line.finding.found for line in examination.lines)


@pytest.mark.parametrize("name", ["sha-256", "sha-384", "sha-512"])
def test_each_hash_binds(name: str) -> None:
    assert cca(realm={44240: name}).appraise().report_data == NONCE


def test_a_platform_of_another_curve() -> None:
    for curve in ("P-256", "P-521"):
        key = ec_key(1, curve)
        assert cca(platform_signer=key, enrolled={INSTANCE_ID: key}).appraise().report_data == NONCE


def test_a_key_beside_the_token_wins_over_the_folder() -> None:
    other = ec_key(2, "P-384")
    assert cca(platform_signer=other, key=pem(other)).appraise().report_data == NONCE
    refused(cca(key=pem(other)), AuthenticationError, Reason.SIGNATURE_INVALID, "invalid")


def test_a_platform_that_nobody_enrolled() -> None:
    refused(cca(enrolled={}), AuthenticationError, Reason.UNKNOWN_SIGNER, "unchecked")
    other = b"\x01" + bytes(32)
    refused(cca(enrolled={other: platform_key()}), AuthenticationError, Reason.UNKNOWN_SIGNER, "unchecked")
    refused(cca(platform={256: ABSENT}), AuthenticationError, Reason.UNKNOWN_SIGNER, "unchecked")
    enrolled = {INSTANCE_ID: platform_key(), other: ec_key(3, "P-384")}
    exhibit = cca(platform={256: other}, enrolled=enrolled)
    refused(exhibit, AuthenticationError, Reason.SIGNATURE_INVALID, "invalid")


@pytest.mark.parametrize("tag", TAGS)
def test_signatures_by_other_keys(tag: int) -> None:
    by_another = cca(tag=tag, platform_signer=ec_key(4, "P-384"))
    refused(by_another, AuthenticationError, Reason.SIGNATURE_INVALID, "invalid")
    realm_by_another = cca(tag=tag, realm_signer=ec_key(4, "P-384"))
    refused(realm_by_another, AuthenticationError, Reason.SIGNATURE_INVALID, "invalid")


def test_a_realm_that_the_platform_does_not_vouch_for() -> None:
    """A realm's owner puts a token of their own beside a platform token that is somebody's."""
    mine = ec_key(5, "P-384")
    exhibit = cca(realm={44237: cose_key(mine)}, realm_signer=mine)
    examination = refused(exhibit, AuthenticationError, Reason.BINDING_MISMATCH, "invalid")
    assert examination.lines[-1].finding.claim == "platform.challenge"
    assert not examination.lines[-1].holds


def test_the_binding_covers_the_bytes_of_the_claim() -> None:
    """The same key in another encoding has another hash."""
    exhibit = cca(rak=point(realm_key()), realm={44237: cose_key(realm_key())})
    refused(exhibit, AuthenticationError, Reason.BINDING_MISMATCH, "invalid")
    for challenge in (bytes(64), hashlib.sha512(cose_key(realm_key())).digest()[:63], "x", None, ABSENT):
        refused(cca(platform={10: challenge}), AuthenticationError, Reason.BINDING_MISMATCH, "invalid")
    # The hash is the one that the realm names.
    exhibit = cca(platform={10: hashlib.sha256(cose_key(realm_key())).digest()})
    refused(exhibit, AuthenticationError, Reason.BINDING_MISMATCH, "invalid")


@pytest.mark.parametrize("name", ["md5", "sha-1", "SHA-256", "", 1, None, b"sha-256", [], ABSENT])
def test_a_hash_that_binds_nothing(name: Any) -> None:
    refused(cca(realm={44240: name}), UnsupportedError, Reason.UNSUPPORTED, "unchecked")


KEYS: dict[str, tuple[Any, type[RemoteError]]] = {
    "none": (ABSENT, MalformedError),
    "text": ("key", MalformedError),
    "empty": (b"", MalformedError),
    "long": (bytes(257), MalformedError),
    "97 bytes of no point": (b"\x04" + b"\x01" * 96, MalformedError),
    "97 bytes of another form": (b"\x02" + b"\x01" * 96, MalformedError),
    "a point of P-256": (point(ec_key(1)), MalformedError),
    "no CBOR": (b"\xa1", MalformedError),
    "no map": (b"\x80", MalformedError),
    "another type": (cose_key(realm_key(), kty=1), UnsupportedError),
    "another curve": (cose_key(realm_key(), crv=1), UnsupportedError),
    "another algorithm": (cose_key(realm_key(), alg=-7), UnsupportedError),
    "no y": (cose_key(realm_key(), y=ABSENT), MalformedError),
    "a sign for y": (cose_key(realm_key(), y=True), MalformedError),
    "a short x": (cose_key(realm_key(), x=bytes(47)), MalformedError),
    "off the curve": (cose_key(realm_key(), x=b"\x01" * 48), MalformedError),
}


@pytest.mark.parametrize("case", KEYS.values(), ids=KEYS)
def test_a_realm_key_that_is_none(case: tuple[Any, type[RemoteError]]) -> None:
    rak, error = case
    exhibit = cca(realm={44237: rak}) if rak is ABSENT or not isinstance(rak, bytes) else cca(rak=rak)
    examination = Examination()
    with pytest.raises(error):
        exhibit.appraise(examination)
    assert examination.signature == "unchecked"


def test_a_cose_key_may_name_its_algorithm() -> None:
    for algorithm in (-35, -51):
        assert cca(rak=cose_key(realm_key(), alg=algorithm)).appraise().report_data == NONCE


PLATFORM_FAULTS: dict[str, dict[Any, Any]] = {
    "no instance": {256: ABSENT},
    "an instance of another type": {256: b"\x02" + bytes(32)},
    "no implementation": {2396: ABSENT},
    "an implementation of 34 bytes": {2396: bytes(34)},
    "no configuration": {2401: ABSENT},
    "an empty configuration": {2401: b""},
    "no lifecycle": {2395: ABSENT},
    "a lifecycle of no state": {2395: 0x7F35},
    "no hash": {2402: ABSENT},
    "a hash that is none": {2402: "none"},
    "no components": {2399: ABSENT},
    "an empty list of components": {2399: []},
    "a component without a signer": {2399: [{2: bytes(32)}]},
    "an empty service": {2400: ""},
}

REALM_FAULTS: dict[str, dict[Any, Any]] = {
    "no challenge": {10: ABSENT},
    "a challenge of 32 bytes": {10: bytes(32)},
    "no personalization": {44235: ABSENT},
    "a short personalization": {44235: bytes(63)},
    "no hash": {44236: ABSENT},
    "another hash": {44236: "sha-1"},
    "no measurement": {44238: ABSENT},
    "a short measurement": {44238: bytes(31)},
    "no registers": {44239: ABSENT},
    "three registers": {44239: [bytes(32)] * 3},
    "a short register": {44239: [bytes(32)] * 3 + [bytes(31)]},
    "registers of text": {44239: ["x" * 32] * 4},
    "a short instance": {256: b"\x01"},
    "a policy of bytes": {44243: b"shared"},
}


@pytest.mark.parametrize("faults", PLATFORM_FAULTS.values(), ids=PLATFORM_FAULTS)
def test_a_genuine_platform_that_says_too_little(faults: dict[Any, Any]) -> None:
    examination = refused(
        cca(platform=faults, key=pem(platform_key())), AppraisalError, Reason.EVIDENCE_INVALID, "valid"
    )
    assert not examination.lines[-1].holds
    alone = cca(platform={10: bytes(32)} | faults, key=pem(platform_key()), alone=True)
    refused(alone, AppraisalError, Reason.EVIDENCE_INVALID, "valid")


@pytest.mark.parametrize("faults", REALM_FAULTS.values(), ids=REALM_FAULTS)
def test_a_genuine_realm_token_that_says_too_little(faults: dict[Any, Any]) -> None:
    examination = refused(cca(realm=faults), AppraisalError, Reason.EVIDENCE_INVALID, "valid")
    assert not examination.lines[-1].holds


def test_a_platform_alone_needs_a_challenge() -> None:
    refused(cca(alone=True, platform={10: ABSENT}), AppraisalError, Reason.EVIDENCE_INVALID, "valid")


@pytest.mark.parametrize(
    ("lifecycle", "debug"),
    [(0x3000, False), (0x30FF, False), (0x0000, True), (0x2001, True), (0x4000, True), (0x5000, True), (0x6000, True)],
)
def test_whatever_is_not_secured_counts_as_debug(lifecycle: int, debug: bool) -> None:
    assert cca(platform={2395: lifecycle}).appraise().debug is debug
    assert cca(platform={2395: lifecycle, 10: bytes(32)}, alone=True).appraise().debug is debug


@pytest.mark.parametrize(
    "profile", ["tag:arm.com,2026:cca_platform#2.0.0", "tag:psacertified.org,2023:psa#tfm", 1, ABSENT]
)
def test_another_platform_profile(profile: Any) -> None:
    refused(cca(platform={265: profile}), UnsupportedError, Reason.UNSUPPORTED, "valid")


@pytest.mark.parametrize("profile", ["tag:arm.com,2026:realm#2.0.0", "tag:arm.com,2023:cca_platform#1.0.0", 1, None])
def test_another_realm_profile(profile: Any) -> None:
    refused(cca(realm={265: profile}), UnsupportedError, Reason.UNSUPPORTED, "valid")


@pytest.mark.parametrize("profile", ["tag:arm.com,2024:realm#2.0.0", "http://arm.com/CCA-SSD/1.0.0", ABSENT])
def test_realm_profiles_that_are_known(profile: Any) -> None:
    assert cca(realm={265: profile, 256: INSTANCE_ID, 44243: "shared"}).appraise().report_data == NONCE


def wrapped(tag: int | None, content: Any) -> Exhibit:
    return valid().with_part("token", dumps(content if tag is None else CBORTag(tag, content)))


def tokens() -> dict[int, bytes]:
    return dict(loads(valid(TOKEN_TAG).parts["token"]).value)


def test_both_tokens_and_nothing_else_are_wrapped() -> None:
    both = tokens()
    assert wrapped(TOKEN_TAG, both).appraise().report_data == NONCE
    one, other = {PLATFORM: both[PLATFORM]}, {REALM: both[REALM]}
    swapped = {PLATFORM: both[REALM], REALM: both[PLATFORM]}
    for content in (
        {},
        [],
        b"",
        one,
        other,
        both | {1: b""},
        {PLATFORM: both[PLATFORM], REALM: "x"},
        list(both.values()),
    ):
        with pytest.raises(MalformedError):
            wrapped(TOKEN_TAG, content).appraise()
    with pytest.raises(RemoteError):
        wrapped(TOKEN_TAG, swapped).appraise()
    for tag in (None, 1, 400, 16):
        with pytest.raises(MalformedError):
            wrapped(tag, both).appraise()


def test_a_realm_token_alone_is_no_evidence() -> None:
    alone = valid().with_part("token", tokens()[REALM])
    refused(alone, AuthenticationError, Reason.UNKNOWN_SIGNER, "unchecked")
    refused(alone.with_part("key", pem(realm_key())), UnsupportedError, Reason.UNSUPPORTED, "valid")


@pytest.mark.parametrize("record", [b"", [], [263], [263, "x"], [263, b"x", 4], {}, [263, b""], None])
def test_records_of_a_collection(record: Any) -> None:
    content = {label: [263, each] for label, each in tokens().items()}
    assert wrapped(COLLECTION_TAG, content).appraise().report_data == NONCE
    for label in (PLATFORM, REALM):
        with pytest.raises(MalformedError):
            wrapped(COLLECTION_TAG, content | {label: record}).appraise()


def test_the_type_of_a_record() -> None:
    assert cca(record_type="application/eat+cwt").appraise().report_data == NONCE
    for other in (264, "application/eat+jwt", None, [], b"", {}):
        with pytest.raises(UnsupportedError):
            cca(record_type=other).appraise()


@pytest.mark.parametrize("which", ["platform_cose", "realm_cose"])
def test_messages_that_are_no_tokens(which: str) -> None:
    algorithms: list[dict[str, Any]] = [
        {"protected": b"", "unprotected": {1: -35}},
        {"protected": b"\xa0"},
        {"tag": None},
    ]
    for cose in algorithms:
        refused(cca(**{which: cose}), MalformedError, Reason.MALFORMED, "unchecked")
    for tag in (17, 16, 98):
        refused(cca(**{which: {"tag": tag}}), UnsupportedError, Reason.UNSUPPORTED, "unchecked")


def test_a_token_is_needed() -> None:
    refused(valid().without("token"), MalformedError, Reason.MALFORMED, "unchecked")


@pytest.mark.parametrize(
    ("tag", "step"), [pytest.param(COLLECTION_TAG, 1, marks=pytest.mark.slow), (COLLECTION_TAG, 11), (TOKEN_TAG, 5)]
)
def test_a_flipped_bit_anywhere_is_refused(tag: int, step: int) -> None:
    """Both tokens are signed; what wraps them has no other form."""
    exhibit = valid(tag)
    token = exhibit.parts["token"]
    for at in range(0, len(token), step):
        flipped = token[:at] + bytes([token[at] ^ 1 << at % 8]) + token[at + 1 :]
        with pytest.raises(RemoteError):
            exhibit.with_part("token", flipped).appraise()


def test_no_other_length_is_accepted() -> None:
    token = valid().parts["token"]
    for changed in (*(token[:at] for at in range(0, len(token), 3)), token + b"\x00", token[1:], token[3:], token * 2):
        with pytest.raises(RemoteError):
            valid().with_part("token", changed).appraise()


@given(st.binary(max_size=128), st.none() | st.binary(max_size=128))
def test_any_bytes_are_refused(token: bytes, key: bytes | None) -> None:
    exhibit = valid() if key is None else valid().with_part("key", key)
    with pytest.raises(RemoteError):
        exhibit.with_part("token", token).appraise()


@given(st.binary(max_size=110))
def test_any_realm_key_is_read_or_refused(rak: bytes) -> None:
    with pytest.raises(RemoteError):
        cca(rak=rak).appraise()
