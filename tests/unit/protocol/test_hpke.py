"""KEM keys and HPKE: forms, refusals, binding to key and info."""

import hashlib
import os
import pickle
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import cbor, hpke
from protocol.algorithms import HPKE_3_KE, HPKE_SUITES, HPKE_XWING_KE
from protocol.errors import (
    AuthenticationError,
    ConfigurationError,
    MalformedError,
    ProtocolMisuseError,
    RemoteError,
    UnsupportedError,
)
from protocol.keys import KemPrivateKey, KemPublicKey
from schemas.reason import Reason

BOTH = pytest.mark.parametrize("algorithm", [HPKE_XWING_KE, HPKE_3_KE])
ALICE = {a: KemPrivateKey.generate(random.Random(1).randbytes, algorithm=a) for a in (HPKE_XWING_KE, HPKE_3_KE)}
BOB = {a: KemPrivateKey.generate(random.Random(2).randbytes, algorithm=a) for a in (HPKE_XWING_KE, HPKE_3_KE)}


@BOTH
@given(plaintext=st.binary(max_size=100), info=st.binary(max_size=2000))
def test_round_trip(algorithm: int, plaintext: bytes, info: bytes) -> None:
    enc, ciphertext = hpke.seal(ALICE[algorithm].public, plaintext, info)
    assert len(enc) == HPKE_SUITES[algorithm].enc_bytes
    assert hpke.open_untrusted(ALICE[algorithm], enc, ciphertext, info) == plaintext


def refused(private: KemPrivateKey, enc: bytes, ciphertext: bytes, info: bytes) -> None:
    with pytest.raises(AuthenticationError) as refusal:
        hpke.open_untrusted(private, enc, ciphertext, info)
    assert refusal.value.reason is Reason.DECRYPTION_FAILED


@BOTH
def test_another_key_or_info(algorithm: int) -> None:
    enc, ciphertext = hpke.seal(ALICE[algorithm].public, b"secret", b"info")
    refused(BOB[algorithm], enc, ciphertext, b"info")
    refused(ALICE[algorithm], enc, ciphertext, b"inf")
    refused(ALICE[algorithm], enc, ciphertext, b"")


@BOTH
def test_every_changed_byte_is_refused(algorithm: int) -> None:
    enc, ciphertext = hpke.seal(ALICE[algorithm].public, b"secret", b"info")
    for position in range(0, len(enc), 31 if algorithm == HPKE_XWING_KE else 1):
        changed = enc[:position] + bytes([enc[position] ^ 0x40]) + enc[position + 1 :]
        refused(ALICE[algorithm], changed, ciphertext, b"info")
    for position in range(len(ciphertext)):
        changed = ciphertext[:position] + bytes([ciphertext[position] ^ 1]) + ciphertext[position + 1 :]
        refused(ALICE[algorithm], enc, changed, b"info")


@BOTH
def test_the_border_between_the_parts_does_not_move(algorithm: int) -> None:
    enc, ciphertext = hpke.seal(ALICE[algorithm].public, b"secret", b"info")
    refused(ALICE[algorithm], enc[:-1], enc[-1:] + ciphertext, b"info")
    refused(ALICE[algorithm], enc + ciphertext[:1], ciphertext[1:], b"info")


@BOTH
@given(enc=st.binary(max_size=64), ciphertext=st.binary(max_size=64))
def test_garbage(algorithm: int, enc: bytes, ciphertext: bytes) -> None:
    refused(ALICE[algorithm], enc, ciphertext, b"")
    refused(ALICE[algorithm], enc.ljust(HPKE_SUITES[algorithm].enc_bytes, b"\0"), ciphertext, b"")


@BOTH
def test_sealing_twice_gives_two_messages(algorithm: int) -> None:
    one, two = (hpke.seal(ALICE[algorithm].public, b"secret", b"info") for _ in range(2))
    assert one[0] != two[0]
    assert one[1] != two[1]


@BOTH
def test_forms(algorithm: int) -> None:
    key = ALICE[algorithm]
    assert KemPrivateKey.from_seed(algorithm, key.seed_bytes()).public == key.public
    decoded = cbor.decode_untrusted(cbor.encode(key.public.to_cose_key()))
    again = KemPublicKey.from_cose_key_untrusted(decoded)
    assert again == key.public
    assert hash(again) == hash(key.public)
    assert key.thumbprint == key.public.thumbprint != BOB[algorithm].thumbprint
    assert hpke.open_untrusted(key, *hpke.seal(again, b"secret", b""), b"") == b"secret"


def test_cose_keys_and_thumbprints() -> None:
    """OKP without alg (RFC 9679 §3.1), AKP with it (RFC 9964)."""
    x25519, xwing = ALICE[HPKE_3_KE].public, ALICE[HPKE_XWING_KE].public
    assert x25519.to_cose_key() == {1: 1, 3: 49, -1: 4, -2: x25519.raw}
    assert xwing.to_cose_key() == {1: 7, 3: -65801, -1: xwing.raw}
    assert len(xwing.raw) == 1216
    assert x25519.thumbprint == hashlib.sha256(bytes.fromhex("a301012004215820") + x25519.raw).digest()
    expected = bytes.fromhex("a30107033a00010108205904c0") + xwing.raw
    assert xwing.thumbprint == hashlib.sha256(expected).digest()


