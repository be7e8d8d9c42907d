"""CoRIM at the import edge: what is read, what is left out and named, what is refused; whatever the bytes."""

from typing import Any

import pytest
from cbor2 import CBORTag, dumps
from hypothesis import example, given
from hypothesis import strategies as st

from protocol.errors import AuthenticationError, MalformedError, RemoteError, SealedgeError, UnsupportedError
from schemas.reference_values import ReferenceDocument, ReferenceMeasurement
from tests.synthetic.corim import (
    DIGEST,
    NOW,
    SUPPLIER,
    comid,
    corim,
    measurement,
    signed,
    triple,
    unsigned,
    wrapped,
)
from tests.synthetic.cose import ec_key
from verifier.corim import read_corim_untrusted

OTHER = bytes([0xD2]) * 32
KEYS = [SUPPLIER.public_key()]


def read(data: bytes, *profiles: str) -> ReferenceDocument:
    return read_corim_untrusted(data, "file.corim", None, profiles)


def only(*measurements: Any, environment: Any = None) -> ReferenceDocument:
    return read(unsigned(comid(triple(*measurements, environment=environment))))


def measured(*measurements: Any) -> tuple[ReferenceMeasurement, ...]:
    return only(*measurements).triples[0].measurements


def test_a_signed_corim_names_its_signer_and_its_window() -> None:
    document = read_corim_untrusted(signed(), "file.corim", KEYS)
    assert document.triples[0].measurements[0].digests == (DIGEST,)
    assert (document.not_before, document.not_after) == (NOW - 100, NOW + 100)
    assert document.signer is not None
    assert (document.name, document.identifier) == ("file.corim", "corim-1")


def test_any_of_the_policy_s_keys_may_have_signed() -> None:
    keys = [ec_key(99).public_key(), *KEYS]
    assert read_corim_untrusted(signed(), "f", keys).signer == read_corim_untrusted(signed(), "f", KEYS).signer


def test_a_corim_by_another_key_is_refused() -> None:
    for keys in ([ec_key(99).public_key()], []):
        with pytest.raises(AuthenticationError, match="not signed by a key of the policy"):
            read_corim_untrusted(signed(), "f", keys)


def test_every_bit_of_a_signed_corim_is_signed() -> None:
    whole = signed()
    for at in range(len(whole)):
        for bit in (1, 0x80):
            flipped = whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :]
            with pytest.raises(RemoteError):
                read_corim_untrusted(flipped, "f", KEYS)


def test_signed_and_unsigned_are_not_mistaken_for_one_another() -> None:
    with pytest.raises(AuthenticationError, match="unsigned, where a policy says signed"):
        read_corim_untrusted(unsigned(), "f", KEYS)
    with pytest.raises(AuthenticationError, match="signed, where a policy says unsigned"):
        read(signed())


@pytest.mark.parametrize("tags", [(500,), (502,), (500, 502)])
def test_the_outer_tags_of_earlier_drafts_are_passed_over(tags: tuple[int, ...]) -> None:
    assert read_corim_untrusted(wrapped(signed(), tags), "f", KEYS).triples
    assert read(wrapped(unsigned(), tags)).triples


def test_cwt_claims_may_stand_for_corim_meta_and_narrow_its_window() -> None:
    claims = {1: "ACME", 4: NOW + 50, 5: NOW - 200}
    both = read_corim_untrusted(signed(n15=claims), "f", KEYS)
    alone = read_corim_untrusted(signed(n8=None, n15=claims), "f", KEYS)
    assert (both.not_before, both.not_after) == (NOW - 100, NOW + 50)
    assert (alone.not_before, alone.not_after) == (NOW - 200, NOW + 50)


def test_the_document_s_own_window_narrows_the_signature_s() -> None:
    payload = corim(n4={1: CBORTag(1, NOW + 10)})
    document = read_corim_untrusted(signed(payload), "f", KEYS)
    assert (document.not_before, document.not_after) == (NOW - 100, NOW + 10)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"n3": "application/json"}, MalformedError),
        ({"n3": None}, MalformedError),
        ({"n8": None}, MalformedError),
        ({"n8": {0: {0: "ACME"}}}, MalformedError),
        ({"n8": dumps({0: {0: "ACME"}, 1: {1: "tomorrow"}})}, MalformedError),
        ({"n8": dumps({0: {0: "ACME"}, 1: {1: float("nan")}})}, MalformedError),
        ({"n258": -16}, UnsupportedError),
        ({"n1": -37}, RemoteError),
        ({"n1": None}, MalformedError),
    ],
    ids=str,
)
def test_headers_that_are_not_a_corim_s(changes: dict[str, Any], error: type[SealedgeError]) -> None:
    with pytest.raises(error):
        read_corim_untrusted(signed(**changes), "f", KEYS)


