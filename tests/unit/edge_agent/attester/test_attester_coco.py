"""Confidential Containers, with a local HTTP server in place of the guest components: no hardware was there."""

import base64
import hashlib
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.attester import AttesterError
from edge_agent.attester.coco import CocoAttester
from edge_agent.attester.loopback import MAX_REPLY, LoopbackService
from edge_agent.attester.settings import CocoSettings
from edge_agent.attester.sev_json import REPORT_BYTES, certificates_of_json, report_of_json
from protocol.cmw import unwrap_untrusted
from protocol.errors import ConfigurationError, ProtocolMisuseError
from schemas.evidence import AZURE_VTPM, CCA, SGX, SNP, TDX, EvidenceFormat
from schemas.kinds import Tier
from schemas.reason import Reason
from tests.support.guest_components import GuestComponents, report_json, serving
from tests.synthetic import snp as made
from verifier.evidence.examination import Examination

REPORT_DATA = bytes(range(100, 164))


@contextmanager
def attesting(components: GuestComponents) -> Iterator[CocoAttester]:
    with serving(components.answer) as url:
        attester = CocoAttester(CocoSettings(url=url))
        components.asked.clear()
        yield attester


def snp_json(runtime_data: bytes, **more: object) -> bytes:
    parts = made.snp(report_data=runtime_data.ljust(64, b"\0")).parts
    entries = [("VCEK", parts["vcek"]), ("ASK", made.ask().der), ("ARK", made.ark().der)]
    chain: list[dict[str, object]] = [{"cert_type": name, "data": list(data)} for name, data in entries]
    chain.append({"cert_type": {"OTHER": "12345678-1234-1234-1234-123456789abc"}, "data": [1]})
    return json.dumps({"attestation_report": report_json(parts["report"]), "cert_chain": chain, **more}).encode()


def encoded(data: bytes) -> str:
    return base64.b64encode(b"head" + data).decode()


def tdx_json(runtime_data: bytes) -> bytes:
    log = base64.b64encode(b"log").decode()
    return json.dumps({"cc_eventlog": log, "quote": encoded(runtime_data)}).encode()


# From the guest components to the verifier


def test_an_snp_report_reaches_the_verifier_with_its_certificates() -> None:
    """A local server under a made-up ARK: no hardware was there."""
    with attesting(GuestComponents("snp", snp_json)) as attester:
        parts = unwrap_untrusted(SNP, attester.collect(REPORT_DATA))
    assert sorted(parts) == ["chain", "report", "vcek"]
    exhibit, examination = made.snp(), Examination()
    claims = exhibit.appraiser.appraise_untrusted(parts, exhibit.now, examination)
    assert (claims.report_data, claims.tier, examination.signature) == (REPORT_DATA, attester.tier, "valid")


@pytest.mark.parametrize(
    ("tee", "reply", "form", "parts"),
    [
        ("tdx", tdx_json, TDX, {"quote": b"head" + REPORT_DATA, "eventlog": b"log"}),
        (
            "tdx",
            lambda data: json.dumps({"cc_eventlog": None, "quote": encoded(data)}).encode(),
            TDX,
            {"quote": b"head" + REPORT_DATA},
        ),
        ("sgx", lambda data: json.dumps({"quote": encoded(data)}).encode(), SGX, {"quote": b"head" + REPORT_DATA}),
        ("cca", lambda data: json.dumps({"token": list(b"t" + data)}).encode(), CCA, {"token": b"t" + REPORT_DATA}),
    ],
)
def test_other_tees_are_read_in_their_own_shapes(
    tee: str, reply: Any, form: EvidenceFormat, parts: dict[str, bytes]
) -> None:
    """A local server: no hardware was there."""
    with attesting(GuestComponents(tee, reply)) as attester:
        assert unwrap_untrusted(form, attester.collect(REPORT_DATA)) == parts


@pytest.mark.parametrize(
    ("tee", "tier"),
    [("az-snp-vtpm", Tier.AZURE_SEV_SNP), ("aztdxvtpm", Tier.AZURE_TDX), ('"AzTdxVtpm"', Tier.AZURE_TDX)],
)
@pytest.mark.parametrize("shape", [bytes.hex, list])
def test_a_vtpm_signs_the_digest_of_report_data(tee: str, tier: Tier, shape: Any) -> None:
    """A local server: no hardware was there. The JSON travels as it came."""
    given: list[bytes] = []

    def reply(runtime_data: bytes) -> bytes:
        given.append(runtime_data)
        quote = {"tpm_quote": {"message": shape(b"head" + runtime_data + b"tail")}}
        return json.dumps(quote, separators=(",", ":")).encode()

    with attesting(GuestComponents(tee, reply)) as attester:
        parts = unwrap_untrusted(AZURE_VTPM, attester.collect(REPORT_DATA))
    assert (attester.tier, given) == (tier, [hashlib.sha256(REPORT_DATA).digest()])
    assert parts == {"evidence": reply(given[0])}


