"""COSE_Encrypt with HPKE recipients: who can open, what a content key is bound to, what is refused."""

import random
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from protocol import cbor, hpke
from protocol.algorithms import HPKE_3_KE, HPKE_XWING_KE
from protocol.cose import (
    MAX_RECIPIENTS,
    NO_BASE_IV,
    AeadKey,
    Recipient,
    encrypt,
    parse_encrypt_untrusted,
    wrap_key,
)
from protocol.cose_encrypt import recipient_structure
from protocol.cose_structure import enc_structure
from protocol.errors import (
    AuthenticationError,
    MalformedError,
    ProtocolMisuseError,
    RemoteError,
    UnexpectedError,
    UnsupportedError,
)
from protocol.keys import KemPrivateKey
from schemas.reason import Reason

DRAW = random.Random(5).randbytes
ALICE = KemPrivateKey.generate(DRAW)
BOB = KemPrivateKey.generate(DRAW, algorithm=HPKE_3_KE)
CAROL = KemPrivateKey.generate(DRAW, algorithm=HPKE_3_KE)
SECRET = DRAW(32)
FOR_ALICE = wrap_key(SECRET, ALICE.public, extra_info=b"extra")
FOR_BOB = wrap_key(SECRET, BOB.public, extra_info=b"extra")
IV = DRAW(12)


def message(*recipients: Recipient, **options: Any) -> bytes:
    given_options = {"typ": "type", "external_aad": b"aad", "iv": IV, **options}
    return encrypt(AeadKey(SECRET, NO_BASE_IV), b"payload", recipients=recipients or [FOR_BOB], **given_options)


def opened(data: bytes, private: KemPrivateKey, extra_info: bytes = b"extra", aad: bytes = b"aad") -> bytes:
    parsed = parse_encrypt_untrusted(data)
    key = AeadKey(parsed.unwrap(private, extra_info=extra_info), NO_BASE_IV)
    return parsed.open(key, typ="type", external_aad=aad)


@given(
    payload=st.binary(max_size=200),
    kid=st.none() | st.binary(max_size=20),
    number=st.integers(0, 2**40 - 1) | st.binary(min_size=12, max_size=12),
)
def test_round_trip(payload: bytes, kid: bytes | None, number: int | bytes) -> None:
    data = encrypt(
        AeadKey(SECRET, IV),
        payload,
        typ="type",
        recipients=[FOR_BOB, FOR_ALICE],
        external_aad=b"aad",
        kid=kid,
        iv=number if isinstance(number, bytes) else None,
        partial_iv=number if isinstance(number, int) else None,
    )
    parsed = parse_encrypt_untrusted(data)
    assert (parsed.kid, parsed.typ) == (kid, "type")
    assert number in (parsed.iv, parsed.partial_iv)
    assert parsed.open(AeadKey(SECRET, IV), typ="type", external_aad=b"aad") == payload


def test_each_recipient_opens_and_nobody_else() -> None:
    data = message(FOR_ALICE, FOR_BOB)
    assert opened(data, ALICE) == opened(data, BOB) == b"payload"
    with pytest.raises(AuthenticationError) as refusal:
        opened(data, CAROL)
    assert refusal.value.reason is Reason.MISADDRESSED


def test_recipients_are_the_same_bytes_in_every_message() -> None:
    """So a recipient unwraps once, and knows the content key again by them."""
    key = AeadKey(SECRET, IV)
    for partial_iv in range(3):
        data = encrypt(key, b"x", typ="t", recipients=[FOR_ALICE, FOR_BOB], external_aad=b"", partial_iv=partial_iv)
        parsed = parse_encrypt_untrusted(data)
        assert parsed.recipients == (FOR_ALICE, FOR_BOB)
        assert parsed.recipient(BOB.thumbprint).encoded == FOR_BOB.encoded


def test_the_bytes_are_those_of_the_standard() -> None:
    """RFC 9052 §5.1 and the draft's Recipient_structure, written out with the generic encoder."""
    protected = cbor.encode({1: 3, 5: IV, 16: "type"})
    ciphertext = AESGCM(SECRET).encrypt(IV, b"payload", cbor.encode(["Encrypt", protected, b"aad"]))
    of_bob = cbor.encode({1: 49, 4: BOB.thumbprint})
    recipient = [of_bob, {-4: FOR_BOB.ek}, FOR_BOB.encrypted_key]
    assert message(FOR_BOB) == cbor.encode(cbor.CBORTag(96, [protected, {}, ciphertext, [recipient]]))
    info = cbor.encode(["HPKE Recipient", 3, of_bob, b"extra"])
    assert hpke.open_untrusted(BOB, FOR_BOB.ek, FOR_BOB.encrypted_key, info) == SECRET


def test_a_content_key_is_bound_to_its_extra_info() -> None:
    with pytest.raises(AuthenticationError) as refusal:
        opened(message(FOR_BOB), BOB, extra_info=b"other")
    assert refusal.value.reason is Reason.DECRYPTION_FAILED


