"""Real SGX and TDX quotes with the verdicts that others gave them, each at a time at which its chain is valid."""

import json
import os
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from protocol.errors import AuthenticationError, RemoteError
from schemas.reason import Reason
from verifier.endorsements import NO_ENDORSEMENTS
from verifier.evidence.certificates import certificate_untrusted, fingerprint
from verifier.evidence.dcap import SgxAppraiser, TdxAppraiser
from verifier.evidence.examination import Examination
from verifier.evidence.interface import Parts, TcbStatus
from verifier.evidence.roots import INTEL, PINNED_ROOTS, Roots

FOLDER = os.environ.get("SEALEDGE_VECTORS")
APPRAISERS = {"sgx": SgxAppraiser, "tdx": TdxAppraiser}
SAMPLE = {
    "quote": ("quote.dat",),
    "pck_chain": ("pckCert.pem", "pckSignChain.pem"),
    "tcb_info": ("tcbInfo.json",),
    "qe_identity": ("qeIdentity.json",),
    "tcb_signing_chain": ("tcbSignChain.pem",),
    "root_crl": ("rootCaCrl.der",),
    "pck_crl": ("intermediateCaCrl.der",),
}
"""Which files of Intel's sample are which part."""

pytestmark = pytest.mark.skipif(not FOLDER, reason="SEALEDGE_VECTORS is not set: the standards' vectors are not here")


@cache
def index() -> dict[str, dict[str, Any]]:
    if not FOLDER:
        return {}
    entries = json.loads((Path(FOLDER) / "index.json").read_text(encoding="utf-8"))
    return {entry["id"]: entry for entry in entries if entry["kind"] in APPRAISERS}


def named(name: str) -> bytes:
    return (Path(FOLDER or "") / name).read_bytes()


def parts_of(entry: dict[str, Any]) -> Parts:
    files = entry["files"]
    if "dir" in files:
        return {part: b"".join(named(files["dir"] + each) for each in names) for part, names in SAMPLE.items()}
    if "json" in files:
        return {"quote": bytes.fromhex(json.loads(named(files["json"]))[files["field"]])}
    if "base" in entry:
        return {**parts_of(index()[entry["base"]]), "quote": named(files["evidence"])}
    return {part: named(name) for part, name in files.items()}


def time_of(entry: dict[str, Any]) -> float:
    given = entry["verify_at"] or index()[entry["base"]]["verify_at"]
    return datetime.fromisoformat(given).timestamp()


def appraise(entry: dict[str, Any], examination: Examination, roots: Roots = PINNED_ROOTS) -> Any:
    appraiser = APPRAISERS[entry["kind"]](NO_ENDORSEMENTS, roots)
    return appraiser.appraise_untrusted(parts_of(entry), time_of(entry), examination)


@pytest.mark.parametrize("name", index())
def test_verdict(name: str) -> None:
    entry, examination = index()[name], Examination()
    expected = entry["expect"].lower()
    if expected.startswith("invalid"):
        with pytest.raises(RemoteError):
            appraise(entry, examination)
        assert examination.signature != "valid"
        return
    claims = appraise(entry, examination)
    assert examination.signature == "valid"
    assert claims.debug == ("debug" in entry.get("reason", "").lower())
    assert claims.tcb_status == TcbStatus(entry.get("tcb_status", TcbStatus.UNDETERMINED))


def test_a_collateral_complete_quote_has_a_second_opinion() -> None:
    for name in ("sgx-phala-v3", "tdx-phala-v4", "tdx-automata-v4-outofdate"):
        examination = Examination()
        claims = appraise(index()[name], examination)
        found = {line.finding.claim: line.finding.found for line in examination.lines}
        assert found["tcb.second-opinion"] == claims.tcb_status


def test_intels_sample_is_valid_under_its_own_root_alone() -> None:
    entry = index()["sgx-intel-qvl-synthetic"]
    with pytest.raises(AuthenticationError) as raised:
        appraise(entry, Examination())
    assert raised.value.reason == Reason.UNKNOWN_SIGNER
    root = certificate_untrusted(named(entry["files"]["dir"] + "trustedRootCaCert.pem"), "root")
    examination = Examination()
    claims = appraise(entry, examination, {INTEL: frozenset({fingerprint(root)})})
    assert examination.signature == "valid"
    assert claims.tcb_status == TcbStatus.UP_TO_DATE


def test_the_event_log_of_google_explains_the_registers() -> None:
    entry, examination = index()["tdx-gcp-ccel"], Examination()
    appraise(entry, examination)
    lines = {line.finding.claim: line.finding for line in examination.lines}
    for number in range(3):
        assert lines[f"eventlog.rtmr{number}"].expected == lines[f"eventlog.rtmr{number}"].found
    other = {**parts_of(entry), "eventlog": named("tdx/coco-trustee/ccel/CCEL_data_ovmf")}
    with pytest.raises(RemoteError):
        TdxAppraiser(NO_ENDORSEMENTS).appraise_untrusted(other, time_of(entry), Examination())


def test_the_nonce_of_google_is_in_the_report_data() -> None:
    claims = appraise(index()["tdx-gcp-ccel"], Examination())
    assert claims.report_data == named("tdx/go-tdx-guest/ccel-gcp/nonce.dat")


@pytest.mark.parametrize("signer", ["intel-root/automata-dcap/tcb_signing_2018.der"])
def test_the_older_signer_of_the_same_key_has_expired(signer: str) -> None:
    entry = index()["tdx-phala-v4"]
    parts = {**parts_of(entry), "tcb_signing_chain": named(signer)}
    with pytest.raises(RemoteError) as raised:
        TdxAppraiser(NO_ENDORSEMENTS).appraise_untrusted(parts, time_of(entry), Examination())
    assert raised.value.reason == Reason.EXPIRED