def changed(algorithm: int, change: dict[int, cbor.CborValue]) -> dict[int, cbor.CborValue]:
    return {**ALICE[algorithm].public.to_cose_key(), **change}


XWING_RAW = ALICE[HPKE_XWING_KE].public.raw
REFUSED: dict[str, cbor.CborValue] = {
    "not a map": b"",
    "empty": {},
    "P-256 suite": changed(HPKE_3_KE, {3: 46}),
    "ECDH-ES": changed(HPKE_3_KE, {3: -25}),
    "no algorithm": {1: 1, -1: 4, -2: ALICE[HPKE_3_KE].public.raw},
    "algorithm as a float": changed(HPKE_3_KE, {3: 49.0}),
    "algorithm as a list": changed(HPKE_3_KE, {3: [49]}),
    "X25519 under X-Wing's number": changed(HPKE_3_KE, {3: HPKE_XWING_KE}),
    "X-Wing under X25519's number": changed(HPKE_XWING_KE, {3: HPKE_3_KE}),
    "Ed25519": changed(HPKE_3_KE, {-1: 6}),
    "EC2": changed(HPKE_3_KE, {1: 2}),
    "OKP with X-Wing": changed(HPKE_XWING_KE, {1: 1}),
    "short X25519": changed(HPKE_3_KE, {-2: bytes([9]) * 31}),
    "X25519 of small order": changed(HPKE_3_KE, {-2: bytes(32)}),
    "X25519 of order two": changed(HPKE_3_KE, {-2: b"\x01" + bytes(31)}),
    "short X-Wing": changed(HPKE_XWING_KE, {-1: XWING_RAW[:-1]}),
    "long X-Wing": changed(HPKE_XWING_KE, {-1: XWING_RAW + b"\0"}),
    "X-Wing with X25519 of small order": changed(HPKE_XWING_KE, {-1: XWING_RAW[:1184] + bytes(32)}),
    "X-Wing with ML-KEM out of range": changed(HPKE_XWING_KE, {-1: b"\xff" * 1184 + XWING_RAW[1184:]}),
    "private part": changed(HPKE_XWING_KE, {-2: bytes(32)}),
    "key id": changed(HPKE_3_KE, {2: b"id"}),
    "text": changed(HPKE_XWING_KE, {-1: "x" * 1216}),
}


@pytest.mark.parametrize("cose_key", REFUSED.values(), ids=REFUSED)
def test_refused_cose_keys(cose_key: cbor.CborValue) -> None:
    with pytest.raises((MalformedError, UnsupportedError)):
        KemPublicKey.from_cose_key_untrusted(cose_key)


@given(
    st.dictionaries(
        st.sampled_from([1, 2, 3, -1, -2, "kty"]),
        st.sampled_from([1, 7, 49, HPKE_XWING_KE, 4, True, None, 49.0, "x", []]) | st.binary(max_size=33),
    )
)
def test_garbage_is_a_key_or_refused(found: cbor.CborValue) -> None:
    try:
        key = KemPublicKey.from_cose_key_untrusted(found)
    except RemoteError:
        return
    assert key.to_cose_key() == found


@pytest.mark.parametrize("algorithm", [46, 50, -9, 0])
def test_no_key_for_other_algorithms(algorithm: int) -> None:
    with pytest.raises(ConfigurationError):
        KemPrivateKey.generate(os.urandom, algorithm=algorithm)


@pytest.mark.parametrize("algorithm", [46, 50, -9, 0])
def test_no_public_key_for_other_algorithms(algorithm: int) -> None:
    with pytest.raises(UnsupportedError):
        KemPublicKey.from_raw_untrusted(algorithm, bytes([9]) * 32)


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_seed_length(length: int) -> None:
    with pytest.raises(ConfigurationError):
        KemPrivateKey.from_seed(HPKE_XWING_KE, bytes(length))


@BOTH
def test_the_secret_is_not_shown(algorithm: int) -> None:
    key = ALICE[algorithm]
    assert repr(key) == str(key) == f"KemPrivateKey({key.thumbprint.hex()})"
    assert repr(key.public) == f"KemPublicKey({key.thumbprint.hex()})"
    with pytest.raises(ConfigurationError):
        pickle.dumps(key)


def test_derive_separates_by_info() -> None:
    secret = bytes(range(32))
    assert hpke.derive(secret, b"a", 44) != hpke.derive(secret, b"b", 44)
    assert hpke.derive(secret, b"a", 44)[:32] == hpke.derive(secret, b"a", 32)
    with pytest.raises(ProtocolMisuseError):
        hpke.derive(secret[:31], b"a", 32)
