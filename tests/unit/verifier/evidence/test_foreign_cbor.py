"""CBOR of others: every encoding of a value is read as that value, and nothing has two readings."""

import math
from typing import Any

import cbor2
import pytest
from cbor2 import CBORTag, dumps
from hypothesis import given
from hypothesis import strategies as st

from protocol.cbor import decode_untrusted, encode
from protocol.errors import MalformedError
from schemas.reason import Reason
from verifier.evidence.foreign_cbor import decode_foreign_untrusted

KEYS = st.one_of(st.integers(-(1 << 64), (1 << 64) - 1), st.text(max_size=8), st.binary(max_size=8))
SCALARS = st.one_of(KEYS, st.booleans(), st.none(), st.floats(allow_nan=False))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(KEYS, inner, max_size=5)),
    max_leaves=20,
)


def read(data: bytes, **limits: Any) -> Any:
    return decode_foreign_untrusted(data, **{"max_bytes": 65_536} | limits)


def loose(value: Any, draw: Any) -> bytes:
    """`value` in some encoding or other: long heads, indefinite lengths, maps in any order."""
    if isinstance(value, bool) or value is None or isinstance(value, float):
        return dumps(value)
    if isinstance(value, int):
        return head(0, value, draw) if value >= 0 else head(1, -1 - value, draw)
    if isinstance(value, bytes | str):
        return loose_string(value, draw)
    items = list(value.items()) if isinstance(value, dict) else [(each,) for each in value]
    if isinstance(value, dict):
        items = draw(st.permutations(items))
    major, body = (5 if isinstance(value, dict) else 4), b"".join(loose(each, draw) for item in items for each in item)
    if draw(st.booleans()):
        return bytes([major << 5 | 31]) + body + b"\xff"
    return head(major, len(items), draw) + body


def loose_string(value: bytes | str, draw: Any) -> bytes:
    major, raw = (2, value) if isinstance(value, bytes) else (3, value.encode())
    if isinstance(value, str) or not draw(st.booleans()):
        return head(major, len(raw), draw) + raw
    cut = draw(st.integers(0, len(raw)))
    return b"\x5f" + b"".join(head(2, len(each), draw) + each for each in (raw[:cut], raw[cut:])) + b"\xff"


def head(major: int, argument: int, draw: Any) -> bytes:
    least = next(form for form, limit in enumerate((24, 1 << 8, 1 << 16, 1 << 32, 1 << 64)) if argument < limit)
    form = draw(st.integers(least, 4))
    if form == 0:
        return bytes([major << 5 | argument])
    return bytes([major << 5 | 23 + form]) + argument.to_bytes(1 << form - 1, "big")


@given(st.data())
def test_every_encoding_is_read_as_its_value(data: st.DataObject) -> None:
    value = data.draw(VALUES)
    assert read(loose(value, data.draw)) == value


@given(VALUES)
def test_it_agrees_with_the_strict_reader_on_what_that_accepts(value: Any) -> None:
    encoded = encode(value)
    assert read(encoded) == decode_untrusted(encoded)


@given(VALUES.map(dumps), st.data())
def test_no_prefix_and_nothing_longer_is_an_item(encoded: bytes, data: st.DataObject) -> None:
    with pytest.raises(MalformedError):
        read(encoded[: data.draw(st.integers(0, len(encoded) - 1))])
    with pytest.raises(MalformedError, match="follow"):
        read(encoded + data.draw(st.binary(min_size=1, max_size=9)))


@given(st.binary(max_size=64))
def test_any_bytes_are_read_or_malformed(data: bytes) -> None:
    try:
        value = read(data, tags=frozenset({0, 1, 2, 18, 24}))
    except MalformedError:
        return
    # What is accepted has one reading, and cbor2 knows of no other, tags apart: it interprets some of them.
    if not any(byte >> 5 == 6 for byte in data) and value == value:
        assert plain(cbor2.loads(data)) == plain(value)


def plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if hasattr(value, "items"):
        return {key: plain(each) for key, each in value.items()}
    return repr(value) if isinstance(value, float) and math.isnan(value) else value


@pytest.mark.parametrize(
    "data",
    {
        "nothing": "",
        "a duplicate": "a2 01 02 01 03",
        "a duplicate with a longer head": "a2 01 02 1801 03",
        "a duplicate in an indefinite map": "bf 6161 02 6161 03 ff",
        "a duplicate text in chunks": "a2 6161 02 7f 6161 ff 03",
        "a float key": "a1 f93c00 01",
        "a boolean key": "a1 f5 01",
        "a null key": "a1 f6 01",
        "an array key": "a1 80 01",
        "a map key": "a1 a0 01",
        "a tagged key": "a1 c1 01 01",
        "a key that is a break": "a1 ff 01",
        "a value that is a break": "bf 01 ff",
        "a break alone": "ff",
        "a break in a definite array": "81 ff",
        "undefined": "f7",
        "a simple value": "f0",
        "a simple value of two bytes": "f8ff",
        "false in two bytes": "f814",
        "a reserved head": "1c",
        "a reserved head of a string": "5d",
        "a reserved simple value": "fc",
        "an indefinite integer": "1f",
        "an indefinite negative": "3f",
        "an indefinite tag": "df 01",
        "a text chunk in bytes": "5f 6161 ff",
        "a byte chunk in text": "7f 4161 ff",
        "an indefinite chunk": "5f 5f 4161 ff ff",
        "an integer chunk": "5f 01 ff",
        "text that is not UTF-8": "61 ff",
        "a character cut between chunks": "7f 61c3 61a4 ff",
        "a tag that is not asked for": "c1 01",
        "a length beyond all memory": "5b ffffffffffffffff",
        "a count beyond all memory": "9b ffffffffffffffff",
        "a map count beyond all memory": "bb ffffffffffffffff",
        "an array without its items": "82 01",
        "an indefinite array without its break": "9f 01",
    }.items(),
    ids=lambda pair: pair[0],
)
def test_what_is_no_item_or_has_two_readings(data: tuple[str, str]) -> None:
    with pytest.raises(MalformedError):
        read(bytes.fromhex(data[1]))


def test_tags_are_kept_and_never_interpreted() -> None:
    tags = frozenset({0, 2, 18, 258})
    assert read(bytes.fromhex("c0 01"), tags=tags) == CBORTag(0, 1)
    assert read(bytes.fromhex("c2 4101"), tags=tags) == CBORTag(2, b"\x01")
    assert read(bytes.fromhex("d90102 d2 80"), tags=tags) == CBORTag(258, CBORTag(18, []))


@pytest.mark.parametrize("opening", ["81", "9f", "a101", "bf01", "d2"])
def test_depth_is_bounded_and_counts_every_level(opening: str) -> None:
    levels = bytes.fromhex(opening) * 16 + b"\x01" + (b"\xff" * 16 if opening in ("9f", "bf01") else b"")
    tags = frozenset({18})
    assert read(levels, max_depth=16, tags=tags) is not None
    with pytest.raises(MalformedError, match="deep"):
        read(levels, max_depth=15, tags=tags)
    with pytest.raises(MalformedError, match="deep"):
        read(bytes.fromhex(opening) * 20_000, tags=tags)


def test_size_is_bounded() -> None:
    assert read(bytes.fromhex("4101"), max_bytes=2) == b"\x01"
    with pytest.raises(MalformedError) as caught:
        read(bytes.fromhex("420101"), max_bytes=2)
    assert caught.value.reason is Reason.OVERSIZED
