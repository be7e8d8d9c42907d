"""The demo's claims: each of them can fail, and the search finds what is there."""

import dataclasses
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from protocol.errors import ConfigurationError
from protocol.keys import SigningKey
from protocol.party import Delivery
from sealedge.operations.demo.eavesdropper import Eavesdropper, pieces, private_keys, search
from sealedge.operations.demo.processes import PartyFailedError, Troupe
from sealedge.operations.demo.report import DemoReport, percentile
from sealedge.operations.demo.software_tpm import SoftwareTpm
from tests.support.tpms import need

GOOD = DemoReport(
    accuracy=0.95,
    sent=171,
    answered=171,
    refused=0,
    lost=0,
    doubled=0,
    p50_ms=1.0,
    p99_ms=2.0,
    tier="simulated",
    broker="mosquitto",
    plaintext_seen_by_eavesdropper=0,
    seconds=5.0,
    receipts_verified=171,
    messages_seen_by_eavesdropper=500,
    bytes_seen_by_eavesdropper=1_000_000,
    searched_for=1000,
    search_control=10,
    refused_after_revocation=True,
    agent_memory_mb=None,
)


def test_a_report_in_which_all_holds_has_no_failures() -> None:
    assert GOOD.failures() == []


@pytest.mark.parametrize(
    "changes",
    [
        {"accuracy": 0.9},
        {"answered": 170},
        {"sent": 0, "answered": 0, "receipts_verified": 0},
        {"refused": 1},
        {"lost": 1},
        {"doubled": 1},
        {"plaintext_seen_by_eavesdropper": 1},
        {"search_control": 0},
        {"receipts_verified": 170},
        {"refused_after_revocation": False},
        {"left_running": ("agent",)},
    ],
    ids=str,
)
def test_each_claim_can_fail(changes: dict[str, object]) -> None:
    failures = dataclasses.replace(GOOD, **changes).failures()  # type: ignore[arg-type]  # each of its own type
    assert len(failures) == 1


@pytest.mark.parametrize("where", ["topic", "payload", "response_topic", "correlation"])
def test_the_search_finds_a_secret_wherever_it_is(where: str) -> None:
    fields: dict[str, str | bytes | None] = {
        "topic": "fleet/x",
        "payload": b"sealed",
        "response_topic": None,
        "correlation": None,
    }
    fields[where] = "patient-seven" if where in {"topic", "response_topic"} else b"patient-seven"
    found = search([Delivery(**fields)], [b"patient-seven", b"patient-eight"], b"")  # type: ignore[arg-type]
    assert (found.hits, found.needles) == (1, 2)


def test_the_search_joins_no_two_parts_into_a_secret() -> None:
    heard = [Delivery("a", b"patient-"), Delivery("b", b"seven")]
    assert search(heard, [b"patient-seven"], b"patient").hits == 0
    assert search(heard, [b"patient-seven"], b"patient").control == 1


def test_a_part_of_a_reading_is_found_too() -> None:
    reading = bytes(range(120))
    heard = [Delivery("a", b"..." + reading[24:48] + b"...")]
    assert search(heard, pieces(reading), b"").hits == 2


def test_private_keys_are_looked_for_by_their_numbers(tmp_path: Path) -> None:
    key = SigningKey.generate()
    (tmp_path / "signing.pem").write_bytes(key.pem())
    (tmp_path / "public.pem").write_bytes(key.public.pem())
    [scalar] = private_keys(tmp_path)
    assert len(scalar) == 32
    assert scalar not in key.pem()


def test_an_eavesdropper_says_nothing() -> None:
    ear = Eavesdropper()
    assert ear.receive(Delivery("a", b"b"), 0.0) == []
    assert ear.heard == [Delivery("a", b"b")]


def test_percentiles_are_of_the_nearest_rank() -> None:
    values = [float(number) for number in range(1, 101)]
    assert [percentile(values, share) for share in (0.0, 0.5, 0.99, 1.0)] == [1.0, 50.0, 99.0, 100.0]
    assert percentile([7.0], 0.5) == 7.0


@pytest.mark.slow
def test_a_party_that_ends_badly_ends_the_demo(tmp_path: Path) -> None:
    with Troupe(tmp_path, lambda _said: None) as troupe:
        troupe.start("verifier", "verifier", "--config", "missing.toml")
        with pytest.raises(PartyFailedError, match="verifier ended with status 2"):
            troupe.wait_for(lambda _said: False, "nothing", 20)


def test_a_missing_swtpm_is_one_line_and_no_lesser_tee(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match="swtpm is not installed"):
        SoftwareTpm(tmp_path)


def test_the_ports_of_a_swtpm_stay_its_own_while_it_is_off(tmp_path: Path) -> None:
    need("swtpm")
    with SoftwareTpm(tmp_path) as tpm:
        before, port = tpm.tcti, tpm._port
        tpm.stop()
        for each in (port, port + 1):
            with socket.socket() as other, pytest.raises(OSError, match="in use"):
                other.bind(("127.0.0.1", each))
            with socket.socket() as other, pytest.raises(ConnectionRefusedError):
                other.connect(("127.0.0.1", each))
        tpm.start()
        assert tpm.tcti == before
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))


@pytest.mark.slow
@pytest.mark.parametrize("given", [False, True], ids=["swtpm", "given"])
def test_the_demo_runs_on_a_tpm(tmp_path: Path, given: bool) -> None:
    """swtpm of its own; or one that is there already, twice, since what was extended outlives the fleet."""
    need("swtpm", "tpm2")
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "SEALEDGE_TEE": "tpm"}
    with SoftwareTpm(tmp_path / "tpm") as tpm:
        if given:
            environment["SEALEDGE_TPM__TCTI"] = tpm.tcti
        for _ in range(2 if given else 1):
            command = [sys.executable, "-m", "sealedge", "demo", "--json"]
            done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
            report = json.loads(done.stdout)
            assert (done.returncode, report["failures"], done.stderr) == (0, [], "")
            assert (report["tier"], report["receipts_verified"]) == ("tpm", 171)
            assert "hides nothing from the machine's owner" in report["tier_means"]
            assert (tpm.tcti if given else "here swtpm") in report["tier_means"]


@pytest.mark.slow
def test_the_demo_holds_what_it_claims(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sealedge", "demo", "--json"]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
    report = json.loads(done.stdout)
    assert (done.returncode, report["failures"], done.stderr) == (0, [], "")
    assert (report["sent"], report["answered"], report["receipts_verified"]) == (171, 171, 171)
    assert report["tier"] == "simulated"
    assert report["search_control"] > 0
