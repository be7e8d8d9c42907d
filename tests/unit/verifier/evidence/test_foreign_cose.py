"""COSE_Sign1 of others: the key fixes the algorithm, and what nobody signs decides nothing."""

from typing import Any

import pytest
from cbor2 import CBORTag, dumps, loads
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import AuthenticationError, MalformedError, RemoteError, UnsupportedError
from tests.synthetic.cose import ec_key, sign1
from verifier.evidence.examination import Examination
from verifier.evidence.foreign_cose import ForeignSign1, parse_foreign_sign1_untrusted

KEY = ec_key(1)
P384, P521 = ec_key(1, "P-384"), ec_key(1, "P-521")
ED25519 = Ed25519PrivateKey.from_private_bytes(bytes(32))


def parse(data: bytes, **options: Any) -> ForeignSign1:
    return parse_foreign_sign1_untrusted(data, **{"max_bytes": 4096} | options)


@pytest.mark.parametrize("key", [KEY, P384, P521, ED25519], ids=["P-256", "P-384", "P-521", "Ed25519"])
def test_each_kind_of_key_verifies_its_own(key: Any) -> None:
    signed = parse(sign1(key, b"payload"))
    examination = Examination()
    assert signed.verify(key.public_key(), examination, "token", "somebody") == b"payload"
    assert [line.finding.claim for line in examination.lines] == ["token.alg", "token.signature"]
    # Whether the signature says anything is for who knows the key's chain.
    assert examination.signature == "unchecked"


@pytest.mark.parametrize(("key", "algorithm"), [(KEY, -9), (P384, -51), (P521, -52), (ED25519, -19)])
def test_the_fully_specified_numbers_are_the_same_algorithms(key: Any, algorithm: int) -> None:
    signed = parse(sign1(key, b"payload", protected=dumps({1: algorithm})))
    assert signed.is_signed_by(key.public_key())


@pytest.mark.parametrize("other", [ec_key(2), P384, P521, ED25519], ids=["another", "P-384", "P-521", "Ed25519"])
def test_another_key_does_not(other: Any) -> None:
    signed = parse(sign1(KEY, b"payload"))
    examination = Examination()
    assert not signed.is_signed_by(other.public_key())
    with pytest.raises(AuthenticationError):
        signed.verify(other.public_key(), examination, "token", "somebody")
    assert not examination.lines[-1].holds


@pytest.mark.parametrize("algorithm", [-35, -36, -8, -19, -51])
def test_an_algorithm_that_is_not_the_key_s(algorithm: int) -> None:
    signed = parse(sign1(KEY, b"payload", protected=dumps({1: algorithm})))
    assert not signed.is_signed_by(KEY.public_key())
    with pytest.raises(AuthenticationError, match="algorithm"):
        signed.verify(KEY.public_key(), Examination(), "token", "somebody")


def test_rsa_signs_nothing_here() -> None:
    key = rsa.generate_private_key(65537, 2048).public_key()
    signed = parse(sign1(KEY, b"payload"))
    assert not signed.is_signed_by(key)
    with pytest.raises(UnsupportedError):
        signed.verify(key, Examination(), "token", "somebody")


def test_external_aad_is_signed() -> None:
    signed = parse(sign1(KEY, b"payload", external_aad=b"here"))
    assert signed.is_signed_by(KEY.public_key(), external_aad=b"here")
    assert not signed.is_signed_by(KEY.public_key())


def test_the_tag_is_as_the_kind_has_it() -> None:
    tagged, bare = sign1(KEY, b"p"), sign1(KEY, b"p", tag=None)
    cwt = dumps(CBORTag(61, CBORTag(18, loads(bare))))
    assert all(parse(each).is_signed_by(KEY.public_key()) for each in (tagged, bare, cwt))
    assert parse(tagged, tagged=True).payload == parse(bare, tagged=False).payload
    for data, demand in ((tagged, False), (bare, True), (cwt, True), (cwt, False)):
        with pytest.raises(MalformedError, match="tagged"):
            parse(data, tagged=demand)


@pytest.mark.parametrize("tag", [16, 17, 96, 97, 98])
@pytest.mark.parametrize("tagged", [None, True, False])
def test_other_kinds_of_message_are_named(tag: int, tagged: bool | None) -> None:
    with pytest.raises(UnsupportedError, match="not a COSE_Sign1"):
        parse(sign1(KEY, b"payload", tag=tag), tagged=tagged)


def test_an_empty_protected_header_counts_as_none_however_it_is_sent() -> None:
    """RFC 9052 §4.4: both forms have one Sig_structure."""
    for protected in (b"", b"\xa0"):
        data = sign1(KEY, b"payload", protected=protected, unprotected={1: -7})
        assert parse(data, alg_protected=False).is_signed_by(KEY.public_key())


