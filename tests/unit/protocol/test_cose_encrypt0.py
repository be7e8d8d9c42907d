"""COSE_Encrypt0: what opens, what must not, and nonces that never repeat."""

import os
import pickle
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from protocol import cbor
from protocol.cose import MAX_PARTIAL_IV, NO_BASE_IV, AeadKey, parse_encrypt0_untrusted, seal0
from protocol.cose_structure import enc_structure
from protocol.errors import AuthenticationError, ConfigurationError, ProtocolMisuseError, RemoteError, UnexpectedError
from schemas.reason import Reason

SECRET, BASE_IV = bytes(range(32)), bytes(range(100, 112))
OTHER = AeadKey(os.urandom(32), BASE_IV)
OPENER = AeadKey(SECRET, BASE_IV)


def sealed(payload: bytes = b"payload", partial_iv: int = 7, aad: bytes = b"aad") -> bytes:
    key = AeadKey(SECRET, BASE_IV)
    return seal0(key, payload, typ="type", kid=b"session", partial_iv=partial_iv, external_aad=aad)


@given(
    payload=st.binary(max_size=300),
    typ=st.text(max_size=30),
    kid=st.binary(max_size=40),
    partial_iv=st.integers(0, MAX_PARTIAL_IV),
    aad=st.binary(max_size=100),
)
def test_round_trip(payload: bytes, typ: str, kid: bytes, partial_iv: int, aad: bytes) -> None:
    key = AeadKey(SECRET, BASE_IV)
    message = seal0(key, payload, typ=typ, kid=kid, partial_iv=partial_iv, external_aad=aad)
    parsed = parse_encrypt0_untrusted(message)
    assert (parsed.kid, parsed.partial_iv, parsed.typ) == (kid, partial_iv, typ)
    assert parsed.open(OPENER, typ=typ, external_aad=aad) == payload


@given(typ=st.text(max_size=300), kid=st.binary(max_size=300), partial_iv=st.integers(0, MAX_PARTIAL_IV))
def test_the_bytes_joined_by_hand_are_the_encoders(typ: str, kid: bytes, partial_iv: int) -> None:
    """RFC 9052 §3.1 and §5.3, written out with the generic encoder and the bare AEAD."""
    number = partial_iv.to_bytes(5, "big").lstrip(b"\0") or b"\0"
    protected = cbor.encode({1: 3, 4: kid, 6: number, 16: typ})
    nonce = bytes(a ^ b for a, b in zip(BASE_IV, number.rjust(12, b"\0"), strict=True))
    aad = cbor.encode(["Encrypt0", protected, b"aad"])
    ciphertext = AESGCM(SECRET).encrypt(nonce, b"payload", aad)
    expected = cbor.encode(cbor.CBORTag(16, [protected, {}, ciphertext]))
    key = AeadKey(SECRET, BASE_IV)
    assert seal0(key, b"payload", typ=typ, kid=kid, partial_iv=partial_iv, external_aad=b"aad") == expected


def test_every_changed_byte_is_refused() -> None:
    message = sealed()
    for position in range(len(message)):
        for bit in range(8):
            changed = message[:position] + bytes([message[position] ^ 1 << bit]) + message[position + 1 :]
            with pytest.raises(RemoteError):
                parse_encrypt0_untrusted(changed).open(OPENER, typ="type", external_aad=b"aad")


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda tail: b"\xd0\x83" + tail))
def test_garbage(data: bytes) -> None:
    with pytest.raises(RemoteError):
        parse_encrypt0_untrusted(data).open(OPENER, typ="type", external_aad=b"aad")


def test_another_key_place_or_type() -> None:
    parsed = parse_encrypt0_untrusted(sealed())
    for key in (OTHER, AeadKey(SECRET, NO_BASE_IV)):
        with pytest.raises(AuthenticationError) as refusal:
            parsed.open(key, typ="type", external_aad=b"aad")
        assert refusal.value.reason is Reason.DECRYPTION_FAILED
    with pytest.raises(AuthenticationError):
        parsed.open(OPENER, typ="type", external_aad=b"")
    with pytest.raises(UnexpectedError):
        parsed.open(OPENER, typ="other", external_aad=b"aad")


def test_numbers_rise_or_nothing_is_sealed() -> None:
    key = AeadKey(SECRET, BASE_IV)
    seal0(key, b"", typ="", kid=b"", partial_iv=5, external_aad=b"")
    for partial_iv in (5, 4, 0):
        with pytest.raises(ProtocolMisuseError, match="repeat"):
            seal0(key, b"", typ="", kid=b"", partial_iv=partial_iv, external_aad=b"")
    seal0(key, b"", typ="", kid=b"", partial_iv=6, external_aad=b"")