def test_another_place_or_type() -> None:
    data = message(FOR_BOB)
    with pytest.raises(AuthenticationError):
        opened(data, BOB, aad=b"there")
    with pytest.raises(UnexpectedError):
        parse_encrypt_untrusted(data).open(AeadKey(SECRET, NO_BASE_IV), typ="other", external_aad=b"aad")


def test_every_changed_byte_is_refused() -> None:
    data = message(FOR_BOB)
    for position in range(len(data)):
        for mask in (0x01, 0x80):
            changed = data[:position] + bytes([data[position] ^ mask]) + data[position + 1 :]
            with pytest.raises(RemoteError):
                opened(changed, BOB)


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda tail: b"\xd8\x60\x84" + tail))
def test_garbage(data: bytes) -> None:
    with pytest.raises(RemoteError):
        opened(data, BOB)


def test_a_wrapped_key_moved_to_another_recipient() -> None:
    """CAROL's name on BOB's wrapped key, and the reverse, open for neither."""
    moved = recipient({1: HPKE_3_KE, 4: CAROL.thumbprint}, FOR_BOB.ek, FOR_BOB.encrypted_key)
    for private in (BOB, CAROL):
        with pytest.raises(AuthenticationError):
            opened(message(moved), private)


def test_a_wrapped_key_under_another_algorithm() -> None:
    """BOB's key id on a recipient that claims X-Wing: refused before anything is decrypted."""
    claimed = recipient({1: HPKE_XWING_KE, 4: BOB.thumbprint}, FOR_ALICE.ek, FOR_ALICE.encrypted_key)
    with pytest.raises(AuthenticationError, match="another algorithm"):
        opened(message(claimed), BOB)


def recipient(protected: Any, ek: Any, encrypted_key: Any, unprotected: Any = None) -> Recipient:
    """Any COSE_recipient, for `encrypt` to splice in."""
    header = protected if isinstance(protected, bytes) else cbor.encode(protected)
    parts: Any = [header, {-4: ek} if unprotected is None else unprotected, encrypted_key]
    return Recipient(0, b"", b"", b"", b"", cbor.encode(parts))


BOBS: dict[Any, Any] = {1: HPKE_3_KE, 4: BOB.thumbprint}
EK, KEY = FOR_BOB.ek, FOR_BOB.encrypted_key
REFUSED_RECIPIENTS = {
    "suite not accepted": recipient({**BOBS, 1: 46}, bytes(65), KEY),
    "suite unknown": recipient({**BOBS, 1: 99}, EK, KEY),
    "direct": recipient({**BOBS, 1: -6}, EK, KEY),
    "AES key wrap": recipient({**BOBS, 1: -5}, EK, KEY),
    "pre-shared key": recipient({**BOBS, -5: b"psk"}, EK, KEY),
    "critical": recipient({**BOBS, 2: [1]}, EK, KEY),
    "no key id": recipient({1: HPKE_3_KE}, EK, KEY),
    "no header": recipient(b"", EK, KEY),
    "key id unprotected": recipient({1: HPKE_3_KE}, EK, KEY, {-4: EK, 4: BOB.thumbprint}),
    "no ek": recipient(BOBS, EK, KEY, {}),
    "ek as text": recipient(BOBS, "x" * 32, KEY),
    "short ek": recipient(BOBS, EK[:-1], KEY),
    "long ek": recipient(BOBS, EK + b"\0", KEY),
    "unknown unprotected": recipient(BOBS, EK, KEY, {-4: EK, 99: 0}),
    "short key": recipient(BOBS, EK, KEY[:-1]),
    "long key": recipient(BOBS, EK, KEY + b"\0"),
    "no key": recipient(BOBS, EK, None),
    "recipient of a recipient": Recipient(0, b"", b"", b"", b"", cbor.encode([cbor.encode(BOBS), {-4: EK}, KEY, []])),
}


@pytest.mark.parametrize("refused", REFUSED_RECIPIENTS.values(), ids=REFUSED_RECIPIENTS)
def test_refused_recipients(refused: Recipient) -> None:
    """At the door, also when somebody else is meant."""
    for recipients in ([refused], [FOR_ALICE, refused]):
        with pytest.raises((MalformedError, UnsupportedError)):
            parse_encrypt_untrusted(message(*recipients))


def test_an_encapsulated_key_of_small_order() -> None:
    with pytest.raises(AuthenticationError):
        opened(message(recipient(BOBS, bytes(32), KEY)), BOB)


def made(protected: Any, unprotected: Any = None, recipients: Any = None, tag: int = 96) -> bytes:
    header = protected if isinstance(protected, bytes) else cbor.encode(protected)
    ciphertext = AESGCM(SECRET).encrypt(IV, b"payload", enc_structure("Encrypt", header, b"aad"))
    bob = [cbor.encode(BOBS), {-4: EK}, KEY]
    parts: Any = [header, unprotected or {}, ciphertext, [bob] if recipients is None else recipients]
    return cbor.encode(cbor.CBORTag(tag, parts))