def test_report_data_is_sent_whole_and_url_safe() -> None:
    components = GuestComponents("tdx", tdx_json)
    with attesting(components) as attester:
        attester.collect(b"\xff\xfe" * 32)
    (target,) = components.asked
    assert target.startswith("/aa/evidence?runtime_data=")
    assert set("+/=").isdisjoint(target.partition("runtime_data=")[2].removesuffix("&encoding=base64"))


# What is not what was asked for


def test_an_older_server_that_signs_letters_is_refused() -> None:
    with (
        attesting(GuestComponents("tdx", tdx_json, knows_encoding=False)) as attester,
        pytest.raises(AttesterError, match="other report data"),
    ):
        attester.collect(REPORT_DATA)


def test_a_hash_of_the_agents_own_is_refused() -> None:
    def reply(runtime_data: bytes) -> bytes:
        return snp_json(hashlib.sha512(runtime_data).digest(), svsm_manifest="AAAA")

    with attesting(GuestComponents("snp", reply)) as attester, pytest.raises(AttesterError, match="SVSM"):
        attester.collect(REPORT_DATA)


@pytest.mark.parametrize("tee", ["sample", '"sample"', "sample_device"])
def test_their_sample_is_no_tee(tee: str) -> None:
    with (
        serving(GuestComponents(tee, snp_json).answer) as url,
        pytest.raises(ConfigurationError, match="proves nothing"),
    ):
        CocoAttester(CocoSettings(url=url))


@pytest.mark.parametrize("tee", [None, "", "csv", "se", "tpm", 7, ["snp"], {"snp": 1}])
def test_a_tee_that_is_not_known_is_a_matter_of_configuration(tee: object) -> None:
    with (
        serving(GuestComponents(tee, snp_json).answer) as url,
        pytest.raises(ConfigurationError, match="not known here"),
    ):
        CocoAttester(CocoSettings(url=url))


@pytest.mark.parametrize(
    "reply", [b"", b"{", b"[]", b"null", b"{}", b'{"quote": 1}', b'{"quote": "!"}', b"[" * 100_000]
)
@pytest.mark.parametrize("tee", ["snp", "tdx", "sgx", "cca", "azsnpvtpm"])
def test_an_answer_of_another_shape_is_the_tees_failure(tee: str, reply: bytes) -> None:
    with attesting(GuestComponents(tee, lambda _: reply)) as attester, pytest.raises(AttesterError):
        attester.collect(REPORT_DATA)


def test_report_data_of_another_length_asks_nobody() -> None:
    components = GuestComponents("tdx", tdx_json)
    with attesting(components) as attester, pytest.raises(ProtocolMisuseError):
        attester.collect(bytes(32))
    assert components.asked == []


def test_a_server_that_goes_away_is_the_tees_failure() -> None:
    with attesting(GuestComponents("tdx", tdx_json)) as attester:
        pass
    with pytest.raises(AttesterError, match="refused"):
        attester.collect(REPORT_DATA)


# The service


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:8006",
        "http://192.0.2.1:8006",
        "http://0.0.0.0:8006",
        "https://127.0.0.1:8006",
        "http://127.0.0.1.example:8006",
        "http://user@127.0.0.1:8006",
        "http://127.0.0.1:8006/aa",
        "http://127.0.0.1:99999",
        "http://[::1",
        "127.0.0.1:8006",
        "",
    ],
)
def test_nothing_but_an_address_of_this_machine_is_asked(url: str) -> None:
    with pytest.raises(ConfigurationError, match="not a service of this machine"):
        CocoAttester(CocoSettings(url=url))


@pytest.mark.parametrize("url", ["http://127.0.0.1:8006", "http://127.1.2.3:1/", "http://[::1]:8006"])
def test_an_address_of_this_machine_is_taken(url: str) -> None:
    assert LoopbackService.of_url(url, 1).timeout == 1


def test_a_redirect_is_not_followed() -> None:
    components = GuestComponents("snp", snp_json)
    with (
        serving(components.answer) as target,
        serving(lambda _: b"", lambda: 302, Location=target) as url,
        pytest.raises(AttesterError, match="refuses") as caught,
    ):
        LoopbackService.of_url(url, 5).ask("/info", {})
    assert components.asked == []
    assert "302" in caught.value.diagnostics


