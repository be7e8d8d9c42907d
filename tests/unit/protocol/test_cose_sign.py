"""COSE_Sign1: what holds, and every way in which it must not."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import cbor
from protocol.algorithms import ED25519, ESP256
from protocol.cose import Sign1, parse_sign1_untrusted, sign1
from protocol.cose_structure import sig_structure
from protocol.errors import AuthenticationError, MalformedError, RemoteError, UnexpectedError, UnsupportedError
from protocol.keys import SigningKey
from schemas.reason import Reason

KEYS = {algorithm: SigningKey.generate(algorithm=algorithm) for algorithm in (ESP256, ED25519)}
ALICE, BOB = KEYS[ESP256], SigningKey.generate()
BOTH = pytest.mark.parametrize("key", KEYS.values(), ids=["ESP256", "Ed25519"])


@BOTH
@given(payload=st.binary(max_size=200), typ=st.text(max_size=20), aad=st.binary(max_size=100), extra=st.binary())
def test_round_trip(key: SigningKey, payload: bytes, typ: str, aad: bytes, extra: bytes) -> None:
    parsed = parse_sign1_untrusted(sign1(key, payload, typ=typ, external_aad=aad, credential=extra))
    assert parsed.verify(key.public, typ=typ, external_aad=aad) == payload
    assert (parsed.kid, parsed.algorithm, parsed.typ) == (key.public.thumbprint, key.algorithm, typ)
    assert parsed.credential == extra


def test_the_bytes_are_those_of_the_standard() -> None:
    message = sign1(ALICE, b"payload", typ="t", credential=b"c")
    tag = cbor.decode_untrusted(message)
    assert isinstance(tag, cbor.CBORTag)
    protected, unprotected, payload, _ = tag.value
    assert tag.tag == 18
    assert protected.hex() == "a3" + "0128" + "045820" + ALICE.public.thumbprint.hex() + "106174"
    assert unprotected == {-70000: b"c"}
    assert payload == b"payload"


@BOTH
def test_every_changed_byte_is_refused(key: SigningKey) -> None:
    message = sign1(key, b"payload", typ="type", external_aad=b"aad")
    for position in range(len(message)):
        for mask in (0x01, 0x80):
            changed = message[:position] + bytes([message[position] ^ mask]) + message[position + 1 :]
            with pytest.raises(RemoteError):
                parse_sign1_untrusted(changed).verify(key.public, typ="type", external_aad=b"aad")


def test_the_credential_is_not_covered() -> None:
    """Stated in the docstring: it proves itself by another signature."""
    message = sign1(ALICE, b"payload", typ="t", credential=b"mine")
    changed = message.replace(b"mine", b"hers")
    assert parse_sign1_untrusted(changed).verify(ALICE.public, typ="t") == b"payload"


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda tail: b"\xd2\x84" + tail))
def test_garbage(data: bytes) -> None:
    with pytest.raises(RemoteError):
        parse_sign1_untrusted(data).verify(ALICE.public, typ="t")


def test_another_place_type_or_key() -> None:
    parsed = parse_sign1_untrusted(sign1(ALICE, b"payload", typ="t", external_aad=b"here"))
    with pytest.raises(AuthenticationError):
        parsed.verify(ALICE.public, typ="t", external_aad=b"there")
    with pytest.raises(AuthenticationError):
        parsed.verify(ALICE.public, typ="t")
    with pytest.raises(UnexpectedError):
        parsed.verify(ALICE.public, typ="u", external_aad=b"here")
    with pytest.raises(AuthenticationError) as refusal:
        parsed.verify(BOB.public, typ="t", external_aad=b"here")
    assert refusal.value.reason is Reason.UNKNOWN_SIGNER


@BOTH
@pytest.mark.parametrize("field", ["algorithm", "typ", "kid"])
def test_headers_are_believed_only_as_signed(key: SigningKey, field: str) -> None:
    """Even with the parsed fields put right, the signature covers the headers as they were sent."""
    claimed: dict[int, Any] = {1: key.algorithm, 4: key.public.thumbprint, 16: "wanted"}
    changes: dict[str, dict[int, Any]] = {"algorithm": {1: -99}, "typ": {16: "other"}, "kid": {4: b"x"}}
    sent = {**claimed, **changes[field]}
    signature = key.sign(sig_structure(cbor.encode(claimed), b"", b"payload"))
    forged = Sign1(cbor.encode(sent), key.algorithm, key.public.thumbprint, "wanted", None, b"payload", signature)
    with pytest.raises(AuthenticationError):
        forged.verify(key.public, typ="wanted")
    assert dataclasses.replace(forged, protected=cbor.encode(claimed)).verify(key.public, typ="wanted") == b"payload"


def test_the_algorithm_is_the_keys() -> None:
    """An ESP256 signature under a header that says Ed25519 is refused, though the signature covers that header."""
    headers = {1: ED25519, 4: ALICE.public.thumbprint, 16: "t"}
    with pytest.raises(AuthenticationError, match="another algorithm"):
        parse_sign1_untrusted(made(headers)).verify(ALICE.public, typ="t")


def made(
    protected: Any, unprotected: Any = None, payload: Any = b"p", *, tag: int = 18, signature: Any = None
) -> bytes:
    """A COSE_Sign1 that ALICE signed over whatever is wanted."""
    encoded = protected if isinstance(protected, bytes) else cbor.encode(protected)
    if signature is None:
        signature = ALICE.sign(sig_structure(encoded, b"", payload if isinstance(payload, bytes) else b""))
    parts = [encoded, {} if unprotected is None else unprotected, payload, signature]
    return cbor.encode(cbor.CBORTag(tag, parts))


GOOD: dict[Any, Any] = {1: ESP256, 4: ALICE.public.thumbprint, 16: "t"}
REFUSED = {
    "tag 17": made(GOOD, tag=17),
    "tag 16": made(GOOD, tag=16),
    "tag 98": made(GOOD, tag=98),
    "no tag": cbor.encode([cbor.encode(GOOD), {}, b"p", bytes(64)]),
    "tag in a tag": b"\xd2" + made(GOOD),
    "three parts": cbor.encode(cbor.CBORTag(18, [cbor.encode(GOOD), {}, b"p"])),
    "five parts": cbor.encode(cbor.CBORTag(18, [cbor.encode(GOOD), {}, b"p", b"", b""])),
    "a map": cbor.encode(cbor.CBORTag(18, {0: 0})),
    "no type": made({1: ESP256, 4: ALICE.public.thumbprint}),
    "no key id": made({1: ESP256, 16: "t"}),
    "no algorithm": made({4: ALICE.public.thumbprint, 16: "t"}),
    "empty map as header": made(b"\xa0"),
    "no header": made(b""),
    "header is a list": made([1]),
    "header is garbage": made(b"\xff"),
    "header with trailing byte": made(cbor.encode(GOOD) + b"\0"),
    "header out of order": made(b"\xa3\x04\x40\x01\x28\x10\x61t"),
    "header too long": made({**GOOD, 4: bytes(2000)}),
    "critical": made({**GOOD, 2: [16]}),
    "critical and unknown": made({**GOOD, 2: [99], 99: 0}),
    "unknown label": made({**GOOD, 99: 0}),
    "text label": made({**GOOD, "x": 0}),
    "content type": made({**GOOD, 3: 0}),
    "algorithm as text": made({**GOOD, 1: "ESP256"}),
    "algorithm as bool": made({**GOOD, 1: True}),
    "algorithm as float": made({**GOOD, 1: -9.0}),
    "key id as text": made({**GOOD, 4: "id"}),
    "type as number": made({**GOOD, 16: 61}),
    "ES256": made({**GOOD, 1: -7}),
    "EdDSA": made({**GOOD, 1: -8}),
    "HMAC": made({**GOOD, 1: 5}),
    "algorithm unprotected too": made(GOOD, {1: ESP256}),
    "algorithm only unprotected": made({4: ALICE.public.thumbprint, 16: "t"}, {1: ESP256}),
    "key id unprotected": made(GOOD, {4: ALICE.public.thumbprint}),
    "countersignature": made(GOOD, {11: b""}),
    "credential as text": made(GOOD, {-70000: "c"}),
    "credential protected": made({**GOOD, -70000: b"c"}),
    "detached payload": made(GOOD, payload=None),
    "text payload": made(GOOD, payload="p"),
    "signature as text": made(GOOD, signature="s"),
    "empty signature": made(GOOD, signature=b""),
    "zero signature": made(GOOD, signature=bytes(64)),
}


def test_the_refused_ones_differ_from_a_good_one() -> None:
    assert parse_sign1_untrusted(made(GOOD)).verify(ALICE.public, typ="t") == b"p"


@pytest.mark.parametrize("message", REFUSED.values(), ids=REFUSED)
def test_refused(message: bytes) -> None:
    with pytest.raises((MalformedError, UnsupportedError, AuthenticationError)):
        parse_sign1_untrusted(message).verify(ALICE.public, typ="t")


AT_THE_DOOR = {
    "ES256": made({**GOOD, 1: -7}),
    "EdDSA": made({**GOOD, 1: -8}),
    "HMAC": made({**GOOD, 1: 5}),
    "signature is null": cbor.encode(cbor.CBORTag(18, [cbor.encode(GOOD), {}, b"p", None])),
    "signature is text of that length": made(GOOD, signature="s" * 64),
    "signature is a number": made(GOOD, signature=0),
}


@pytest.mark.parametrize("message", AT_THE_DOOR.values(), ids=AT_THE_DOOR)
def test_refused_before_any_key_is_asked_for(message: bytes) -> None:
    with pytest.raises((MalformedError, UnsupportedError)):
        parse_sign1_untrusted(message)


def test_an_empty_header_counts_as_none() -> None:
    """RFC 9052 §4.4: h'a0' and h'' are the same header."""
    assert sig_structure(b"\xa0", b"", b"p") == sig_structure(b"", b"", b"p") != sig_structure(b"\xa1\0\0", b"", b"p")


def test_what_a_terminal_would_obey_is_not_shown() -> None:
    parsed = parse_sign1_untrusted(sign1(ALICE, b"p", typ="\x1b[2Jreboot"))
    with pytest.raises(UnexpectedError) as refusal:
        parsed.verify(ALICE.public, typ="t")
    assert "\x1b" not in refusal.value.diagnostics
    assert "\x1b" not in repr(parsed)


def test_size() -> None:
    message = sign1(ALICE, bytes(1000), typ="t")
    assert parse_sign1_untrusted(message, max_bytes=len(message)).payload == bytes(1000)
    with pytest.raises(MalformedError) as refusal:
        parse_sign1_untrusted(message, max_bytes=len(message) - 1)
    assert refusal.value.reason is Reason.OVERSIZED


def test_the_payload_is_not_shown() -> None:
    parsed = parse_sign1_untrusted(sign1(ALICE, b"blood pressure", typ="t"))
    assert "blood" not in repr(parsed)
    assert b"blood pressure".hex() not in repr(parsed)
