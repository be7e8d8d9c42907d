"""The second opinion: asked where it has one, believed by nobody, and fatal where it differs."""

from typing import Any

import dcap_qvl
import pytest

from protocol.errors import AppraisalError
from tests.synthetic.dcap import sgx, tdx
from tests.synthetic.exhibit import Exhibit
from verifier.evidence import dcap_opinion
from verifier.evidence.examination import Examination


class Verifier:
    """Stands for dcap-qvl: counts questions, gives one answer."""

    def __init__(self, status: str | None) -> None:
        self.status = status
        self.asked = 0

    def __call__(self, *question: Any) -> Any:
        self.asked += 1
        if self.status is None:
            raise ValueError("no such quote")
        return self


@pytest.fixture(autouse=True)
def _forgetful() -> Any:
    dcap_opinion._answer.cache_clear()
    yield
    dcap_opinion._answer.cache_clear()


def ask(monkeypatch: pytest.MonkeyPatch, status: str | None) -> Verifier:
    verifier = Verifier(status)
    monkeypatch.setattr(dcap_qvl, "verify_with_root_ca", verifier)
    return verifier


@pytest.mark.parametrize("status", ["OutOfDate", "SWHardeningNeeded", "", None])
@pytest.mark.parametrize("make", [sgx, tdx])
def test_disagreement_is_fatal(monkeypatch: pytest.MonkeyPatch, make: Any, status: str | None) -> None:
    ask(monkeypatch, status)
    with pytest.raises(AppraisalError, match="two verifiers"):
        make().appraise()


def test_it_is_asked_once_for_each_platform_and_collateral(monkeypatch: pytest.MonkeyPatch) -> None:
    verifier = ask(monkeypatch, "UpToDate")
    first = tdx()
    first.appraise()
    first.at(first.now + 1).appraise()
    another_quote = tdx(body={"report_data": bytes(64)}).parts["quote"]
    first.with_part("quote", another_quote).appraise()
    assert verifier.asked == 1
    tdx(levels=[("UpToDate", 1, ())]).appraise()
    assert verifier.asked == 2


def test_a_refusal_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """One tenant's odd quote would have all others on its machine refused."""
    ask(monkeypatch, None)
    first = tdx()
    with pytest.raises(AppraisalError, match="two verifiers"):
        first.appraise()
    ask(monkeypatch, "UpToDate")
    first.with_part("quote", tdx(body={"report_data": bytes(64)}).parts["quote"]).appraise()


@pytest.mark.parametrize(
    ("exhibit", "why"),
    [
        (lambda: tdx(form="none"), "refuses such quotes"),
        (lambda: tdx(form="parts").without("pck_crl"), "not complete"),
        (lambda: tdx(form="parts").without("root_crl"), "not complete"),
        (lambda: tdx(levels=[]), "refuses such quotes"),
        (lambda: tdx(levels=[("Revoked", 0, ())]), "refuses such quotes"),
        (lambda: tdx(body={"td_attributes": bytes.fromhex("0100001000000000")}), "refuses such quotes"),
        (lambda: tdx(body={"td_attributes": bytes(8)}), "attributes"),
        (lambda: tdx(body={"td_attributes": bytes.fromhex("0002001000000000")}), "attributes"),
        (lambda: tdx(version=5, body={"mr_service_td": b"\1" * 48}), "attributes"),
        (lambda: sgx(version=4), "does not read"),
        (lambda: sgx(certification_type=1, form="parts"), "does not read"),
    ],
)
def test_it_is_not_asked_where_it_has_none(monkeypatch: pytest.MonkeyPatch, exhibit: Any, why: str) -> None:
    verifier = ask(monkeypatch, None)
    examination = Examination()
    made: Exhibit = exhibit()
    made.appraise(examination)
    assert verifier.asked == 0
    line = next(line for line in examination.lines if line.finding.claim == "tcb.second-opinion")
    assert why in line.finding.found


@pytest.mark.parametrize("bit", [28, 30, 31, 63])
def test_it_takes_the_attributes_that_it_is_asked_about(bit: int) -> None:
    attributes = (1 << 28 | 1 << bit).to_bytes(8, "little")
    examination = Examination()
    tdx(body={"td_attributes": attributes}).appraise(examination)
    assert any(
        line.finding.claim == "tcb.second-opinion" and line.finding.found == "UpToDate" for line in examination.lines
    )


@pytest.mark.parametrize("form", ["parts", "collateral"])
@pytest.mark.parametrize("version", [4, 5])
def test_it_answers_for_itself(form: str, version: int) -> None:
    examination = Examination()
    tdx(form=form, version=version).appraise(examination)
    line = next(line for line in examination.lines if line.finding.claim == "tcb.second-opinion")
    assert line.finding.found == "UpToDate"
