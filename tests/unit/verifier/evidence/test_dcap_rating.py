"""TCB status: levels, TDX module, quoting enclave, and the worst of them; dcap-qvl says the same wherever it speaks."""

import itertools
import json
from typing import Any

import dcap_qvl
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from protocol.errors import AppraisalError
from schemas.reason import Reason
from tests.synthetic.dcap import sgx, tdx
from tests.synthetic.dcap_shapes import COMPONENTS, TEE_TCB_SVN, Level, le
from tests.synthetic.exhibit import Exhibit
from verifier.evidence.dcap_body import BodyType
from verifier.evidence.examination import Examination
from verifier.evidence.interface import TcbStatus

STATUSES = [status.value for status in TcbStatus if status not in (TcbStatus.NONE_MATCHES, TcbStatus.UNDETERMINED)]
PARTS = ("UpToDate", "OutOfDate", "Revoked")
OTHER_SVN = bytes([TEE_TCB_SVN[0], 2, *TEE_TCB_SVN[2:]])


def level(status: str, lower: int = 0) -> list[Level]:
    return [(status, lower, (f"INTEL-SA-{status}",))]


def rated(exhibit: Exhibit) -> TcbStatus:
    status = exhibit.appraise().tcb_status
    assert status is not None
    return status


def second_opinion(exhibit: Exhibit) -> tuple[str, list[str]]:
    """Of dcap-qvl itself, with our root: a status and advisories, or why it refuses."""
    text = exhibit.parts["collateral"].decode()
    chain = x509.load_pem_x509_certificates(json.loads(text)["pck_crl_issuer_chain"].encode())
    collateral = dcap_qvl.QuoteCollateralV3.from_json(text)
    root = chain[-1].public_bytes(Encoding.DER)
    try:
        report = dcap_qvl.verify_with_root_ca(exhibit.parts["quote"], collateral, root, int(exhibit.now))
    except ValueError as error:
        return str(error), []
    return report.status, sorted(report.advisory_ids)


@pytest.mark.parametrize("make", [sgx, tdx])
@pytest.mark.parametrize("status", STATUSES)
def test_every_status_of_a_platform(make: Any, status: str) -> None:
    claims = make(levels=level(status)).appraise()
    assert claims.tcb_status == TcbStatus(status)
    assert claims.advisories == (f"INTEL-SA-{status}",)
    assert claims.claims["tcb_status"] == status


@pytest.mark.parametrize(("status", "module", "qe"), list(itertools.product(STATUSES, PARTS, PARTS)))
def test_the_worst_counts_and_dcap_qvl_agrees(status: str, module: str, qe: str) -> None:
    exhibit = tdx(levels=level(status), module_levels=level(module), qe_levels=level(qe))
    claims = exhibit.appraise()
    assert claims.tcb_status is not None
    theirs, advisories = second_opinion(exhibit)
    if "Revoked" in (status, module, qe):
        assert claims.tcb_status == TcbStatus.REVOKED
        assert "Revoked" in theirs
    else:
        assert (claims.tcb_status.value, list(claims.advisories)) == (theirs, advisories)
        assert ("OutOfDate" in claims.tcb_status) == ("OutOfDate" in status + module + qe)


def test_the_first_level_that_holds_counts() -> None:
    levels: list[Level] = [("UpToDate", -1, ()), ("SWHardeningNeeded", 0, ("A",)), ("OutOfDate", 1, ("B",))]
    assert rated(sgx(levels=levels)) == TcbStatus.SW_HARDENING_NEEDED
    assert rated(tdx(levels=levels)) == TcbStatus.SW_HARDENING_NEEDED
    assert rated(sgx(levels=levels, components=bytes([3, *COMPONENTS[1:]]))) == TcbStatus.OUT_OF_DATE
    assert rated(sgx(levels=levels, pce_svn=12)) == TcbStatus.OUT_OF_DATE


