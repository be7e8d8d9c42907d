"""The test vectors: they are what the code makes, this code opens them, and so does the JavaScript."""

import json
from pathlib import Path
from typing import Any

import pytest

from protocol.cose import parse_sign1_untrusted
from protocol.envelope import Address, open_sealed_untrusted
from protocol.messages import encode_message
from protocol.results import ResultOpener
from schemas.kinds import Kind
from schemas.session import SessionOpen
from tests.interop import vectors
from tests.interop.conftest import Run

pytestmark = pytest.mark.slow  # npm fetches the second implementation's packages

FILE = Path(vectors.__file__).with_name("vectors.json")


@pytest.fixture(scope="module")
def committed() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FILE.read_text("utf-8"))
    return found


def without_sealed(found: dict[str, Any]) -> dict[str, Any]:
    """All but the bytes that differ each time."""
    copied: dict[str, Any] = json.loads(json.dumps(found))
    for name in vectors.SEALED:
        assert len(copied["messages"][name].pop("payload")) > 2000
    return copied


def test_the_code_makes_them_still(committed: dict[str, Any]) -> None:
    assert without_sealed(vectors.build()) == without_sealed(committed)


def test_the_specification_shows_them(committed: dict[str, Any]) -> None:
    specification = vectors.SPECIFICATION.read_text("utf-8")
    assert vectors.with_appendix(specification, committed) == specification
    assert committed["messages"]["request"]["payload"][:96] in specification


def test_this_code_opens_what_is_sealed(committed: dict[str, Any]) -> None:
    message = committed["messages"]["session-open"]
    address = Address(message["topic"], vectors.AGENT, bytes.fromhex(message["correlation"]))
    opened = open_sealed_untrusted(
        SessionOpen,
        bytes.fromhex(message["payload"]),
        Kind.SESSION_OPEN,
        vectors.SENSOR_KEY.public,
        [vectors.ENCLAVE_KEM],
        address,
    )
    assert encode_message(opened).hex() == message["plaintext"]
    result = committed["messages"]["result"]
    for key in vectors.CONSUMERS.values():
        opener = ResultOpener(vectors.FLEET, key)
        arguments = (bytes.fromhex(result["payload"]), result["topic"], bytes.fromhex(result["correlation"]))
        assert opener.open_untrusted(*arguments).hex() == result["plaintext"]


@pytest.fixture(scope="module")
def found(run: Run) -> dict[str, Any]:
    """What the JavaScript reads in the vectors."""
    [line] = run("vectors.mjs", FILE)
    return line


def test_javascript_reads_in_them_what_was_said(committed: dict[str, Any], found: dict[str, Any]) -> None:
    keys, messages = committed["keys"], committed["messages"]
    assert found["sensor"] == vectors.SENSOR
    assert found["passport"] == committed["attestation_result_digest"]
    assert (found["request_keys"], found["reply_keys"]) == (
        committed["session"]["request"],
        committed["session"]["reply"],
    )
    assert found["opening"] == messages["session-open"]["plaintext"]
    assert found["request"] == messages["request"]["plaintext"]
    assert {found[name] for name in ("output", "output_for_consumer", "output_for_consumer_2")} == {
        vectors.OUTPUT.hex()
    }
    assert found["given_twice"] is False
    assert found["refusals"] == ["session-unknown", "busy"]
    assert (found["accepted_version"], found["receipt_version"]) == (3, 3)
    assert found["report_data"] == committed["report_data"]["report_data"]
    thumbprints = {name: each["thumbprint"] for kind in ("signing", "kem") for name, each in keys[kind].items()}
    assert found["thumbprints"] == thumbprints


def test_javascript_believes_nothing_that_was_altered(committed: dict[str, Any], found: dict[str, Any]) -> None:
    assert found["altered"] > 300
    assert set(found["believed"]) <= {"result"}
    # COSE authenticates no recipient's entry to another: consumer-1 does not notice that consumer-2's is damaged.
    payload = bytes.fromhex(committed["messages"]["result"]["payload"])
    start = payload.index(vectors.CONSUMERS["consumer-2"].thumbprint) - 64
    assert all(place > start for place in found["believed"].get("result", []))


def test_the_sealed_ones_are_signed_by_the_sensor(committed: dict[str, Any]) -> None:
    message = parse_sign1_untrusted(bytes.fromhex(committed["messages"]["session-open"]["payload"]))
    assert message.kid == vectors.SENSOR_KEY.public.thumbprint
