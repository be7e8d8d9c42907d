"""JSON that carries binary: one reading of each document, and nothing in it that could not be written again."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import MalformedError
from verifier.evidence.documents import MAX_DOCUMENT, base64_untrusted, hex_untrusted, json_object_untrusted

TEXT = st.text(st.characters(exclude_categories=()) | st.sampled_from("\ud800\udbff\udc00"), max_size=4)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"1",
        b"\xff",
        b"{}" + b" " * MAX_DOCUMENT,
        b'{"a":1,"a":1}',
        b'{"a":{"b":1,"b":2}}',
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":' * 5000,
        b'{"a":"\\ud800"}',
        b'{"a":["\\udc00\\ud800"]}',
        b'{"\\udfff":1}',
        '{"a":1}'.encode("utf-16"),
    ],
    ids=lambda _: "bytes",
)
def test_what_is_no_object(data: bytes) -> None:
    with pytest.raises(MalformedError):
        json_object_untrusted(data, "document")


@given(st.dictionaries(TEXT, TEXT, max_size=3))
def test_text_that_can_be_written_again_and_no_other(said: dict[str, str]) -> None:
    data = json.dumps(said).encode()
    read = json.loads(data, object_pairs_hook=list)
    try:
        "".join(text for pair in read for text in pair).encode()
        assert len(dict(read)) == len(read)
    except (UnicodeEncodeError, AssertionError):
        with pytest.raises(MalformedError):
            json_object_untrusted(data, "document")
    else:
        assert json_object_untrusted(data, "document") == dict(read)


def test_a_pair_of_surrogates_is_a_character() -> None:
    assert json_object_untrusted(b'{"\\ud83d\\ude00":"\\\\ud800"}', "document") == {"\U0001f600": "\\ud800"}


@pytest.mark.parametrize("value", ["", "a", "0g", "aa bb", "aa\n", "\uff11\uff11", "\ud800", None, 5, b"aa"])
def test_what_is_no_hexadecimal(value: object) -> None:
    with pytest.raises(MalformedError):
        hex_untrusted(value, "value")


@pytest.mark.parametrize("value", ["a", "YW\n==", "YX", "Y W", "\ud800", "\uff21\uff21", None, 5, b"AA"])
def test_what_is_no_base64(value: object) -> None:
    with pytest.raises(MalformedError):
        base64_untrusted(value, "value")
