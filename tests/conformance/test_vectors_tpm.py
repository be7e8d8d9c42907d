"""Quotes of real TPMs and event logs of real boots: each entry of the vectors' index gets its verdict."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from protocol.errors import AuthenticationError, MalformedError, RemoteError, UnsupportedError
from tests.conformance.conftest import Load
from tests.synthetic.tpm import Folder
from verifier.evidence.event_log import parse_event_log_untrusted
from verifier.evidence.examination import Examination
from verifier.evidence.interface import Parts, TeeClaims
from verifier.evidence.tpm import TpmAppraiser
from verifier.evidence.tpm_forms import parts_from_gce_folder, parts_from_trustee_json
from verifier.evidence.tpm_structures import quote_untrusted

ENTRIES = ("tpm-keylime", "tpm-trustee", "tpm-gce-cos-85-nonce9009")
GCE = "tpm/go-tpm-tools/gce-cos-85-nonce9009"


def appraise(parts: Parts) -> TeeClaims:
    examination = Examination()
    claims = TpmAppraiser(Folder()).appraise_untrusted(parts, 0, examination)
    assert examination.signature == "valid"
    assert all(line.holds for line in examination.lines)
    return claims


def parts_of(entry: dict[str, Any], vectors: Path) -> dict[str, bytes]:
    files = entry["files"]
    if "dir" in files:
        return parts_from_gce_folder(read(vectors / files["dir"]))
    if "json" in files:
        return parts_from_trustee_json((vectors / files["json"]).read_bytes())
    return {name: (vectors / path).read_bytes() for name, path in files.items()}


def read(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_every_entry_is_tried(load_vectors: Load) -> None:
    assert {entry["id"] for entry in load_vectors("index.json") if entry["kind"] == "tpm"} == set(ENTRIES)


@pytest.mark.parametrize("name", ENTRIES)
def test_entry(vectors: Path, load_vectors: Load, name: str) -> None:
    entry = next(each for each in load_vectors("index.json") if each["id"] == name)
    assert entry["expect"] == "valid"
    parts = parts_of(entry, vectors)
    claims = appraise(parts)
    if "nonce_hex" in entry:
        assert claims.report_data.hex() == entry["nonce_hex"]
    for part in ("quote", "sig"):
        spoilt = bytes([*parts[part][:-1], parts[part][-1] ^ 1])
        with pytest.raises(RemoteError):
            appraise({**parts, part: spoilt})


@pytest.mark.parametrize("bank", ["sha1", "sha256", "sha384"])
@pytest.mark.parametrize("ak", ["ak.pem", "ak.tpmt_public", "ak_cert.der"])
def test_every_bank_and_form_of_key(vectors: Path, bank: str, ak: str) -> None:
    files = read(vectors / GCE)
    parts = {
        "quote": files[f"quote_{bank}.tpms_attest"],
        "sig": files[f"quote_{bank}.tpmt_signature"],
        "pcrs": files[f"pcrs_{bank}.json"],
        "ak": files[ak],
        "eventlog": files["eventlog.bin"],
    }
    said = appraise(parts).claims["eventlog"]
    assert said == {"banks": (bank,), "pcrs": tuple(range(10)), "secure_boot": None if bank == "sha1" else True}
    with pytest.raises(RemoteError):
        appraise({**parts, "eventlog": (vectors / "tpm/keylime/binary_bios_measurements").read_bytes()})
    with pytest.raises(RemoteError):
        appraise({**parts, "quote": files[f"quote_{'sha1' if bank == 'sha256' else 'sha256'}.tpms_attest"]})


def test_the_name_of_a_key(vectors: Path) -> None:
    keylime = read(vectors / "tpm/keylime")
    parts = {"quote": keylime["quote.out"], "sig": keylime["quotesig.out"], "pcrs": keylime["quotepcr.out"]}
    said = appraise({**parts, "ak": keylime["ak.pub"]}).claims["ak"]
    assert isinstance(said, dict)
    assert isinstance(said["declared"], dict)
    assert said["declared"]["name"] == keylime["ak.name"]
    with pytest.raises(AuthenticationError):
        appraise({**parts, "ak": keylime["ekpub.pem"]})


@pytest.mark.parametrize(
    ("path", "events", "banks", "locality"),
    [
        ("go-tpm-tools/eventlogs/debian-10.bin", 25, ("sha1",), 0),
        ("go-tpm-tools/eventlogs/ubuntu-2404-amd-sevsnp.bin", 116, ("sha1", "sha256", "sha384"), 0),
        ("go-attestation/eventlogs/short_no_action_eventlog", 1, ("sha1",), 3),
        ("go-attestation/eventlogs/crypto_agile_eventlog", 26, ("sha256",), 0),
        ("keylime/binary_bios_measurements", 120, ("sha1", "sha256"), 3),
        ("keylime/mb_log.b64", 101, ("sha256",), 0),
    ],
)
def test_event_logs(vectors: Path, path: str, events: int, banks: tuple[str, ...], locality: int) -> None:
    data = (vectors / "tpm" / path).read_bytes()
    log = parse_event_log_untrusted(base64.b64decode(data) if path.endswith("b64") else data)
    assert (len(log.events), log.banks, log.startup_locality) == (events, banks, locality)


def test_a_quote_without_signature(vectors: Path) -> None:
    quote = quote_untrusted((vectors / "tpm/dstack/tpm_quote_sample.bin").read_bytes())
    assert quote.extra_data.hex() == "12345678"
    assert quote.selections[0].indices == (0, 1, 2)


def test_an_attestation_of_a_key_is_no_quote(vectors: Path) -> None:
    evidence = json.loads((vectors / "tpm/parsec/evidence.json").read_bytes())
    with pytest.raises(UnsupportedError):
        quote_untrusted(base64.b64decode(evidence["kat"]["certInfo"]))
    with pytest.raises(MalformedError):
        parts_from_trustee_json((vectors / "tpm/parsec/evidence.json").read_bytes())
