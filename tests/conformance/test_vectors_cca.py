"""CCA tokens of TF-RMM's and Veraison's tests, and their bare claims sets under signatures of our own."""

import base64
import binascii
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cbor2 import loads

from protocol.errors import AppraisalError, RemoteError, UnsupportedError
from tests.conformance.entries import Entry, entries_of, parts_of
from tests.synthetic.cca import INSTANCE_ID, cca, platform_key
from tests.synthetic.cose import pem
from verifier.endorsements import NO_ENDORSEMENTS
from verifier.evidence.cca import CcaAppraiser
from verifier.evidence.examination import Examination

ENTRIES = entries_of("cca")


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["id"])
def test_the_expected_verdict(vectors: Path, entry: Entry) -> None:
    assert entry["expect"] == "valid"
    examination = Examination()
    tee = CcaAppraiser(NO_ENDORSEMENTS).appraise_untrusted(parts_of(vectors, entry), 0, examination)
    assert (examination.signature, tee.debug) == ("valid", False)
    alone = "platform_token" in entry["id"]
    assert (tee.claims["realm"] is None) == alone
    assert len(tee.report_data) == (32 if alone else 64)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["id"])
def test_another_key_and_a_flipped_bit_are_refused(vectors: Path, entry: Entry) -> None:
    parts = parts_of(vectors, entry)
    token = parts["token"]
    changed = {**parts, "key": (vectors / "psa/iat-verifier/key-alt.pub.pem").read_bytes()}
    with pytest.raises(RemoteError):
        CcaAppraiser(NO_ENDORSEMENTS).appraise_untrusted(changed, 0, Examination())
    for at in range(0, len(token), 29):
        flipped = token[:at] + bytes([token[at] ^ 0x20]) + token[at + 1 :]
        with pytest.raises(RemoteError):
            CcaAppraiser(NO_ENDORSEMENTS).appraise_untrusted({**parts, "token": flipped}, 0, Examination())


def test_the_realm_of_one_token_does_not_pass_under_the_platform_of_another(vectors: Path) -> None:
    one = (vectors / "cca/iat-verifier/cca_example_token.cbor").read_bytes()
    other = (vectors / "cca/iat-verifier/cca_example_token_legacy.cbor").read_bytes()
    key = (vectors / "cca/iat-verifier/cca_platform.pub.pem").read_bytes()
    platform, realm = dict(loads(one).value)[44234][1], dict(loads(other).value)[44241][1]
    # Both have one length of head, so that the wrapping stays as it is.
    mixed = other.replace(dict(loads(other).value)[44234][1], platform)
    mixed = mixed.replace(
        len(dict(loads(other).value)[44234][1]).to_bytes(2, "big"), len(platform).to_bytes(2, "big"), 1
    )
    assert dict(loads(mixed).value)[44241][1] == realm
    with pytest.raises(RemoteError, match="vouch"):
        CcaAppraiser(NO_ENDORSEMENTS).appraise_untrusted({"token": mixed, "key": key}, 0, Examination())


def test_the_claims_that_confidential_containers_reads_from_the_same_token(vectors: Path) -> None:
    """Trustee's extraction of another token by the same tools: the names and forms are those that we know."""
    claims = json.loads((vectors / "cca/coco-trustee/cca-claims.json").read_text(encoding="utf-8"))
    tee = appraised(converted(claims["platform"]), realm_converted(claims["realm"]))
    assert tee.report_data == base64.b64decode(claims["realm"]["cca-realm-challenge"])
    assert tee.measurement == base64.b64decode(claims["realm"]["cca-realm-initial-measurement"])


LABELS: Mapping[str, int] = {
    "cca-platform-profile": 265,
    "cca-platform-challenge": 10,
    "cca-platform-implementation-id": 2396,
    "cca-platform-instance-id": 256,
    "cca-platform-config": 2401,
    "cca-platform-lifecycle": 2395,
    "cca-platform-sw-components": 2399,
    "cca-platform-service-indicator": 2400,
    "cca-platform-hash-algo-id": 2402,
}
COMPONENT = {"measurement-type": 1, "measurement-value": 2, "version": 4, "signer-id": 5}
TEXT = {
    "cca-platform-profile",
    "cca-platform-service-indicator",
    "cca-platform-hash-algo-id",
    "measurement-type",
    "version",
}
REALM_BYTES = {
    "cca-realm-challenge": 10,
    "cca-realm-personalization-value": 44235,
    "cca-realm-initial-measurement": 44238,
}


