"""CCA tokens of platforms and realms that do not exist, in both wrappings and with both forms of the realm's key."""

import hashlib
from collections.abc import Mapping
from typing import Any

from cbor2 import CBORTag, dumps
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.synthetic.cose import PrivateKey, ec_key, pem, sign1
from tests.synthetic.exhibit import Exhibit
from tests.synthetic.pki import START
from tests.synthetic.psa import COMPONENTS, endorsement_name
from verifier.endorsements import HeldEndorsements
from verifier.evidence.cca import COLLECTION_TAG, PLATFORM, REALM, TOKEN_TAG, CcaAppraiser

NOW = float(START)
NONCE = bytes(range(64))
INSTANCE_ID = b"\x01" + hashlib.sha256(b"platform").digest()
ABSENT = object()

PLATFORM_CLAIMS: Mapping[int, Any] = {
    265: "tag:arm.com,2023:cca_platform#1.0.0",
    2396: b"\x44" * 32,
    256: INSTANCE_ID,
    2401: b"\xcf" * 4,
    2395: 0x3003,
    2402: "sha-256",
    2400: "https://verifier.example",
    2399: COMPONENTS,
}

REALM_CLAIMS: Mapping[int, Any] = {
    265: "tag:arm.com,2023:realm#1.0.0",
    10: NONCE,
    44235: b"\x66" * 64,
    44236: "sha-256",
    44238: b"\x77" * 32,
    44239: [bytes([index]) * 32 for index in range(4)],
    44240: "sha-512",
}


def platform_key() -> ec.EllipticCurvePrivateKey:
    return ec_key(31, "P-384")


def realm_key() -> ec.EllipticCurvePrivateKey:
    return ec_key(32, "P-384")


def point(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The realm's key as the first firmware has it."""
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def cose_key(key: ec.EllipticCurvePrivateKey, **changed: Any) -> bytes:
    """The realm's key as the RMM specification has it."""
    raw = point(key)
    shape: dict[str, Any] = {"kty": 2, "crv": 2, "x": raw[1:49], "y": raw[49:]} | changed
    labels = {"kty": 1, "alg": 3, "crv": -1, "x": -2, "y": -3}
    return dumps({labels[name]: value for name, value in shape.items() if value is not ABSENT})


def _merged(claims: Mapping[int, Any], changed: Mapping[Any, Any] | None) -> dict[Any, Any]:
    return {label: value for label, value in {**claims, **(changed or {})}.items() if value is not ABSENT}


def cca(
    *,
    tag: int = COLLECTION_TAG,
    platform: Mapping[Any, Any] | None = None,
    realm: Mapping[Any, Any] | None = None,
    rak: bytes | None = None,
    platform_signer: PrivateKey | None = None,
    realm_signer: PrivateKey | None = None,
    platform_cose: Mapping[str, Any] | None = None,
    realm_cose: Mapping[str, Any] | None = None,
    enrolled: Mapping[bytes, PrivateKey] | None = None,
    key: bytes | None = None,
    record_type: Any = 263,
    alone: bool = False,
    platform_only: Mapping[Any, Any] | None = None,
    realm_only: Mapping[Any, Any] | None = None,
) -> Exhibit:
    """A valid pair of tokens, but for what is given.

    `platform` and `realm` replace claims, `platform_only` and `realm_only` all of them, `rak` the realm's key.
    """
    rak = cose_key(realm_key()) if rak is None else rak
    keyed = {44237: rak, 44240: REALM_CLAIMS[44240]}
    realm_set = _merged({**REALM_CLAIMS, **keyed} if realm_only is None else {**realm_only, **keyed}, realm)
    digest = {"sha-256": hashlib.sha256, "sha-384": hashlib.sha384}.get(str(realm_set.get(44240)), hashlib.sha512)
    bound = {**PLATFORM_CLAIMS, 10: digest(rak).digest()}
    platform_set = _merged(bound if platform_only is None else platform_only, platform)
    platform_token = sign1(platform_signer or platform_key(), dumps(platform_set), **dict(platform_cose or {}))
    realm_token = sign1(realm_signer or realm_key(), dumps(realm_set), **dict(realm_cose or {}))
    tokens = {PLATFORM: platform_token, REALM: realm_token}
    if tag == COLLECTION_TAG:
        token = dumps(CBORTag(tag, {label: [record_type, each] for label, each in tokens.items()}))
    else:
        token = dumps(CBORTag(tag, tokens))
    known = {INSTANCE_ID: platform_key()} if enrolled is None else enrolled
    held = HeldEndorsements({endorsement_name("cca", each): pem(holder) for each, holder in known.items()})
    parts = {"token": platform_token if alone else token} | ({} if key is None else {"key": key})
    return Exhibit(CcaAppraiser(held), parts, NOW, NONCE)


__all__ = ["ABSENT", "COLLECTION_TAG", "TOKEN_TAG", "cca", "cose_key", "platform_key", "point", "realm_key"]