def test_an_algorithm_that_nobody_signed_is_accepted_only_where_that_is_said() -> None:
    for unprotected in ({1: -7}, {}):
        data = sign1(KEY, b"payload", protected=b"", unprotected=unprotected)
        with pytest.raises(MalformedError, match="protected"):
            parse(data)
        examination = Examination()
        assert parse(data, alg_protected=False).verify(KEY.public_key(), examination, "t", "x") == b"payload"
    assert "not given" in examination.lines[0].finding.found


def test_an_unprotected_algorithm_must_be_the_key_s_too() -> None:
    signed = parse(sign1(KEY, b"payload", protected=b"", unprotected={1: -35}), alg_protected=False)
    assert not signed.is_signed_by(KEY.public_key())


@pytest.mark.parametrize("algorithm", [5, -37, -257, "ES256", -7.0, None, [], {}, b"\x26", 0])
def test_an_algorithm_that_is_none_here(algorithm: Any) -> None:
    for options in ({"protected": dumps({1: algorithm})}, {"protected": b"", "unprotected": {1: algorithm}}):
        data = sign1(KEY, b"payload", **options)
        with pytest.raises(RemoteError):
            parse(data, alg_protected=False).verify(KEY.public_key(), Examination(), "t", "x")


def test_critical_parameters_are_understood_or_refused() -> None:
    data = sign1(KEY, b"payload", protected=dumps({1: -7, 2: [8], 8: b"meta"}))
    assert parse(data, understood=frozenset({8})).is_signed_by(KEY.public_key())
    with pytest.raises(UnsupportedError, match="critical"):
        parse(data)


@pytest.mark.parametrize("crit", [[], 8, [8, 9], ["x"], [[8]], {8: 8}])
def test_a_list_of_critical_parameters_that_is_none(crit: Any) -> None:
    with pytest.raises(RemoteError):
        parse(sign1(KEY, b"payload", protected=dumps({1: -7, 2: crit})), understood=frozenset({8}))


def test_crit_and_repeated_parameters_outside_the_protected_header() -> None:
    for unprotected in ({2: [8]}, {1: -7}):
        with pytest.raises(MalformedError):
            parse(sign1(KEY, b"payload", unprotected=unprotected))


@pytest.mark.parametrize(
    "message",
    [
        [b"", {}, b"payload"],
        [b"", {}, b"payload", b"", b""],
        [{}, {}, b"payload", b""],
        [b"", [], b"payload", b""],
        [b"", {}, None, b""],
        [b"", {}, "payload", b""],
        [b"", {}, b"payload", None],
        [b"\x80", {}, b"payload", b""],
        [b"\xa1", {}, b"payload", b""],
        [b"\xa0\x00", {}, b"payload", b""],
        {},
        1,
        b"",
        None,
    ],
)
def test_other_structures_are_malformed(message: Any) -> None:
    for data in (dumps(message), dumps(CBORTag(18, message)), dumps(CBORTag(61, message))):
        with pytest.raises(MalformedError):
            parse(data, alg_protected=False)


@pytest.mark.parametrize("width", [0, 1, 63, 65, 96])
def test_a_signature_of_another_length_is_none(width: int) -> None:
    message = loads(sign1(KEY, b"payload")).value
    data = dumps([*message[:3], (message[3] * 2)[:width]])
    assert not parse(data).is_signed_by(KEY.public_key())


def test_numbers_outside_the_curve_s_order_sign_nothing() -> None:
    message = loads(sign1(KEY, b"payload")).value
    for signature in (bytes(64), b"\xff" * 64, bytes(63) + b"\x01"):
        assert not parse(dumps([*message[:3], signature])).is_signed_by(KEY.public_key())


@pytest.mark.parametrize("tag", [None, 18])
def test_every_signed_bit_counts(tag: int | None) -> None:
    data = sign1(KEY, b"payload", tag=tag)
    for at in range(len(data)):
        for bit in range(8):
            flipped = data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]
            try:
                holds = parse(flipped, tagged=tag is not None).is_signed_by(KEY.public_key())
            except RemoteError:
                continue
            assert not holds, (at, bit)


@given(st.binary(max_size=128))
def test_any_bytes_are_parsed_or_refused(data: bytes) -> None:
    try:
        parse(data, alg_protected=False).verify(KEY.public_key(), Examination(), "t", "x")
    except RemoteError:
        return
    raise AssertionError("a signature out of nothing")


def test_nothing_of_the_payload_is_printed() -> None:
    assert "payload" not in repr(parse(sign1(KEY, b"payload")))
