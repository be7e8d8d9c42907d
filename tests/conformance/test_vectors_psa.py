"""PSA tokens of TF-M and of Veraison's tests, and Veraison's claims sets under a signature of our own."""

import base64
import binascii
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cbor2 import dumps

from protocol.errors import AppraisalError, MalformedError, RemoteError, UnsupportedError
from tests.conformance.entries import Entry, entries_of, parts_of
from tests.synthetic.cose import pem
from tests.synthetic.psa import device_key, psa
from verifier.endorsements import NO_ENDORSEMENTS
from verifier.evidence.examination import Examination
from verifier.evidence.psa import PsaAppraiser

ENTRIES = entries_of("psa")
SYNTHETIC = "signature-valid; "
"""Claims of no profile at all, that TF-M's tools use to test their tagging."""


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["id"])
def test_the_expected_verdict(vectors: Path, entry: Entry) -> None:
    examination, expect = Examination(), entry["expect"]
    appraiser, parts = PsaAppraiser(NO_ENDORSEMENTS), parts_of(vectors, entry)
    if expect == "valid":
        tee = appraiser.appraise_untrusted(parts, 0, examination)
        assert (examination.signature, tee.debug) == ("valid", False)
        return
    error: type[RemoteError] = {"malformed": MalformedError, "refuse": UnsupportedError}.get(expect, AppraisalError)
    with pytest.raises(error):
        appraiser.appraise_untrusted(parts, 0, examination)
    holds = expect == "signature-valid/claims-invalid" or expect.startswith(SYNTHETIC)
    assert examination.signature == ("valid" if holds else "unchecked")


def test_another_key_of_the_same_tools(vectors: Path) -> None:
    parts = {
        "token": (vectors / "psa/iat-verifier/iat.cbor").read_bytes(),
        "key": (vectors / "psa/iat-verifier/key-alt.pub.pem").read_bytes(),
    }
    examination = Examination()
    with pytest.raises(RemoteError):
        PsaAppraiser(NO_ENDORSEMENTS).appraise_untrusted(parts, 0, examination)
    assert examination.signature == "invalid"


CURRENT: Mapping[str, int] = {
    "eat-profile": 265,
    "psa-nonce": 10,
    "psa-instance-id": 256,
    "psa-client-id": 2394,
    "psa-security-lifecycle": 2395,
    "psa-implementation-id": 2396,
    "psa-boot-seed": 2397,
    "psa-certification-reference": 2398,
    "psa-software-components": 2399,
    "psa-verification-service-indicator": 2400,
}
OLDER: Mapping[str, int] = {
    "psa-profile": -75000,
    "psa-client-id": -75001,
    "psa-security-lifecycle": -75002,
    "psa-implementation-id": -75003,
    "psa-boot-seed": -75004,
    "psa-hwver": -75005,
    "psa-software-components": -75006,
    "psa-no-software-measurements": -75007,
    "psa-nonce": -75008,
    "psa-instance-id": -75009,
    "psa-verification-service-indicator": -75010,
}
COMPONENT = {
    "measurement-type": 1,
    "measurement-value": 2,
    "version": 4,
    "signer-id": 5,
    "measurement-description": 6,
}
BYTES = {"psa-nonce", "psa-instance-id", "psa-implementation-id", "psa-boot-seed", "measurement-value", "signer-id"}


def converted(claims: Mapping[str, Any], labels: Mapping[str, int]) -> dict[int, Any]:
    """The CBOR claims of Veraison's JSON: names to labels, base64 to bytes."""
    return {labels[name]: value_of(name, value) for name, value in claims.items() if name in labels}


def value_of(name: str, value: Any) -> Any:
    if isinstance(value, list):
        return [converted(each, COMPONENT) for each in value]
    if name not in BYTES:
        return value
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error:
        return value


