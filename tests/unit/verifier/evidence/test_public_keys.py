"""Keys handed over beside evidence: PEM, DER, JWK; nothing private, nothing weak."""

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm

from protocol.errors import MalformedError, UnsupportedError
from tests.synthetic.pki import issue
from verifier.evidence.public_keys import MAX_KEY, public_key_untrusted, spki

P256 = ec.generate_private_key(ec.SECP256R1())
JWK = ECAlgorithm.to_jwk(P256.public_key(), as_dict=True)


@pytest.mark.parametrize(
    "data",
    [
        P256.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        spki(P256.public_key()),
        json.dumps(JWK).encode(),
        issue("AK", P256).pem,
    ],
    ids=lambda _: "bytes",
)
def test_every_form_gives_the_same_key(data: bytes) -> None:
    assert public_key_untrusted(data, "key") == P256.public_key()


def test_other_kinds_that_are_used() -> None:
    for key in (ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP384R1())):
        assert public_key_untrusted(spki(key.public_key()), "key") == key.public_key()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"{",
        b"[" * 5000,
        b'{"a":' * 5000,
        json.dumps(JWK | {"d": "AA"}).encode(),
        json.dumps({"kty": "oct", "k": "AA"}).encode(),
        json.dumps(JWK | {"x": "AA"}).encode(),
        json.dumps(JWK | {"crv": "P-1"}).encode(),
        json.dumps(JWK | {"crv": ["P-256"]}).encode(),
        json.dumps(JWK | {"x": 1}).encode(),
        json.dumps(JWK | {"x": "\ud800"}).encode(),
        json.dumps(JWK).encode().replace(b"{", b'{"kty":"RSA",', 1),
        spki(P256.public_key())[:-1],
        bytes(MAX_KEY + 1),
        b"-----BEGIN PUBLIC KEY-----\n",
        b"-----BEGIN CERTIFICATE-----\n",
    ],
    ids=lambda _: "bytes",
)
def test_what_is_no_public_key(data: bytes) -> None:
    with pytest.raises(MalformedError):
        public_key_untrusted(data, "key")


@pytest.mark.parametrize("algorithm", ["none", "HS256", "ES384", "EdDSA", ["ES256"], 5, None])
def test_the_key_s_kind_decides_and_not_what_it_says_of_its_algorithm(algorithm: object) -> None:
    """PyJWT raises NotImplementedError for the key of `none`."""
    assert public_key_untrusted(json.dumps(JWK | {"alg": algorithm}).encode(), "key") == P256.public_key()


def test_weak_and_strange_keys() -> None:
    small = rsa.generate_private_key(65537, 1024).public_key()
    strange = dsa.generate_private_key(2048).public_key()
    for key in (small, strange):
        with pytest.raises(UnsupportedError):
            public_key_untrusted(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo), "key")


@pytest.mark.parametrize(
    ("bits", "exponent"), [(4097, 65537), (30_000, 65537), (2048, 3), (2048, (1 << 32) + 1), (2048, (1 << 2000) + 1)]
)
def test_rsa_that_is_slow_or_weak(bits: int, exponent: int) -> None:
    numbers = rsa.RSAPublicNumbers(exponent, (1 << (bits - 1)) + 1)
    jwk = {"kty": "RSA", "n": _unsigned(numbers.n), "e": _unsigned(numbers.e)}
    with pytest.raises(UnsupportedError):
        public_key_untrusted(json.dumps(jwk).encode(), "key")
    with pytest.raises(UnsupportedError):
        public_key_untrusted(spki(numbers.public_key()), "key")


def _unsigned(value: int) -> str:
    return base64.urlsafe_b64encode(value.to_bytes((value.bit_length() + 7) // 8, "big")).decode().rstrip("=")


@given(data=st.binary(max_size=200) | st.binary(max_size=60).map(lambda each: b"{" + each))
def test_garbage_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        public_key_untrusted(data, "key")