@pytest.mark.parametrize("at", range(8))
def test_every_component_counts(at: int) -> None:
    """The CPU's 16 SVNs are compared one by one: a higher one makes up for no lower one."""
    lower = bytes(svn - (number == at) if svn else 0 for number, svn in enumerate(COMPONENTS))
    raised = bytes(svn if number == at else 255 for number, svn in enumerate(lower))
    expected = TcbStatus.UP_TO_DATE if COMPONENTS[at] == 0 else TcbStatus.NONE_MATCHES
    assert rated(sgx(components=raised)) == expected


@pytest.mark.parametrize("deviation", [{"levels": level("UpToDate", -1)}, {"levels": []}, {"pce_svn": 12}], ids=str)
@pytest.mark.parametrize("make", [sgx, tdx])
def test_no_level_is_a_status_of_its_own(make: Any, deviation: dict[str, Any]) -> None:
    examination = Examination()
    claims = make(**deviation).appraise(examination)
    assert claims.tcb_status == TcbStatus.NONE_MATCHES
    assert examination.signature == "valid"
    assert [line.finding.claim for line in examination.lines if not line.holds] == ["tcb.platform"]


@pytest.mark.parametrize("lower", range(1, 8))
def test_a_qe_below_every_level_matches_none(lower: int) -> None:
    assert rated(sgx(qe={"isv_svn": le(8 - lower)})) == TcbStatus.NONE_MATCHES
    assert rated(tdx(qe={"isv_svn": le(8 - lower)})) == TcbStatus.NONE_MATCHES


@pytest.mark.parametrize("make", [sgx, tdx])
@pytest.mark.parametrize(
    "qe",
    [
        {"mr_signer": bytes(32)},
        {"isv_prod_id": b"\3\0"},
        {"attributes": bytes.fromhex("1700000000000000e700000000000000")},
        {"attributes": bytes.fromhex("0500000000000000e700000000000000")},
        {"misc_select": b"\1\0\0\0"},
    ],
    ids=str,
)
def test_another_quoting_enclave_is_refused(make: Any, qe: dict[str, bytes]) -> None:
    """CVE-2026-22696: a platform certifies the keys of enclaves that are not Intel's too."""
    with pytest.raises(AppraisalError) as raised:
        make(qe=qe).appraise()
    assert raised.value.reason == Reason.EVIDENCE_INVALID


@pytest.mark.parametrize("make", [sgx, tdx])
@pytest.mark.parametrize(
    "qe",
    [
        {"mr_signer": bytes(32)},
        {"isv_prod_id": b"\3\0"},
        {"attributes": bytes.fromhex("1700000000000000e700000000000000")},
    ],
    ids=str,
)
def test_another_quoting_enclave_is_refused_without_an_identity_too(make: Any, qe: dict[str, bytes]) -> None:
    with pytest.raises(AppraisalError, match="vouches"):
        make(qe=qe, form="none").appraise()


def test_the_identity_is_of_the_tee() -> None:
    """SGX and TDX have quoting enclaves of their own, of different signers."""
    signer = sgx().parts["collateral"]
    sgx_mr_signer = json.loads(json.loads(signer)["qe_identity"])["mrsigner"]
    same = {"mr_signer": bytes.fromhex(sgx_mr_signer), "isv_prod_id": le(1)}
    with pytest.raises(AppraisalError, match="vouches"):
        tdx(qe=same, qe_identity={"id": "QE", "mrsigner": sgx_mr_signer, "isvprodid": 1}).appraise()
    assert rated(tdx(qe=same, qe_identity={"mrsigner": sgx_mr_signer, "isvprodid": 1})) == TcbStatus.UP_TO_DATE


@pytest.mark.parametrize(
    "tcb_info",
    [{"fmspc": "00906EA10001"}, {"pceId": "0001"}, {"id": "SGX"}, {"version": 2}],
    ids=str,
)
def test_collateral_of_other_hardware(tcb_info: dict[str, Any]) -> None:
    with pytest.raises(AppraisalError) as raised:
        tdx(tcb_info=tcb_info).appraise()
    assert raised.value.reason == Reason.EVIDENCE_INVALID