def test_measurements_of_one_element_are_alternatives_and_others_are_not() -> None:
    assert [each.digests for each in measured(measurement(DIGEST, key=1), measurement(OTHER, key=1))] == [
        (DIGEST, OTHER)
    ]
    assert len(measured(measurement(DIGEST, key=1), measurement(OTHER, key=2))) == 2
    assert len(measured(measurement(DIGEST, key=1), measurement(OTHER, key="1"))) == 2
    # A digest or a security version would be less than what the supplier said.
    assert len(measured(measurement(DIGEST), measurement(n1=CBORTag(553, 4)))) == 2
    assert len(measured(measurement(DIGEST, n1=1), measurement(OTHER, n1=2))) == 2


def test_all_that_can_be_compared_is_read() -> None:
    (found,) = measured(
        measurement(DIGEST, key="measurement", n0={0: "1.0"}, n1=CBORTag(553, 4), n3={3: False}, n11="firmware")
    )
    assert found == ReferenceMeasurement(key="measurement", digests=(DIGEST,), least_svn=4, debug=False)
    assert measured(measurement(n1=CBORTag(552, 4)))[0].svn == measured(measurement(n1=4))[0].svn == 4
    masked = CBORTag(563, [b"\x12\x00", b"\xff\x00"])
    assert measured(measurement(n4=masked)) == measured(measurement(n4=CBORTag(560, b"\x12\x00"), n5=b"\xff\x00"))
    assert measured(measurement(n4=b"\x12"))[0].mask is None
    (registers,) = measured(measurement(n14={0: [[1, DIGEST], ["mine", b"x"]], "rtmr1": [[7, bytes(48)]]}))
    assert registers.registers == (("0", (DIGEST,)), ("rtmr1", (bytes(48),)))
    (component,) = measured(measurement(DIGEST, key=CBORTag(601, {1: "BL", 5: OTHER})))
    assert (component.key, component.signer) == ("BL", OTHER)
    assert measured(measurement(DIGEST, n13=[CBORTag(560, OTHER)]))[0].signer == OTHER


def test_environments_are_read_as_far_as_evidence_has_them() -> None:
    uuid, implementation = bytes(16), b"i" * 32
    named = only(measurement(DIGEST), environment={0: {0: CBORTag(37, uuid), 1: "ACME", 3: 1, 4: 0}}).triples[0]
    assert named.environment.named == f"{uuid.hex()} ACME layer 1 index 0"
    assert named.environment.implementation is named.environment.instance is None
    for tag in (560, 600):
        environment = {0: {0: CBORTag(tag, implementation)}, 1: CBORTag(550, b"\x01" + OTHER)}
        found = only(measurement(DIGEST), environment=environment).triples[0].environment
        assert (found.implementation, found.instance) == (implementation, b"\x01" + OTHER)


UNUSED: dict[str, Any] = {
    "a group": triple(measurement(DIGEST), environment={0: {1: "ACME"}, 2: CBORTag(37, bytes(16))}),
    "an extension of the environment": triple(measurement(DIGEST), environment={0: {1: "ACME"}, 7: 1}),
    "an extension of the class": triple(measurement(DIGEST), environment={0: {1: "ACME", -1: 1}}),
    "this kind of class id": triple(measurement(DIGEST), environment={0: {0: CBORTag(557, [1, DIGEST])}}),
    "this kind of instance id": triple(measurement(DIGEST), environment={1: CBORTag(37, bytes(16))}),
    "authorized-by": triple({**measurement(DIGEST), 2: [CBORTag(560, OTHER)]}),
    "an extension of the measurement": triple({**measurement(DIGEST), 9: 1}),
    "a measurement of words alone": triple(measurement(n0={0: "1.0"}, n11="firmware")),
    "a platform configuration": triple(measurement(DIGEST, key=CBORTag(602, "config"))),
    "a flag other than is-debug": triple(measurement(DIGEST, n3={1: True, 3: False})),
    "a key in a measurement": triple(measurement(DIGEST, n13=[CBORTag(554, "key")])),
    "a digest by none but unknown algorithms": triple(measurement(b"short", algorithm=2)),
    "entry 15": triple(measurement(DIGEST, n15=3)),
    "entry -1": triple({1: {2: [[1, DIGEST]], -1: 3}}),
}


@pytest.mark.parametrize("construct", UNUSED)
def test_a_triple_with_something_that_cannot_be_compared_is_left_out_whole(construct: str) -> None:
    document = read(unsigned(comid(UNUSED[construct], triple(measurement(OTHER)))))
    assert [each.measurements[0].digests for each in document.triples] == [(OTHER,)]
    assert f"comid-1: reference triple 0: {construct}" in document.skipped[0]
    with pytest.raises(UnsupportedError, match="yields no reference value") as caught:
        read(unsigned(comid(UNUSED[construct])))
    assert construct in (caught.value.finding.found if caught.value.finding else "")


