"""What an SGX or TDX quote comes to: claims, chip, debug, and the event log of a trust domain."""

import hashlib
from typing import Any

import pytest

from protocol.errors import AppraisalError, MalformedError, UnsupportedError
from schemas.evidence import SGX, TDX
from schemas.kinds import Tier
from tests.synthetic.ccel import log, registers
from tests.synthetic.dcap import sgx, tdx
from tests.synthetic.dcap_shapes import COMPONENTS, FMSPC, MEASUREMENT, NONCE, PPID, RTMRS, TEE_TCB_SVN
from verifier.endorsements import NO_ENDORSEMENTS
from verifier.evidence.dcap import SgxAppraiser, TdxAppraiser
from verifier.evidence.dcap_body import BodyType
from verifier.evidence.dcap_quote import Tee
from verifier.evidence.dcap_rating import INTEL_MR_SIGNER
from verifier.evidence.examination import MAX_LINES, Examination
from verifier.evidence.interface import TcbStatus

EVENTS = ((1, b"firmware"), (2, b"kernel"), (1, b"variables"), (3, b"command line"))


def test_an_enclave() -> None:
    examination = Examination()
    claims = sgx(levels=[("SWHardeningNeeded", 0, ("INTEL-SA-2", "INTEL-SA-1"))]).appraise(examination)
    assert (claims.tier, claims.measurement, claims.report_data) == (Tier.SGX, MEASUREMENT[:32], NONCE)
    assert claims.chip == hashlib.sha256(PPID).digest()
    assert (claims.debug, claims.opaque, claims.tcb_status) == (False, True, TcbStatus.SW_HARDENING_NEEDED)
    assert claims.advisories == ("INTEL-SA-1", "INTEL-SA-2")
    assert examination.signature == "valid"
    assert claims.claims["isv_prod_id"] == 7
    assert claims.claims["isv_svn"] == 3
    assert claims.claims["config_id"] == bytes(range(64))
    assert claims.claims["fmspc"] == FMSPC
    assert claims.claims["tcb_components"] == COMPONENTS
    assert claims.claims["pce_svn"] == 13
    assert claims.claims["quote_version"] == 3
    assert claims.claims["platform"] == {"dynamic_platform": True, "cached_keys": True, "smt": True}
    assert claims.claims["qe"] == {
        "mr_enclave": hashlib.sha256(b"qe").digest(),
        "mr_signer": INTEL_MR_SIGNER[Tee.SGX],
        "attributes": bytes.fromhex("1500000000000000e700000000000000"),
        "cpu_svn": COMPONENTS,
        "isv_prod_id": 1,
        "isv_svn": 8,
    }


@pytest.mark.parametrize(
    ("deviations", "body_type"),
    [
        ({}, 2),
        ({"version": 5, "body_type": BodyType.TDX_1_0}, 2),
        ({"version": 5}, 3),
        ({"version": 5, "body_type": BodyType.TDX_1_5_EXTENDED}, 4),
    ],
)
def test_a_trust_domain(deviations: dict[str, Any], body_type: int) -> None:
    claims = tdx(**deviations).appraise()
    assert (claims.tier, claims.measurement, claims.report_data) == (Tier.TDX, MEASUREMENT, NONCE)
    assert [claims.claims[f"rtmr{number}"] for number in range(4)] == list(RTMRS)
    assert claims.claims["tee_tcb_svn"] == TEE_TCB_SVN
    assert claims.claims["body_type"] == body_type
    assert ("mr_service_td" in claims.claims) == (body_type > 2)
    assert ("td_id" in claims.claims) == (body_type > 3)
    levels = claims.claims["tcb_levels"]
    assert isinstance(levels, dict)
    assert set(levels) == {"platform", "tdx_module", "qe"}


def test_a_chip_is_a_platform() -> None:
    assert sgx().appraise().chip == tdx().appraise().chip
    assert sgx(ppid=bytes(16)).appraise().chip != sgx().appraise().chip


@pytest.mark.parametrize(
    ("make", "body"),
    [
        (sgx, {"attributes": bytes.fromhex("0700000000000000e700000000000000")}),
        (tdx, {"td_attributes": bytes.fromhex("0100001000000000")}),
        (tdx, {"td_attributes": bytes.fromhex("8000001000000000")}),
    ],
)
@pytest.mark.parametrize("form", ["collateral", "none"])
def test_debug_is_a_claim(make: Any, body: dict[str, bytes], form: str) -> None:
    examination = Examination()
    claims = make(body=body, form=form).appraise(examination)
    assert claims.debug
    assert claims.claims["debug"] is True
    assert examination.signature == "valid"


def test_the_report_data_are_what_is_signed() -> None:
    assert sgx(body={"report_data": bytes(64)}).appraise().report_data != NONCE


@pytest.mark.parametrize("make", [sgx, tdx])
def test_a_quote_is_needed(make: Any) -> None:
    with pytest.raises(MalformedError, match="no quote"):
        make().without("quote").appraise()


def test_the_trace_is_whole() -> None:
    examination = Examination()
    tdx().with_part("eventlog", log([])).appraise(examination)
    assert len(examination.lines) < MAX_LINES
    assert all(line.holds for line in examination.lines)


def test_the_pinned_roots_are_the_default() -> None:
    assert SgxAppraiser(NO_ENDORSEMENTS).form == SGX
    assert TdxAppraiser(NO_ENDORSEMENTS).form == TDX


def test_an_event_log_explains_the_registers() -> None:
    exhibit = tdx(body=registers(EVENTS))
    examination = Examination()
    exhibit.with_part("eventlog", log(EVENTS)).appraise(examination)
    lines = {line.finding.claim: line.finding.found for line in examination.lines}
    assert lines["eventlog.rtmr1"] == registers(EVENTS)["rtmr1"].hex()
    assert lines["eventlog.rtmr3"] == "not in the log"


@pytest.mark.parametrize(
    "events",
    [(*EVENTS[:-1], (3, b"another")), EVENTS[1:], (*EVENTS, (4, b"more")), EVENTS[::-1], (*EVENTS, (0, b"MRTD"))],
)
def test_another_event_log(events: tuple[tuple[int, bytes], ...]) -> None:
    exhibit = tdx(body=registers(EVENTS))
    with pytest.raises(AppraisalError, match="event log"):
        exhibit.with_part("eventlog", log(events)).appraise()


def test_an_event_log_of_other_registers() -> None:
    with pytest.raises(AppraisalError, match="event log"):
        tdx().with_part("eventlog", log([(7, b"secure boot")])).appraise()


@pytest.mark.parametrize("data", [b"", b"\1" * 64, log(EVENTS)[:90]])
def test_an_event_log_that_is_none(data: bytes) -> None:
    examination = Examination()
    with pytest.raises(MalformedError):
        tdx().with_part("eventlog", data).appraise(examination)
    assert examination.signature == "unchecked"


def test_an_event_log_without_sha384() -> None:
    with pytest.raises(UnsupportedError):
        tdx().with_part("eventlog", bytes(32)).appraise()
