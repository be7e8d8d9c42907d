"""Deterministic CBOR: one encoding a value, and every laxness of cbor2 refused."""

import math
import time
from enum import IntEnum, StrEnum

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import cbor
from protocol.errors import MalformedError, ProtocolMisuseError, RemoteError
from schemas.reason import Reason

INTEGERS = st.integers(-(2**64), 2**64 - 1)
KEYS = INTEGERS | st.binary(max_size=8) | st.text(max_size=8)
SCALARS = INTEGERS | st.binary(max_size=300) | st.text(max_size=300) | st.booleans() | st.none() | st.floats()
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(KEYS, inner, max_size=5)
        | st.builds(cbor2.CBORTag, st.sampled_from([16, 18, 96]), inner)
    ),
    max_leaves=20,
)


def same(one: object, other: object) -> bool:
    """Equality that tells 1 from 1.0 and True, and takes NaN for NaN."""
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    if type(one) is not type(other):
        return False
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, cbor2.CBORTag) and isinstance(other, cbor2.CBORTag):
        return one.tag == other.tag and same(one.value, other.value)
    if isinstance(one, float) and isinstance(other, float):
        return math.copysign(1, one) == math.copysign(1, other) and one == other
    return one == other


def shallow(value: object, depth: int = cbor.MAX_DEPTH) -> bool:
    if isinstance(value, cbor2.CBORTag):
        return depth > 0 and shallow(value.value, depth - 1)
    if isinstance(value, list):
        return depth > 0 and all(shallow(item, depth - 1) for item in value)
    if isinstance(value, dict):
        return depth > 0 and all(shallow(item, depth - 1) for item in value.values())
    return True


@given(VALUES.filter(shallow))
def test_round_trip(value: cbor.CborValue) -> None:
    assert same(cbor.decode_untrusted(cbor.encode(value)), value)


@given(VALUES.filter(shallow))
def test_cbor2_reads_the_same_value(value: cbor.CborValue) -> None:
    def plain(found: object) -> object:
        """cbor2 gives immutable containers inside tags."""
        if isinstance(found, cbor2.CBORTag):
            return cbor2.CBORTag(found.tag, plain(found.value))
        if isinstance(found, list | tuple):
            return [plain(item) for item in found]
        if isinstance(found, dict | cbor2.frozendict):
            return {key: plain(item) for key, item in found.items()}
        return found

    assert same(plain(cbor2.loads(cbor.encode(value))), value)


@given(st.binary(max_size=64) | st.builds(lambda value, tail: cbor.encode(value) + tail, VALUES, st.binary(max_size=2)))
def test_what_is_accepted_has_one_encoding(data: bytes) -> None:
    try:
        value = cbor.decode_untrusted(data)
    except MalformedError:
        return
    assert cbor.encode(value) == data