def test_what_is_not_a_reference_value_is_named() -> None:
    endorsed = comid(triple(measurement(DIGEST)), n1=[triple(measurement(OTHER))], n10=[])
    document = read(unsigned(endorsed, CBORTag(505, b"\xa0"), CBORTag(508, b"\xa0"), n2=[{0: "https://a"}], n9=1))
    assert sorted(document.skipped) == [
        "comid-1: conditional endorsements are not used",
        "comid-1: endorsed values are not used",
        "corim: a CoSWID tag is not used",
        "corim: a list of tags is not used",
        "corim: dependent RIMs are not fetched",
        "corim: entry 9 is not used",
    ]


def test_a_profile_must_be_understood() -> None:
    private = triple({1: {2: [[1, DIGEST]], -1: 3}})
    for profile, name in ((CBORTag(32, "https://p"), "https://p"), ("https://p", "https://p"), (b"\x06\x01", "0601")):
        data = unsigned(comid(private), n3=profile)
        with pytest.raises(UnsupportedError, match="profile"):
            read(data)
        assert read(data, "another", name).triples
    assert read(unsigned(n3=CBORTag(32, "tag:arm.com,2025:psa#1.0.0"))).triples
    with pytest.raises(UnsupportedError, match="yields no"):
        read(unsigned(comid(private), n3="http://arm.com/psa/iot/1"))


MALFORMED: dict[str, Any] = {
    "another tag": CBORTag(506, b"\xa0"),
    "a list": [],
    "no identifier": CBORTag(501, {1: [comid(triple(measurement(DIGEST)))]}),
    "no tags": CBORTag(501, {0: "x"}),
    "an empty list of tags": CBORTag(501, {0: "x", 1: []}),
    "a tag of no kind": corim(CBORTag(32, "x")),
    "a profile that is a number": corim(n3=4),
    "a window that is a list": corim(n4=[1, 2]),
    "a time before 1970": corim(n4={1: -1}),
    "a time without end": corim(n4={1: float("inf")}),
    "a CoMID without triples": corim(CBORTag(506, dumps({1: {0: "x"}}))),
    "a CoMID without identity": corim(CBORTag(506, dumps({4: {0: []}}))),
    "an identifier that is too long": corim(comid(triple(measurement(DIGEST)), tag="x" * 129)),
    "a triple of three": corim(comid([{0: {1: "ACME"}}, [measurement(DIGEST)], 1])),
    "no environment": corim(comid([{}, [measurement(DIGEST)]])),
    "no measurement": corim(comid(triple())),
    "an empty measurement": corim(comid(triple({1: {}}))),
    "a digest of a wrong length": corim(comid(triple(measurement(DIGEST[1:])))),
    "an algorithm that is a truth value": corim(comid(triple(measurement(DIGEST, algorithm=True)))),
    "a digest that is text": corim(comid(triple({1: {2: [[1, "x"]]}}))),
    "a security version below zero": corim(comid(triple(measurement(n1=-1)))),
    "a raw value that is text": corim(comid(triple(measurement(n4="x")))),
    "a flag that is a number": corim(comid(triple(measurement(n3={3: 1})))),
    "a vendor that is a number": corim(comid(triple(measurement(DIGEST), environment={0: {1: 3}}))),
    "a signer that is text": corim(comid(triple(measurement(DIGEST, key=CBORTag(601, {5: "x"}))))),
}


@pytest.mark.parametrize("fault", MALFORMED)
def test_malformed_ones_are_refused(fault: str) -> None:
    with pytest.raises((MalformedError, UnsupportedError)):
        read(dumps(MALFORMED[fault]))


def test_sizes_are_bounded() -> None:
    with pytest.raises(MalformedError):
        read(bytes(1 << 21))
    deep: Any = 1
    for _ in range(64):
        deep = [deep]
    with pytest.raises(MalformedError):
        read(unsigned(n9=deep))


@given(st.binary(max_size=300))
@example(b"\xd9\x01\xf5\xa2\x00\x61a\x01\x80")
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for keys in (None, KEYS):
        try:
            found: object = read_corim_untrusted(data, "f", keys)
        except RemoteError as error:
            found = error
        assert isinstance(found, ReferenceDocument | RemoteError)


ITEMS = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 600) | st.binary(max_size=33) | st.text(max_size=5) | st.floats(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.integers(-1, 15), inner, max_size=4)
        | st.builds(CBORTag, st.sampled_from([1, 37, 111, 550, 552, 553, 560, 563, 600, 601, 602]), inner)
    ),
    max_leaves=12,
)


@given(measurement=ITEMS, environment=ITEMS, key=st.sampled_from([0, 1, 2]))
def test_any_measurement_and_environment_is_read_or_refused(measurement: Any, environment: Any, key: int) -> None:
    for content in (
        triple({1: measurement}),
        triple({0: environment, 1: {2: [[1, DIGEST]]}}),
        [{key: environment}, [{1: {2: [[1, DIGEST]]}}]],
        [environment, [measurement]],
    ):
        try:
            found: object = read(unsigned(comid(content)))
        except RemoteError as error:
            found = error
        assert isinstance(found, ReferenceDocument | RemoteError)