def test_fmspcs_are_numbers() -> None:
    assert rated(sgx(tcb_info={"fmspc": "00906ea10000"})) == rated(sgx()) == TcbStatus.UP_TO_DATE


def test_the_module_is_rated_by_its_own_levels() -> None:
    """Its two SVNs are not compared with the platform's level, where it has a version of its own."""
    low = bytes([1, 1, *TEE_TCB_SVN[2:]])
    assert rated(tdx(body={"tee_tcb_svn": low}, module_levels=level("OutOfDate", 4))) == TcbStatus.OUT_OF_DATE
    assert rated(tdx(body={"tee_tcb_svn": low})) == TcbStatus.NONE_MATCHES
    first = {"tee_tcb_svn": bytes([1, 0, *TEE_TCB_SVN[2:]])}
    assert rated(tdx(body=first)) == TcbStatus.NONE_MATCHES
    assert rated(tdx(body={"tee_tcb_svn": bytes([5, 0, *TEE_TCB_SVN[2:]])})) == TcbStatus.UP_TO_DATE
    assert rated(tdx(body={"tee_tcb_svn": bytes([5, 1, 3, *TEE_TCB_SVN[3:]])})) == TcbStatus.NONE_MATCHES


def test_a_module_that_intel_does_not_list() -> None:
    assert rated(tdx(body={"tee_tcb_svn": OTHER_SVN})) == TcbStatus.NONE_MATCHES


@pytest.mark.parametrize("major", [0, 1])
@pytest.mark.parametrize("body", [{"mr_signer_seam": b"\1" * 48}, {"seam_attributes": b"\1" + bytes(7)}], ids=str)
def test_a_module_of_another_signer(major: int, body: dict[str, bytes]) -> None:
    with pytest.raises(AppraisalError, match="vouches"):
        tdx(body={**body, "tee_tcb_svn": bytes([5, major, *TEE_TCB_SVN[2:]])}).appraise()


def test_a_relaunch_that_is_advised_is_out_of_date_here() -> None:
    """dcap-qvl says TDRelaunchAdvised where platform and module were updated under a running TD of version 1.5."""
    levels: list[Level] = [("UpToDate", 0, ()), ("OutOfDate", 1, ("X",))]
    modules: list[Level] = [("UpToDate", 0, ()), ("OutOfDate", 3, ("Y",))]
    body = {"tee_tcb_svn": bytes([2, 1, 3, *TEE_TCB_SVN[3:]])}
    exhibit = tdx(version=5, body=body, levels=levels, module_levels=modules)
    assert rated(exhibit) == TcbStatus.OUT_OF_DATE
    assert second_opinion(exhibit)[0] == "TDRelaunchAdvised"
    assert exhibit.appraise().claims["tee_tcb_svn_2"] == TEE_TCB_SVN


@pytest.mark.parametrize("version", [4, 5])
def test_sgx_of_later_versions_is_rated_too(version: int) -> None:
    assert rated(sgx(version=version, levels=level("SWHardeningNeeded"))) == TcbStatus.SW_HARDENING_NEEDED


def test_extended_bodies_are_rated_too() -> None:
    assert rated(tdx(version=5, body_type=BodyType.TDX_1_5_EXTENDED)) == TcbStatus.UP_TO_DATE


def test_tcb_info_of_version_2() -> None:
    """Components by name, and no id; of SGX alone."""
    tcb = {f"sgxtcbcomp{number:02}svn": svn for number, svn in enumerate(COMPONENTS, 1)} | {"pcesvn": 13}
    levels = [{"tcb": tcb, "tcbDate": "2020-01-01T00:00:00Z", "tcbStatus": "ConfigurationNeeded"}]
    assert rated(sgx(tcb_info={"version": 2, "tcbLevels": levels})) == TcbStatus.CONFIGURATION_NEEDED