# What a file's name says, and which profile it says it of: the files serve Veraison's tests of both.
BOTH_INVALID = (
    "client-id-invalid-missing",
    "hardware-version-invalid",
    "implementation-id-invalid-missing",
    "implementation-id-invalid-short",
    "instance-id-invalid-euid-type",
    "instance-id-invalid-missing",
    "instance-id-invalid-short",
    "nonce-invalid-missing",
    "nonce-invalid-short",
    "security-lifecycle-invalid-missing",
    "security-lifecycle-invalid-state",
    "sw-component-and-no-sw-measurements-missing",
    "sw-component-measurement-value-invalid-missing",
    "sw-component-measurement-value-invalid-short",
    "sw-component-signer-id-invalid-missing",
    "sw-component-signer-id-invalid-short",
    "sw-components-empty",
    "sw-components-invalid-missing",
    "vsi-invalid-empty",
    "boot-seed-invalid-short",
)


def outcome(claims: dict[int, Any]) -> str:
    examination = Examination()
    try:
        psa(payload=dumps(claims), key=pem(device_key())).appraise(examination)
    except (AppraisalError, UnsupportedError):
        verdict = "refused"
    else:
        verdict = "accepted"
    assert examination.signature == "valid"
    return verdict


def load(vectors: Path, name: str) -> Any:
    return json.loads((vectors / f"psa/psatoken/test-{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", BOTH_INVALID)
def test_claims_that_are_invalid_in_either_profile(vectors: Path, name: str) -> None:
    claims = load(vectors, name)
    assert outcome(converted({"eat-profile": "http://arm.com/psa/2.0.0"} | claims, CURRENT)) == "refused"
    assert outcome(converted(claims, OLDER)) == "refused"


ONE_PROFILE = [
    ("token-valid-full", "accepted", "accepted"),
    ("token-valid-minimalist-p2", "accepted", "refused"),
    ("token-valid-minimalist-p1", "refused", "accepted"),
    ("token-valid-minimalist-no-sw-measurements", "refused", "accepted"),
    # Optional since draft -10.
    ("boot-seed-invalid-missing", "accepted", "refused"),
    # Without a profile a token is of the older one.
    ("profile-valid-missing", "refused", "accepted"),
    ("profile-invalid-missing", "refused", "accepted"),
    # It names no profile, and only the older one has the claim that contradicts the components.
    ("sw-components-invalid-combo", "refused", "refused"),
    # The older one has its name from its labels, and whatever text stands there.
    ("profile-invalid-unknown", "refused", "accepted"),
]


@pytest.mark.parametrize(("name", "current", "older"), ONE_PROFILE)
def test_claims_that_are_valid_in_one_profile(vectors: Path, name: str, current: str, older: str) -> None:
    claims = load(vectors, name)
    assert (outcome(converted(claims, CURRENT)), outcome(converted(claims, OLDER))) == (current, older)


def test_every_file_is_tried(vectors: Path) -> None:
    tried = {*BOTH_INVALID, *(name for name, _, _ in ONE_PROFILE)}
    assert {path.stem.removeprefix("test-") for path in (vectors / "psa/psatoken").glob("*.json")} == tried


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("profile-2", "accepted"),
        ("profile-2-integ", "accepted"),
        ("profile-2-without-nonce", "refused"),
        ("profile-2-integ-without-nonce", "refused"),
        ("bad-no-implid", "refused"),
    ],
)
def test_the_claims_of_veraison_s_command(vectors: Path, name: str, verdict: str) -> None:
    claims = json.loads((vectors / f"psa/evcli/psa-claims-{name}.json").read_text(encoding="utf-8"))
    assert outcome(converted({"eat-profile": "http://arm.com/psa/2.0.0"} | claims, CURRENT)) == verdict


def test_the_claims_of_veraison_s_command_in_the_older_profile(vectors: Path) -> None:
    claims = json.loads((vectors / "psa/evcli/psa-claims-profile-1.json").read_text(encoding="utf-8"))
    assert outcome(converted(claims, OLDER)) == "accepted"