@given(VALUES.filter(shallow), st.data())
def test_a_flipped_bit_is_another_value_or_refused(value: cbor.CborValue, data: st.DataObject) -> None:
    encoded = bytearray(cbor.encode(value))
    position = data.draw(st.integers(0, len(encoded) * 8 - 1))
    encoded[position // 8] ^= 1 << position % 8
    try:
        found = cbor.decode_untrusted(bytes(encoded))
    except RemoteError:
        return
    assert not same(found, value)


@given(VALUES.filter(shallow))
def test_every_truncation_is_refused(value: cbor.CborValue) -> None:
    encoded = cbor.encode(value)
    for length in range(len(encoded)):
        with pytest.raises(MalformedError):
            cbor.decode_untrusted(encoded[:length])


REFUSED = {
    "empty": "",
    "trailing byte": "0000",
    "one in two bytes": "1801",
    "one in three bytes": "190001",
    "one in five bytes": "1a00000001",
    "one in nine bytes": "1b0000000000000001",
    "minus one in two bytes": "3800",
    "length in two bytes": "580100",
    "tag in three bytes": "d9001280",
    "indefinite byte string": "5f4100ff",
    "indefinite text": "7f6161ff",
    "indefinite array": "9fff",
    "indefinite map": "bfff",
    "break alone": "ff",
    "reserved head": "1c",
    "reserved head 30": "1e",
    "repeated integer key": "a201000100",
    "repeated text key": "a2616100616100",
    "one and true as keys": "a20100f500",
    "one and 1.0 as keys": "a20100f93c0000",
    "NaN twice as key": "a2f97e0000f97e0000",
    "unsorted keys": "a202000100",
    "length-first order": "a22000181800",
    "array as key": "a18000",
    "map as key": "a1a000",
    "tag as key": "a1d00000",
    "null as key": "a1f600",
    "float as key": "a1f93c0000",
    "bignum": "c249010000000000000000",
    "negative bignum": "c349010000000000000000",
    "bignum key": "a1c2410100",
    "date": "c000",
    "epoch": "c100",
    "decimal": "c4820000",
    "regular expression": "d8236161",
    "shareable": "d81c80",
    "shared reference": "d81d00",
    "string reference": "d81900",
    "rational": "d81e820102",
    "MIME": "d82460",
    "UUID": "d82550" + "00" * 16,
    "set": "d9010280",
    "IP address": "d9010444c0a80001",
    "IPv4": "d83444c0a80001",
    "self-described": "d9d9f700",
    "undefined": "f7",
    "simple 0": "e0",
    "simple 16": "f0",
    "simple 32": "f820",
    "false in two bytes": "f814",
    "text that is no UTF-8": "61ff",
    "text with a surrogate": "63eda080",
    "text in overlong UTF-8": "62c080",
    "double that fits a half": "fb3ff0000000000000",
    "double that fits a single": "fb47efffffe0000000",
    "single that fits a half": "fa3f800000",
    "single infinity": "fa7f800000",
    "NaN with a payload": "f97e01",
    "negative NaN": "f9fe00",
    "double NaN": "fb7ff8000000000000",
    "signalling NaN": "fb7ff0000000000001",
    "array longer than the data": "9bffffffffffffffff",
    "map longer than the data": "bbffffffffffffffff",
    "string longer than the data": "5bffffffffffffffff",
}


@pytest.mark.parametrize("encoded", REFUSED.values(), ids=REFUSED)
def test_refused(encoded: str) -> None:
    with pytest.raises(MalformedError):
        cbor.decode_untrusted(bytes.fromhex(encoded))


LAX = {
    "trailing bytes": "0000",
    "longer heads": "1801",
    "unsorted keys": "a202000100",
    "array as key": "a18000",
    "bignum": "c249010000000000000000",
    "regular expression": "d8236161",
    "NaN twice as key": "a2f97e0000f97e0000",
    "NaN with a payload": "f97e01",
    "undefined": "f7",
}


@pytest.mark.parametrize("encoded", LAX.values(), ids=LAX)
def test_cbor2_alone_would_have_accepted(encoded: str) -> None:
    """If cbor2 becomes strict in one of these, the reasons in `protocol.cbor` want rewriting."""
    cbor2.loads(bytes.fromhex(encoded), allow_indefinite=False, allow_duplicate_keys=False, max_depth=16)
    with pytest.raises(MalformedError):
        cbor.decode_untrusted(bytes.fromhex(encoded))


def test_cbor2_canonical_is_another_order() -> None:
    value = {24: 0, -1: 0}
    assert cbor.encode(value).hex() == "a2181800" + "2000"
    assert cbor2.dumps(value, canonical=True).hex() == "a2200018" + "1800"


@pytest.mark.parametrize("wrap", [b"\x81", b"\xa1\x00", b"\xd0"])
def test_depth(wrap: bytes) -> None:
    cbor.decode_untrusted(wrap * cbor.MAX_DEPTH + b"\x00")
    with pytest.raises(MalformedError, match="deep"):
        cbor.decode_untrusted(wrap * (cbor.MAX_DEPTH + 1) + b"\x00")
    with pytest.raises(MalformedError, match="deep"):
        cbor.decode_untrusted(wrap * 100_000)


def test_size_is_checked_first() -> None:
    assert cbor.decode_untrusted(b"\x43abc", max_bytes=4) == b"abc"
    with pytest.raises(MalformedError) as refusal:
        cbor.decode_untrusted(b"\xff" * 5, max_bytes=4)
    assert refusal.value.reason is Reason.OVERSIZED


def test_tags_outside_the_list_are_refused() -> None:
    assert cbor.decode_untrusted(b"\xd2\x00", tags=frozenset({18})) == cbor2.CBORTag(18, 0)
    with pytest.raises(MalformedError, match="tag 18"):
        cbor.decode_untrusted(b"\xd2\x00", tags=frozenset({16}))


@pytest.mark.parametrize(
    "keys",
    [
        [number << 44 for number in range(20_000)],
        [-1 - (number << 47) for number in range(20_000)],
        [number % 2500 + number // 2500 * (2**61 - 1) for number in range(20_000)],
    ],
    ids=["low bits", "low bits, negative", "hash prime"],
)
def test_crowded_integer_keys_take_linear_time(keys: list[int]) -> None:
    """Keys alike in their low bits, or modulo the prime of Python's integer hash: the worst that 64 bits allow."""
    crowded = cbor.encode(dict.fromkeys(keys))
    started = time.process_time()
    cbor.decode_untrusted(crowded)
    assert time.process_time() - started < 2


def test_bool_and_integer_stay_apart() -> None:
    found = cbor.decode_untrusted(b"\x82\xf5\x01")
    assert isinstance(found, list)
    assert [type(item) for item in found] == [bool, int]


class Colour(IntEnum):
    RED = 3


class Word(StrEnum):
    YES = "yes"


def test_enumerations_are_what_they_stand_for() -> None:
    assert cbor.encode({Colour.RED: Word.YES}) == cbor.encode({3: "yes"})


@pytest.mark.parametrize(
    "value",
    [2**64, -(2**64) - 1, object(), {1, 2}, {1.0: 0}, {True: 0}, {None: 0}, {(1,): 0}, "\ud800", bytearray(b"x")],
)
def test_what_has_no_encoding(value: cbor.CborValue) -> None:
    with pytest.raises(ProtocolMisuseError):
        cbor.encode(value)


@given(st.binary(max_size=70_000))
def test_encode_bstr(data: bytes) -> None:
    assert cbor.encode_bstr(data) == cbor.encode(data)


@pytest.mark.parametrize("number", [2**64, -(2**64) - 1, 2**70])
@pytest.mark.parametrize("beside", ["text", None, True, 1.5])
def test_an_integer_beyond_64_bits_is_refused_whatever_stands_beside_it(number: int, beside: cbor.CborValue) -> None:
    for array in ([number, beside], [beside, number], [[number]]):
        with pytest.raises(ProtocolMisuseError):
            cbor.encode(array)
    least, most = cbor.encode([-(2**64), beside]), cbor.encode([2**64 - 1, beside])
    assert cbor.decode_untrusted(least) == [-(2**64), beside]
    assert cbor.decode_untrusted(most) == [2**64 - 1, beside]
