"""CBOR and COSE of others against the standards' own examples."""

import base64
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from protocol.errors import MalformedError, RemoteError
from verifier.evidence.foreign_cbor import decode_foreign_untrusted
from verifier.evidence.foreign_cose import parse_foreign_sign1_untrusted
from verifier.evidence.public_keys import PublicKey

Load = Callable[[str], Any]
TAGS = frozenset({0, 1, 2, 3, 23, 24, 32})
WITHOUT_A_MEANING = {"f7", "f0", "f8ff", "f818"}
"""Undefined and the other simple values."""

ANOTHER_HASH = {"ecdsa-sig-04"}
"""ES512 by a key of P-256: RFC 9053 §2.1 lets any curve meet any hash, and we let none but its own."""

CURVES = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}


def test_rfc8949_appendix_a(load_vectors: Load) -> None:
    """Every example but those, among them all the indefinite lengths, and to the value that is given for it."""
    compared = 0
    for example in load_vectors("cbor/cbor-appendix-a/appendix_a.json"):
        data = bytes.fromhex(example["hex"])
        if example["hex"] in WITHOUT_A_MEANING:
            with pytest.raises(MalformedError):
                decode_foreign_untrusted(data, max_bytes=256)
            continue
        value = decode_foreign_untrusted(data, max_bytes=256, tags=TAGS)
        if "decoded" in example and not example["hex"].startswith(("c2", "c3")):
            assert value == example["decoded"] or (isinstance(value, float) and math.isnan(value))
            compared += 1
    assert compared > 50


def unpadded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def coordinate(key: dict[str, str], name: str) -> bytes:
    return bytes.fromhex(key[f"{name}_hex"]) if f"{name}_hex" in key else unpadded(key[name])


def public_key(key: dict[str, str]) -> PublicKey | None:
    if key.get("crv") == "Ed25519":
        return Ed25519PublicKey.from_public_bytes(coordinate(key, "x"))
    curve = CURVES.get(key.get("crv", ""))
    if curve is None:
        return None
    width = (curve.key_size + 7) // 8
    x, y = (coordinate(key, name).rjust(width, b"\0") for name in ("x", "y"))
    return ec.EllipticCurvePublicKey.from_encoded_point(curve, b"\x04" + x + y)


def holds(example: dict[str, Any], key: PublicKey) -> bool:
    data, aad = bytes.fromhex(example["output"]["cbor"]), bytes.fromhex(example["input"]["sign0"].get("external", ""))
    try:
        signed = parse_foreign_sign1_untrusted(data, max_bytes=4096, alg_protected=False)
    except RemoteError:
        return False
    return signed.is_signed_by(key, external_aad=aad)


def test_every_sign1_example_of_the_cose_working_group(vectors: Path, load_vectors: Load) -> None:
    """Tagged or not, with a header of h'a0', with external data; and those that must fail."""
    verdicts = {}
    for path in sorted((vectors / "cose/cose-wg-examples").glob("*/*.json")):
        example = load_vectors(str(path.relative_to(vectors)))
        key = public_key(example["input"].get("sign0", {}).get("key", {}))
        if key is not None:
            verdicts[path.stem] = not example.get("fail") and path.stem not in ANOTHER_HASH
            assert holds(example, key) == verdicts[path.stem], path.name
    assert (sum(verdicts.values()), len(verdicts)) == (8, 13)