def test_a_refusal_is_told_with_its_words() -> None:
    with serving(lambda _: b"no\nTEE\x00here", lambda: 500) as url, pytest.raises(AttesterError, match="no TEE here"):
        LoopbackService.of_url(url, 5).ask("/aa/evidence", {})


def test_an_answer_that_is_too_long_is_refused() -> None:
    with serving(lambda _: bytes(MAX_REPLY + 1)) as url, pytest.raises(AttesterError) as caught:
        LoopbackService.of_url(url, 5).ask("/info", {})
    assert caught.value.reason == Reason.OVERSIZED


@contextmanager
def dripping(first: bytes) -> Iterator[str]:
    """A server that says `first`, and then a letter every now and then for as long as somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                try:
                    connection.sendall(first)
                    while True:
                        connection.sendall(b"x")
                        time.sleep(0.02)
                except OSError:
                    return

        thread = threading.Thread(target=drip)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join()


@pytest.mark.slow
@pytest.mark.parametrize("first", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"])
def test_a_service_that_drips_is_cut_off(first: bytes) -> None:
    started = time.monotonic()
    with dripping(first) as url, pytest.raises(AttesterError, match="takes too long") as caught:
        LoopbackService.of_url(url, 0.2).ask("/info", {})
    assert caught.value.reason == Reason.TIMEOUT
    assert time.monotonic() - started < 30


@pytest.mark.parametrize("said", [b"", b"SSH-2.0-server\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"])
def test_a_service_that_does_not_speak_http_is_told(said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(said)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(AttesterError, match=r"HTTP|breaks off"):
            LoopbackService.of_url(f"http://127.0.0.1:{server.getsockname()[1]}", 5).ask("/info", {})
        thread.join()


# Reports in JSON


@pytest.mark.parametrize("processor", ["Milan", "Genoa", "Turin"])
@pytest.mark.parametrize("version", [2, 3, 5])
@pytest.mark.parametrize("old", [False, True])
def test_a_report_survives_its_json(processor: str, version: int, old: bool) -> None:
    if processor == "Turin" and version == 2:
        pytest.skip("a report of version 2 does not say that it is Turin's")
    report = made.report(made.ec_key("leaf"), processor, version=version)
    assert report_of_json(json.loads(json.dumps(report_json(report, old=old)))) == report


def recorded_reports() -> list[Path]:
    folder = os.environ.get("SEALEDGE_VECTORS")
    files = sorted(Path(folder, "snp").rglob("*.bin")) if folder else []
    return [file for file in files if file.stat().st_size == REPORT_BYTES]


def test_recorded_reports_survive_their_json() -> None:
    """What the crate leaves out is zero in every report that was recorded from hardware."""
    reports = recorded_reports()
    if not reports:
        pytest.skip("SEALEDGE_VECTORS names no folder with recorded evidence")
    for file in reports:
        report = file.read_bytes()
        assert report_of_json(report_json(report)) == report, file.name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("version", 2**32),
        ("version", -1),
        ("version", True),
        ("version", "3"),
        ("policy", None),
        ("measurement", [0] * 47),
        ("measurement", [256] * 48),
        ("measurement", [True] * 48),
        ("measurement", "00" * 48),
        ("current_tcb", None),
        ("current_tcb", {"fmc": None, "bootloader": 256, "tee": 0, "snp": 0, "microcode": 0}),
        ("current", None),
        ("signature", {"r": [0] * 72}),
        ("key_info", None),
        ("cpuid_fam_id", 256),
    ],
)
def test_a_field_that_does_not_fit_is_named(name: str, value: object) -> None:
    fields = {**report_json(made.report(made.ec_key("leaf"))), name: value}
    with pytest.raises(AttesterError) as caught:
        report_of_json(fields)
    assert caught.value.finding is not None
    assert caught.value.finding.claim.split(".")[0] in {name, "r", "s"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)
FIELD_NAMES = sorted(report_json(bytes(REPORT_BYTES)))


@given(st.dictionaries(st.sampled_from(FIELD_NAMES), JSON, max_size=4), JSON)
def test_whatever_the_json_it_is_a_report_or_an_error(replaced: dict[str, Any], chain: Any) -> None:
    fields = {**report_json(bytes(REPORT_BYTES)), **replaced}
    try:
        assert len(report_of_json(fields)) == REPORT_BYTES
        certificates_of_json(chain)
    except AttesterError:
        pass
