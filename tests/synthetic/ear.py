"""EARs of a made-up verifier: JWT with the names of draft -03 and of before, CWT with integer labels."""

import base64
import json
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import get_default_algorithms

from tests.synthetic.exhibit import Exhibit
from verifier.endorsements import NO_ENDORSEMENTS
from verifier.evidence.ear import EarAppraiser
from verifier.evidence.interface import Endorsements

NOW = 1_750_000_000
NONCE = bytes(range(32))
UEID = b"\x01" + b"device-number-of-a-chip-32bytes."

PrivateKey = ec.EllipticCurvePrivateKey | Ed25519PrivateKey

KEYS: dict[str, PrivateKey] = {
    "ES256": ec.derive_private_key(1001, ec.SECP256R1()),
    "ES384": ec.derive_private_key(1002, ec.SECP384R1()),
    "ES512": ec.derive_private_key(1003, ec.SECP521R1()),
    "EdDSA": Ed25519PrivateKey.from_private_bytes(bytes(range(32))),
}
COSE_ALGORITHMS = {"ES256": -7, "ES384": -35, "ES512": -36, "EdDSA": -8}
OTHER_KEY = ec.derive_private_key(2001, ec.SECP256R1())

CLAIMS: dict[str, Any] = {
    "eat_profile": "tag:ietf.org,2026:rats/ear#03",
    "iss": "https://verifier.example/v1",
    "iat": NOW - 10,
    "exp": NOW + 300,
    "eat_nonce": base64.urlsafe_b64encode(NONCE).decode().rstrip("="),
    "ear_verifier_id": {"developer": "https://verifier.example", "build": "7.1"},
    "submods": {
        "CCA Platform": {
            "ear_status": "affirming",
            "ear_trustworthiness_vector": {"instance-identity": 2, "hardware": 2, "runtime-opaque": 2},
            "ear_appraisal_policy_ids": ["https://verifier.example/policy/1"],
        },
        "CCA Realm": {
            "ear_status": "affirming",
            "ear_trustworthiness_vector": {"executables": 3},
            "ear_veraison_annotated_evidence": {"rim": "q83vASNFZ4k=", "svn": 3, "ratio": 0.5},
        },
    },
}

OLDER = {
    "ear_status": "ear.status",
    "ear_trustworthiness_vector": "ear.trustworthiness-vector",
    "ear_verifier_id": "ear.verifier-id",
    "ear_veraison_annotated_evidence": "ear.veraison.annotated-evidence",
}
LABELS = {
    "iss": 1,
    "exp": 4,
    "nbf": 5,
    "iat": 6,
    "eat_nonce": 10,
    "ueid": 256,
    "dbgstat": 263,
    "eat_profile": 265,
    "submods": 266,
    "ear_status": 1000,
    "ear_trustworthiness_vector": 1001,
    "ear_appraisal_policy_ids": 1003,
    "ear_verifier_id": 1004,
    "ear_veraison_annotated_evidence": -70000,
    "developer": 0,
    "build": 1,
    "instance-identity": 0,
    "configuration": 1,
    "executables": 2,
    "hardware": 4,
    "runtime-opaque": 5,
}


def claims(**changes: Any) -> dict[str, Any]:
    """Valid claims; None removes one."""
    found = {**deepcopy(CLAIMS), **changes}
    return {name: value for name, value in found.items() if value is not None}


def submodule(**changes: Any) -> dict[str, Any]:
    """`submods` whose realm is changed."""
    submods = deepcopy(CLAIMS["submods"])
    realm = {**submods["CCA Realm"], **changes}
    submods["CCA Realm"] = {name: value for name, value in realm.items() if value is not None}
    return submods


def renamed(value: Any, names: Mapping[str, Any]) -> Any:
    if isinstance(value, dict):
        return {names.get(name, name): renamed(each, names) for name, each in value.items()}
    return value


def older(said: dict[str, Any]) -> dict[str, Any]:
    """As Veraison had it before draft -03."""
    found = renamed(said, OLDER) | {"eat_profile": "tag:github.com,2023:veraison/ear"}
    for each in found["submods"].values():
        policies = each.pop("ear_appraisal_policy_ids", None)
        if policies is not None:
            each["ear.appraisal-policy-id"] = policies[0]
    return found


def unpadded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def jwt(said: object, algorithm: str = "ES256", key: PrivateKey | None = None, header: object = None) -> bytes:
    """The compact form; `said` may be bytes that are no JSON."""
    head = {"alg": algorithm, "typ": "JWT", "kid": "Key 1"} if header is None else header
    text = said if isinstance(said, bytes) else json.dumps(said).encode()
    signed = unpadded(json.dumps(head).encode()) + b"." + unpadded(text)
    signer: Any = get_default_algorithms()[algorithm]
    return signed + b"." + unpadded(signer.sign(signed, key or KEYS[algorithm]))


def cwt(said: dict[str, Any], algorithm: str = "ES256", *, tag: bool = True) -> bytes:
    """A COSE_Sign1 with integer labels."""
    found = renamed(said, LABELS)
    if isinstance(said.get("eat_nonce"), str):
        found[LABELS["eat_nonce"]] = base64.urlsafe_b64decode(said["eat_nonce"] + "==")
    protected, payload = cbor2.dumps({1: COSE_ALGORITHMS[algorithm]}), cbor2.dumps(found)
    signer: Any = get_default_algorithms()[algorithm]
    signature = signer.sign(cbor2.dumps(["Signature1", protected, b"", payload]), KEYS[algorithm])
    message = [protected, {4: b"kid"}, payload, signature]
    return cbor2.dumps(cbor2.CBORTag(18, message) if tag else message)


def pem(algorithm: str = "ES256", key: PrivateKey | None = None) -> bytes:
    public = (key or KEYS[algorithm]).public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def ear(token: bytes | None = None, key: bytes | None = None, held: Endorsements = NO_ENDORSEMENTS) -> Exhibit:
    """A valid JWT and its key."""
    parts = {"token": jwt(claims()) if token is None else token, "key": pem() if key is None else key}
    return Exhibit(EarAppraiser(held), parts, NOW, NONCE)