def converted(claims: Mapping[str, Any], labels: Mapping[str, int] = LABELS) -> dict[int, Any]:
    return {labels[name]: value_of(name, value) for name, value in claims.items() if name in labels}


def value_of(name: str, value: Any) -> Any:
    if isinstance(value, list):
        return [converted(each, COMPONENT) for each in value]
    if name in TEXT or not isinstance(value, str):
        return value
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error:
        return value


def realm_converted(claims: Mapping[str, Any]) -> dict[int, Any]:
    """All but the key and its hash, which are ours here."""
    registers = [base64.b64decode(each) for each in claims["cca-realm-extensible-measurements"]]
    read = {label: base64.b64decode(claims[name]) for name, label in REALM_BYTES.items()}
    return {**read, 44239: registers, 44236: claims["cca-realm-hash-algo-id"]}


def appraised(platform: dict[Any, Any], realm: dict[Any, Any]) -> Any:
    """Claims of others under keys of ours; the platform's challenge stays ours, since it binds our realm key."""
    platform = {label: value for label, value in platform.items() if label != 10}
    return cca(platform=platform, realm=realm, key=pem(platform_key())).appraise()


INVALID = (
    "config-missing",
    "hash-algid-invalid",
    "hash-algid-missing",
    "implementation-id-invalid-long",
    "implementation-id-invalid-missing",
    "instance-id-invalid",
    "instance-id-missing",
    "invalid-profile",
    "invalid-psa-claims",
    "lifecycle-invalid",
    "no-sw-components",
    "nonce-invalid",
    "sw-components-invalid-combo",
    "sw-components-invalid-missing",
    "vsi-invalid-empty",
)


def alone(vectors: Path, name: str, examination: Examination) -> Any:
    """A platform token with exactly the claims of a file."""
    claims = json.loads((vectors / f"cca/ccatoken/test-{name}.json").read_text(encoding="utf-8"))
    exhibit = cca(platform_only=converted(claims), alone=True, key=pem(platform_key()))
    return exhibit.appraise(examination)


@pytest.mark.parametrize("name", INVALID)
def test_platform_claims_that_are_invalid(vectors: Path, name: str) -> None:
    examination = Examination()
    with pytest.raises((AppraisalError, UnsupportedError)):
        alone(vectors, name, examination)
    assert examination.signature == "valid"


def test_every_file_is_tried(vectors: Path) -> None:
    found = {path.stem.removeprefix("test-") for path in (vectors / "cca/ccatoken").glob("*.json")}
    assert found == {*INVALID, "token-valid-full"}


def test_platform_claims_that_are_valid(vectors: Path) -> None:
    assert alone(vectors, "token-valid-full", Examination()).report_data == b"\x01" * 32


@pytest.mark.parametrize(
    ("name", "holds"),
    [
        ("realm-claims", True),
        ("realm-claims+spurious-numeric-key", True),
        ("realm-claims+spurious-text-key", True),
        ("realm-claims-missing-challenge", False),
    ],
)
def test_bare_realm_claims(vectors: Path, name: str, holds: bool) -> None:
    claims = dict(loads((vectors / f"cca/rust-ccatoken/{name}.cbor").read_bytes()))
    without_key = {
        label: list(value) if label == 44239 else value
        for label, value in claims.items()
        if label not in (44237, 44240)
    }
    exhibit = cca(realm_only=without_key)
    if holds:
        assert exhibit.appraise().report_data == claims[10]
        return
    with pytest.raises(AppraisalError, match="challenge"):
        exhibit.appraise()


def test_bare_platform_claims(vectors: Path) -> None:
    claims = dict(loads((vectors / "cca/rust-ccatoken/platform-claims.cbor").read_bytes()))
    claims[2399] = [dict(each) for each in claims[2399]]
    tee = cca(platform_only=claims, alone=True, key=pem(platform_key())).appraise()
    assert tee.report_data == claims[10]
    assert tee.claims["platform"]["instance_id"] != INSTANCE_ID  # type: ignore[index, call-overload]
