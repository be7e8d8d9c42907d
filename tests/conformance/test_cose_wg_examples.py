"""The COSE working group's examples: our structures are theirs, byte for byte, and our keys verify their messages.

The examples use algorithms and unprotected key ids that sealedge refuses, so they pass through the parts
(structure, key, AEAD), and the whole messages must be refused by our parsers.
"""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cbor2
import pytest

from protocol.algorithms import ED25519, ESP256
from protocol.cose import AeadKey, parse_encrypt0_untrusted, parse_encrypt_untrusted, parse_sign1_untrusted
from protocol.cose_structure import enc_structure, sig_structure
from protocol.errors import AuthenticationError, RemoteError
from protocol.keys import VerifyingKey

Load = Callable[[str], Any]
FOLDER = "cose/cose-wg-examples"
ENCRYPT1 = "chacha-poly-enc-01.json"
"""This example authenticates the context string "Encrypt1", which no version of the standard has."""

ES256 = (
    "CWT/A_3",
    "RFC8152/Appendix_C_2_1",
    "ecdsa-examples/ecdsa-sig-01",
    "sign1-tests/sign-pass-01",
    "sign1-tests/sign-pass-02",
)
ES256_FAILING = ("sign1-tests/sign-fail-02", "sign1-tests/sign-fail-03", "sign1-tests/sign-fail-04")


def unpadded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def coordinate(key: dict[str, str], name: str) -> bytes:
    return bytes.fromhex(key[f"{name}_hex"]) if f"{name}_hex" in key else unpadded(key[name])


def parts(example: dict[str, Any]) -> list[Any]:
    """The outer array, read by cbor2: some examples have unsorted maps, which our decoder refuses."""
    message = cbor2.loads(bytes.fromhex(example["output"]["cbor"]))
    return list(message.value if isinstance(message, cbor2.CBORTag) else message)


def verify_sign1(example: dict[str, Any]) -> None:
    """RFC 9052 §4.4 through our structure and key; the algorithm is the key's."""
    signed = example["input"]["sign0"]
    protected, _, payload, signature = parts(example)
    key, aad = signed["key"], bytes.fromhex(signed.get("external", ""))
    raw = coordinate(key, "x") + (coordinate(key, "y") if key["kty"] == "EC" else b"")
    verifier = VerifyingKey.from_raw_untrusted(ESP256 if key["kty"] == "EC" else ED25519, raw)
    verifier.verify(signature, sig_structure(protected, aad, payload))


@pytest.mark.parametrize("name", ES256)
def test_es256(load_vectors: Load, name: str) -> None:
    verify_sign1(load_vectors(f"{FOLDER}/{name}.json"))


@pytest.mark.parametrize("name", ["eddsa-examples/eddsa-sig-01", "countersign1/signed1-01"])
def test_eddsa_with_ed25519(load_vectors: Load, name: str) -> None:
    verify_sign1(load_vectors(f"{FOLDER}/{name}.json"))


@pytest.mark.parametrize("name", ES256_FAILING)
def test_changed_messages_fail(load_vectors: Load, name: str) -> None:
    example = load_vectors(f"{FOLDER}/{name}.json")
    assert example["fail"]
    with pytest.raises(AuthenticationError):
        verify_sign1(example)


def test_a256gcm(load_vectors: Load) -> None:
    example = load_vectors(f"{FOLDER}/aes-gcm-examples/aes-gcm-enc-03.json")
    protected, unprotected, ciphertext = parts(example)
    key = bytes.fromhex(example["intermediates"]["CEK_hex"])
    aad = enc_structure("Encrypt0", protected, b"")
    plaintext = AeadKey(key, bytes(12)).decrypt_untrusted(unprotected[5], ciphertext, aad)
    assert plaintext == b"This is the content."


def test_every_structure_is_the_examples(vectors: Path, load_vectors: Load) -> None:
    """`ToBeSign_hex` and `AAD_hex` of all single-signer and single-layer examples, whatever their algorithm."""
    signed = encrypted = 0
    for path in sorted((vectors / FOLDER).glob("*/*.json")):
        example = load_vectors(str(path.relative_to(vectors)))
        given = example["input"]
        if "sign0" in given and not example.get("fail"):
            protected, _, payload, _ = parts(example)
            aad = bytes.fromhex(given["sign0"].get("external", ""))
            made = sig_structure(protected, aad, payload)
            assert made.hex() == example["intermediates"]["ToBeSign_hex"].lower(), path.name
            signed += 1
        if "encrypted" in given and not example.get("fail") and path.name != ENCRYPT1:
            protected = parts(example)[0]
            aad = bytes.fromhex(given["encrypted"].get("external", ""))
            made = enc_structure("Encrypt0", protected, aad)
            assert made.hex() == example["intermediates"]["AAD_hex"].lower(), path.name
            encrypted += 1
    assert (signed, encrypted) == (10, 10)


def test_our_parsers_refuse_all_of_them(vectors: Path, load_vectors: Load) -> None:
    """Polymorphic or weak algorithms, unprotected key ids and nonces, other tags: none of it gets in."""
    tried = 0
    for path in sorted((vectors / FOLDER).glob("*/*.json")):
        example = load_vectors(str(path.relative_to(vectors)))
        if "output" not in example:
            continue
        message = bytes.fromhex(example["output"]["cbor"])
        for parse in (parse_sign1_untrusted, parse_encrypt0_untrusted, parse_encrypt_untrusted):
            with pytest.raises(RemoteError):
                parse(message)
        tried += 1
    assert tried >= 150
