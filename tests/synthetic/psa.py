"""PSA tokens of devices that do not exist, in the three profiles."""

import hashlib
from collections.abc import Mapping
from typing import Any

from cbor2 import dumps

from tests.synthetic.cose import PrivateKey, ec_key, pem, sign1
from tests.synthetic.exhibit import Exhibit
from tests.synthetic.pki import START
from verifier.endorsements import HeldEndorsements
from verifier.evidence.psa import PsaAppraiser
from verifier.evidence.psa_claims import DRAFT, RFC9783

NOW = float(START)
NONCE = hashlib.sha256(b"nonce").digest()
INSTANCE_ID = b"\x01" + hashlib.sha256(b"instance").digest()
ABSENT = object()

COMPONENTS = [
    {1: "BL", 2: b"\x11" * 32, 4: "2.1.0", 5: b"\x22" * 32, 6: "sha-256"},
    {1: "PRoT", 2: b"\x33" * 48, 5: b"\x22" * 48},
]

CURRENT: Mapping[int, Any] = {
    265: RFC9783,
    10: NONCE,
    256: INSTANCE_ID,
    2394: -1,
    2395: 0x3000,
    2396: b"\x44" * 32,
    2397: b"\x55" * 8,
    2398: "1234567890123-12345",
    2399: COMPONENTS,
    2400: "https://verifier.example",
}

OLDER: Mapping[int, Any] = {
    -75000: "PSA_IOT_PROFILE_1",
    -75001: 7,
    -75002: 0x3001,
    -75003: b"\x44" * 32,
    -75004: b"\x55" * 32,
    -75005: "1234567890123",
    -75006: COMPONENTS,
    -75008: NONCE,
    -75009: INSTANCE_ID,
    -75010: "https://verifier.example",
}

PROFILES: Mapping[str, Mapping[int, Any]] = {"rfc9783": CURRENT, "draft": {**CURRENT, 265: DRAFT}, "older": OLDER}


def device_key() -> PrivateKey:
    return ec_key(21)


def endorsement_name(kind: str, instance_id: bytes) -> str:
    return f"{kind}/key/{hashlib.sha256(instance_id).hexdigest()}"


def psa(
    profile: str = "rfc9783",
    *,
    changed: Mapping[Any, Any] | None = None,
    payload: bytes | None = None,
    signer: PrivateKey | None = None,
    enrolled: Mapping[bytes, PrivateKey] | None = None,
    key: bytes | None = None,
    cose: Mapping[str, Any] | None = None,
) -> Exhibit:
    """A valid token of an enrolled device, but for what is given. `key` stands beside the token."""
    claims = {**PROFILES[profile], **(changed or {})}
    claims = {label: value for label, value in claims.items() if value is not ABSENT}
    token = sign1(signer or device_key(), dumps(claims) if payload is None else payload, **dict(cose or {}))
    known = {INSTANCE_ID: device_key()} if enrolled is None else enrolled
    held = HeldEndorsements({endorsement_name("psa", each): pem(holder) for each, holder in known.items()})
    parts = {"token": token} if key is None else {"token": token, "key": key}
    return Exhibit(PsaAppraiser(held), parts, NOW, NONCE)