@given(st.lists(st.binary(min_size=12, max_size=12) | st.integers(0, MAX_PARTIAL_IV), max_size=20))
def test_no_nonce_is_used_twice(wanted: list[bytes | int]) -> None:
    """Whole IVs and Partial IVs share one space: no mixture of the two repeats a nonce."""
    key = AeadKey(SECRET, BASE_IV)
    used = []
    for each in wanted:
        nonce = each if isinstance(each, bytes) else key.nonce(each)
        try:
            key.encrypt(nonce, b"", b"")
        except ProtocolMisuseError:
            continue
        used.append(nonce)
    assert len(set(used)) == len(used)


def test_opening_does_not_count() -> None:
    message = sealed(partial_iv=9)
    key = AeadKey(SECRET, BASE_IV)
    parse_encrypt0_untrusted(message).open(key, typ="type", external_aad=b"aad")
    parse_encrypt0_untrusted(message).open(key, typ="type", external_aad=b"aad")
    seal0(key, b"", typ="", kid=b"", partial_iv=0, external_aad=b"")


@pytest.mark.parametrize("partial_iv", [-1, MAX_PARTIAL_IV + 1])
def test_partial_iv_range(partial_iv: int) -> None:
    with pytest.raises(ProtocolMisuseError):
        sealed(partial_iv=partial_iv)


def made(protected: Any, unprotected: Any = None, tag: int = 16) -> bytes:
    """A COSE_Encrypt0 that the right key encrypted, under Partial IV 7, over whatever is wanted."""
    encoded = protected if isinstance(protected, bytes) else cbor.encode(protected)
    ciphertext = AESGCM(SECRET).encrypt(OPENER.nonce(7), b"p", enc_structure("Encrypt0", encoded, b""))
    return cbor.encode(cbor.CBORTag(tag, [encoded, {} if unprotected is None else unprotected, ciphertext]))


GOOD: dict[Any, Any] = {1: 3, 4: b"session", 6: b"\x07", 16: "t"}
REFUSED = {
    "tag 18": made(GOOD, tag=18),
    "tag 96": made(GOOD, tag=96),
    "A128GCM": made({**GOOD, 1: 1}),
    "AES-CTR": made({**GOOD, 1: -65532}),
    "ChaCha20": made({**GOOD, 1: 24}),
    "direct HPKE": made({**GOOD, 1: 41}),
    "leading zero": made({**GOOD, 6: b"\x00\x07"}),
    "empty Partial IV": made({**GOOD, 6: b""}),
    "long Partial IV": made({**GOOD, 6: b"\x01" + bytes(4) + b"\x07"}),
    "Partial IV as number": made({**GOOD, 6: 7}),
    "IV and Partial IV": made({**GOOD, 5: OPENER.nonce(7)}),
    "IV instead": made({1: 3, 4: b"session", 5: OPENER.nonce(7), 16: "t"}),
    "Partial IV unprotected": made({1: 3, 4: b"session", 16: "t"}, {6: b"\x07"}),
    "Partial IV in both": made(GOOD, {6: b"\x07"}),
    "IV unprotected": made(GOOD, {5: OPENER.nonce(7)}),
    "credential": made(GOOD, {-70000: b""}),
    "critical": made({**GOOD, 2: [6]}),
    "no key id": made({1: 3, 6: b"\x07", 16: "t"}),
    "no type": made({1: 3, 4: b"session", 6: b"\x07"}),
    "no header": made(b""),
    "empty header": made(b"\xa0"),
    "detached": cbor.encode(cbor.CBORTag(16, [cbor.encode(GOOD), {}, None])),
    "short ciphertext": cbor.encode(cbor.CBORTag(16, [cbor.encode(GOOD), {}, b"short"])),
    "no ciphertext": cbor.encode(cbor.CBORTag(16, [cbor.encode(GOOD), {}, b""])),
    "no tag": cbor.encode([cbor.encode(GOOD), {}, bytes(17)]),
}


def test_the_refused_ones_differ_from_a_good_one() -> None:
    assert parse_encrypt0_untrusted(made(GOOD)).open(OPENER, typ="t", external_aad=b"") == b"p"


@pytest.mark.parametrize("message", REFUSED.values(), ids=REFUSED)
def test_refused(message: bytes) -> None:
    with pytest.raises(RemoteError):
        parse_encrypt0_untrusted(message).open(OPENER, typ="t", external_aad=b"")


@pytest.mark.parametrize(("key", "base_iv"), [(31, 12), (16, 12), (33, 12), (32, 11), (32, 0), (32, 13)])
def test_key_sizes(key: int, base_iv: int) -> None:
    with pytest.raises(ConfigurationError):
        AeadKey(bytes(key), bytes(base_iv))


def test_the_secret_is_not_shown() -> None:
    assert "payload" not in repr(parse_encrypt0_untrusted(sealed()))
    assert repr(OPENER) == str(OPENER) == "AeadKey(...)"
    with pytest.raises(ConfigurationError):
        pickle.dumps(OPENER)