GOOD: dict[Any, Any] = {1: 3, 5: IV, 16: "type"}
REFUSED = {
    "tag 16": made(GOOD, tag=16),
    "A128GCM": made({**GOOD, 1: 1}),
    "IV and Partial IV": made({**GOOD, 6: b"\x01"}),
    "neither": made({1: 3, 16: "type"}),
    "IV of 16 bytes": made({**GOOD, 5: IV + bytes(4)}),
    "IV of 8 bytes": made({**GOOD, 5: IV[:8]}),
    "empty IV": made({**GOOD, 5: b""}),
    "IV unprotected": made({1: 3, 16: "type"}, {5: IV}),
    "critical": made({**GOOD, 2: [5]}),
    "algorithm unprotected": made(GOOD, {1: 3}),
    "credential": made(GOOD, {-70000: b""}),
    "unknown unprotected": made(GOOD, {99: 0}),
    "no type": made({1: 3, 5: IV}),
    "no header": made(b""),
    "no recipients": made(GOOD, recipients=[]),
    "recipients are a map": made(GOOD, recipients={}),
    "recipients are bytes": made(GOOD, recipients=b""),
    "recipient is a number": made(GOOD, recipients=[0]),
    "recipient is a tag": made(GOOD, recipients=[cbor.CBORTag(96, [])]),
    "one recipient twice": made(GOOD, recipients=[[cbor.encode(BOBS), {-4: EK}, KEY]] * 2),
}


def test_the_refused_ones_differ_from_a_good_one() -> None:
    assert opened(made(GOOD), BOB) == b"payload"


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_refused(data: bytes) -> None:
    with pytest.raises((MalformedError, UnsupportedError)):
        opened(data, BOB)


def test_count_of_recipients() -> None:
    keys = [KemPrivateKey.generate(DRAW, algorithm=HPKE_3_KE) for _ in range(MAX_RECIPIENTS + 1)]
    wrapped = [wrap_key(SECRET, key.public, extra_info=b"extra") for key in keys]
    assert opened(message(*wrapped[:-1]), keys[0]) == b"payload"
    for recipients in ([], wrapped):
        with pytest.raises(ProtocolMisuseError):
            encrypt(AeadKey(SECRET, IV), b"", typ="t", recipients=recipients, external_aad=b"", iv=IV)
    too_many = made(GOOD, recipients=[[cbor.encode({**BOBS, 4: bytes([i])}), {-4: EK}, KEY] for i in range(17)])
    with pytest.raises(MalformedError):
        parse_encrypt_untrusted(too_many)


def test_a_content_key_of_another_length_is_refused() -> None:
    """A sender that wraps fewer bytes does not get a weaker key in."""
    header = cbor.encode(BOBS)
    ek, wrapped = hpke.seal(BOB.public, bytes(31), recipient_structure(header, b"extra"))
    with pytest.raises(MalformedError):
        opened(made(GOOD, recipients=[[header, {-4: ek}, wrapped]]), BOB)


def test_what_may_be_accepted_is_the_callers_choice() -> None:
    with pytest.raises(UnsupportedError):
        parse_encrypt_untrusted(message(FOR_BOB), accepted=frozenset({HPKE_XWING_KE}))
    parse_encrypt_untrusted(message(FOR_ALICE), accepted=frozenset({HPKE_XWING_KE}))


@pytest.mark.parametrize(
    "options", [{}, {"iv": IV, "partial_iv": 1}, {"iv": IV[:8]}, {"iv": IV + b"\0"}, {"partial_iv": -1}], ids=str
)
def test_misuse(options: dict[str, Any]) -> None:
    with pytest.raises(ProtocolMisuseError):
        encrypt(AeadKey(SECRET, IV), b"", typ="t", recipients=[FOR_BOB], external_aad=b"", **options)


def test_an_iv_is_used_once() -> None:
    key = AeadKey(SECRET, NO_BASE_IV)
    encrypt(key, b"one", typ="t", recipients=[FOR_BOB], external_aad=b"", iv=IV)
    with pytest.raises(ProtocolMisuseError, match="repeat"):
        encrypt(key, b"two", typ="t", recipients=[FOR_BOB], external_aad=b"", iv=IV)


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_only_whole_content_keys_are_wrapped(length: int) -> None:
    with pytest.raises(ProtocolMisuseError):
        wrap_key(bytes(length), BOB.public, extra_info=b"")


def test_nothing_secret_is_shown() -> None:
    parsed = parse_encrypt_untrusted(message(FOR_ALICE, FOR_BOB))
    for shown in (repr(parsed), repr(FOR_BOB), repr(parsed.recipients)):
        assert SECRET.hex() not in shown
        assert "payload" not in shown
