"""Collateral: the forms it travels in, what of it may be missing, and what of it can be wrong."""

import json
import random
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import AppraisalError, AuthenticationError, FreshnessError, MalformedError, RemoteError
from schemas.reason import Reason
from tests.support.mutations import mutate
from tests.synthetic.dcap import sgx, tdx
from tests.synthetic.dcap_shapes import FMSPC, MONTH
from tests.synthetic.exhibit import Exhibit
from tests.synthetic.pki import DAY, START
from verifier.endorsements import HeldEndorsements
from verifier.evidence.dcap_collateral import MAX_COLLATERAL
from verifier.evidence.examination import Examination
from verifier.evidence.interface import TcbStatus

PIECES = ("tcb_info", "qe_identity", "tcb_signing_chain", "pck_crl", "root_crl")


@cache
def whole() -> Exhibit:
    return tdx()


@cache
def apart() -> Exhibit:
    return tdx(form="parts")


def rewritten(exhibit: Exhibit, **changes: Any) -> Exhibit:
    value = json.loads(exhibit.parts["collateral"]) | changes
    value = {name: item for name, item in value.items() if item is not None}
    return exhibit.with_part("collateral", json.dumps(value).encode())


def found(exhibit: Exhibit, claim: str) -> str:
    examination = Examination()
    exhibit.appraise(examination)
    return next(line.finding.found for line in examination.lines if line.finding.claim == claim)


def test_both_forms_are_one() -> None:
    assert whole().appraise().tcb_status == apart().appraise().tcb_status == TcbStatus.UP_TO_DATE
    assert whole().appraise().claims["revocation_checked"] is True


def test_a_quote_without_collateral_is_genuine_and_unrated() -> None:
    examination = Examination()
    claims = tdx(form="none").appraise(examination)
    assert (claims.tcb_status, claims.advisories) == (TcbStatus.UNDETERMINED, ())
    assert examination.signature == "valid"
    assert all(line.holds for line in examination.lines)
    missing = {line.finding.claim for line in examination.lines if line.finding.found == "not given"}
    assert {"tcb_info", "qe_identity", "pck_crl", "root_crl", "eventlog"} == missing


@pytest.mark.parametrize("piece", ["pck_crl", "root_crl"])
def test_revocation_lists_may_be_missing(piece: str) -> None:
    claims = apart().without(piece).appraise()
    assert claims.tcb_status == TcbStatus.UP_TO_DATE
    assert claims.claims["revocation_checked"] is False
    assert found(apart().without(piece), piece) == "not given"


@pytest.mark.parametrize("piece", ["tcb_info", "qe_identity"])
def test_half_of_the_documents_rate_nothing(piece: str) -> None:
    assert apart().without(piece).appraise().tcb_status == TcbStatus.UNDETERMINED


def test_half_of_the_documents_are_still_checked() -> None:
    """What is known to be bad stays bad where the rest is unknown."""
    low = {"qe": {"isv_svn": b"\1\0"}, "form": "parts"}
    assert tdx(**low).without("tcb_info").appraise().tcb_status == TcbStatus.NONE_MATCHES
    revoked = tdx(qe_levels=[("Revoked", 0, ())], form="parts").without("tcb_info")
    assert revoked.appraise().tcb_status == TcbStatus.REVOKED
    with pytest.raises(AppraisalError):
        tdx(qe={"mr_signer": bytes(32)}, form="parts").without("qe_identity").appraise()


def test_documents_without_the_chain_of_their_signer_rate_nothing() -> None:
    exhibit = apart().without("tcb_signing_chain")
    assert exhibit.appraise().tcb_status == TcbStatus.UNDETERMINED
    assert "chain" in found(exhibit, "tcb_info")


def test_the_chain_of_the_signer_may_leave_the_root_out() -> None:
    chain = apart().parts["tcb_signing_chain"]
    alone = chain[: chain.index(b"-----END") + 26]
    assert apart().with_part("tcb_signing_chain", alone).appraise().tcb_status == TcbStatus.UP_TO_DATE


@pytest.mark.parametrize("name", ["tcb_info", "qe_identity"])
@pytest.mark.parametrize("form", ["collateral", "parts"])
def test_forged_documents(name: str, form: str) -> None:
    examination = Examination()
    with pytest.raises(AuthenticationError, match=f"{name} is forged"):
        tdx(forged=frozenset({name}), form=form).appraise(examination)
    assert examination.signature == "valid"


@pytest.mark.parametrize("name", ["root-crl", "ca-crl"])
def test_forged_lists(name: str) -> None:
    with pytest.raises(AuthenticationError, match="forged"):
        tdx(forged=frozenset({name})).appraise()


def test_a_list_of_the_other_authority() -> None:
    lists = apart().parts["root_crl"], tdx(ca="Processor", form="parts").parts["pck_crl"]
    for other in lists:
        with pytest.raises(AuthenticationError):
            apart().with_part("pck_crl", other).appraise()


@pytest.mark.parametrize(
    "deviation",
    [
        {"issued_by": {"signer": "another"}},
        {"names": {"signer": "Intel SGX PCK Certificate"}},
    ],
    ids=str,
)
def test_a_signer_that_is_none(deviation: dict[str, Any]) -> None:
    with pytest.raises(AuthenticationError):
        tdx(**deviation).appraise()


def test_collateral_ends_in_the_root_of_the_quote() -> None:
    """A second pinned root, a laboratory's, speaks for its own platforms alone."""
    other = tdx(names={"root": "Another Root"})
    pinned = whole().appraiser._roots | other.appraiser._roots  # type: ignore[attr-defined]
    appraiser = type(whole().appraiser)(HeldEndorsements({}), {"intel": pinned})  # type: ignore[call-arg]
    for each in (whole(), other):
        appraiser.appraise_untrusted(each.parts, each.now, Examination())
    mixed = {**whole().parts, "collateral": other.parts["collateral"]}
    with pytest.raises(AuthenticationError):
        appraiser.appraise_untrusted(mixed, START, Examination())


@pytest.mark.parametrize("role", ["tcb_info", "qe_identity", "root-crl", "ca-crl", "signer"])
@pytest.mark.parametrize(
    ("window", "reason"),
    [((START - 9 * DAY, START - DAY), Reason.EXPIRED), ((START + DAY, START + 9 * DAY), Reason.NOT_YET_VALID)],
)
def test_collateral_out_of_time(role: str, window: tuple[float, float], reason: Reason) -> None:
    with pytest.raises(FreshnessError) as raised:
        tdx(windows={role: window}).appraise()
    assert raised.value.reason == reason


def test_times_are_checked_each_time() -> None:
    whole().appraise()
    for now in (START + MONTH + 1, START - DAY - 1):
        with pytest.raises(FreshnessError):
            whole().at(now).appraise()
    whole().at(START + MONTH - 1).appraise()


def test_what_is_missing_comes_from_the_folder() -> None:
    parts = apart().parts
    fmspc = FMSPC.hex()
    held = {
        f"intel/tcb-info/tdx-{fmspc}": parts["tcb_info"],
        "intel/qe-identity/tdx": parts["qe_identity"],
        "intel/tcb-signing-chain": parts["tcb_signing_chain"],
        "intel/pck-crl/platform": parts["pck_crl"],
        "intel/root-crl": parts["root_crl"],
    }
    bare = tdx(HeldEndorsements(held), form="none")
    assert bare.appraise().tcb_status == TcbStatus.UP_TO_DATE
    assert bare.appraise().claims["revocation_checked"] is True
    revoked = {**held, "intel/pck-crl/platform": tdx(revoked=frozenset({"pck"}), form="parts").parts["pck_crl"]}
    with pytest.raises(AppraisalError) as raised:
        tdx(HeldEndorsements(revoked), form="none").appraise()
    assert raised.value.reason == Reason.REVOKED
    assert tdx(HeldEndorsements(revoked), form="parts").appraise().tcb_status == TcbStatus.UP_TO_DATE
    with pytest.raises(MalformedError):
        tdx(HeldEndorsements({**held, "intel/root-crl": b"none"}), form="none").appraise()


def newer(number: int = 0, **deviations: Any) -> dict[str, bytes]:
    """All pieces, issued a minute before the appraisal, under the names that the folder has for them."""
    window = (START - 60, START + MONTH)
    issued = dict.fromkeys(("root-crl", "ca-crl", "tcb_info", "qe_identity"), window)
    numbered = {"tcbEvaluationDataNumber": number}
    options: dict[str, Any] = {"windows": issued, "tcb_info": numbered, "qe_identity": numbered, **deviations}
    parts = tdx(form="parts", **options).parts
    return {
        f"intel/tcb-info/tdx-{FMSPC.hex()}": parts["tcb_info"],
        "intel/qe-identity/tdx": parts["qe_identity"],
        "intel/pck-crl/platform": parts["pck_crl"],
        "intel/root-crl": parts["root_crl"],
    }


@pytest.mark.parametrize("form", ["parts", "collateral"])
@pytest.mark.parametrize("revoked", ["pck", "ca"])
def test_an_older_list_that_travels_hides_no_revocation_of_the_folder_s(form: str, revoked: str) -> None:
    held = HeldEndorsements(newer(revoked=frozenset({revoked})))
    with pytest.raises(AppraisalError) as raised:
        tdx(held, form=form).appraise()
    assert raised.value.reason == Reason.REVOKED
    assert tdx(held, form=form).at(START - 61).appraise().tcb_status == TcbStatus.UP_TO_DATE


@pytest.mark.parametrize("form", ["parts", "collateral"])
@pytest.mark.parametrize("levels", ["levels", "qe_levels"])
def test_older_tcb_info_that_travels_hides_no_later_evaluation_of_the_folder_s(form: str, levels: str) -> None:
    held = newer(99, **{levels: [("OutOfDate", 0, ())]})
    assert tdx(HeldEndorsements(held), form=form).appraise().tcb_status == TcbStatus.OUT_OF_DATE
    assert tdx(HeldEndorsements(held), form=form).at(START - 61).appraise().tcb_status == TcbStatus.UP_TO_DATE
    older = HeldEndorsements(newer(1, **{levels: [("OutOfDate", 0, ())]}))
    assert tdx(older, form=form).appraise().tcb_status == TcbStatus.UP_TO_DATE


def test_own_parts_win_over_the_object() -> None:
    old = tdx(levels=[("OutOfDate", 0, ())], form="parts").parts["tcb_info"]
    assert whole().with_part("tcb_info", old).appraise().tcb_status == TcbStatus.OUT_OF_DATE
    with pytest.raises(AuthenticationError):
        whole().with_part(
            "tcb_signing_chain", tdx(issued_by={"signer": "x"}, form="parts").parts["tcb_signing_chain"]
        ).appraise()


@pytest.mark.parametrize("name", ["tcb_info", "qe_identity"])
@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-1],
        lambda text: text + b"x",
        lambda text: b"[" * 100_000,
        lambda text: b"",
        lambda text: b"\xff" + text,
        lambda text: text.replace(b'"signature":"', b'"signature":"0'),
        lambda text: text.replace(b'"tcbLevels"', b'"tcbLevel"', 1),
        lambda text: text.replace(b'"svn":4', b'"svn":256').replace(b'"isvsvn":8', b'"isvsvn":-1'),
        lambda text: text.replace(b'"tcbStatus":"UpToDate"', b'"tcbStatus":"none-matches"'),
        lambda text: text.replace(b'"tcbStatus":"UpToDate"', b'"tcbStatus":"Fine"'),
        lambda text: text.replace(b'"attributesMask":"F', b'"attributesMask":"'),
        lambda text: text.replace(b'Z","nextUpdate"', b'","nextUpdate"'),
        lambda text: text + b" " * MAX_COLLATERAL,
    ],
)
def test_documents_that_are_none(name: str, change: Any) -> None:
    examination = Examination()
    with pytest.raises(MalformedError):
        apart().with_part(name, change(apart().parts[name])).appraise(examination)
    assert examination.signature == "unchecked"


@pytest.mark.parametrize(
    "change",
    [
        {"tcb_info": "{}"},
        {"tcb_info": "not JSON"},
        {"tcb_info_signature": None},
        {"tcb_info_signature": "00"},
        {"qe_identity_signature": "zz" * 64},
        {"root_ca_crl": "00"},
        {"root_ca_crl": ""},
        {"pck_crl": "no hex"},
        {"tcb_info_issuer_chain": "no chain"},
        {"qe_identity_issuer_chain": ""},
    ],
    ids=str,
)
def test_objects_with_a_fault(change: dict[str, Any]) -> None:
    with pytest.raises(MalformedError):
        rewritten(whole(), **change).appraise()


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"null", b"7", b'"text"', b"[" * 100_000, b"\xff\xfe{", b"{" + b" " * MAX_COLLATERAL]
)
def test_objects_that_are_none(data: bytes) -> None:
    with pytest.raises(MalformedError):
        whole().with_part("collateral", data).appraise()


def test_an_object_may_say_more() -> None:
    assert rewritten(whole(), pck_certificate_chain="whatever", number=7).appraise() == whole().appraise()
    assert rewritten(whole(), pck_crl_issuer_chain=None).appraise() == whole().appraise()
    assert rewritten(whole(), root_ca_crl=None).appraise().claims["revocation_checked"] is False


def test_a_signature_cannot_be_brought_along_inside() -> None:
    """A document that closes the object early, and signs itself there."""
    value = json.loads(whole().parts["collateral"])
    early = value["tcb_info"] + ',"signature":"' + value["tcb_info_signature"] + '","x":{"y":"z"}'
    with pytest.raises(MalformedError):
        rewritten(whole(), tcb_info=early).appraise()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tcb_info", "qe_identity"])
def test_no_byte_of_a_document_can_change(name: str) -> None:
    exhibit = apart()
    text = exhibit.parts[name]
    for at in range(len(text)):
        with pytest.raises(RemoteError):
            exhibit.with_part(name, text[:at] + bytes([text[at] ^ 1 << at % 7]) + text[at + 1 :]).appraise()


def test_damage_to_the_object_changes_no_status() -> None:
    """Text around what is signed may change: then the outcome is the same, or less is known."""
    exhibit, rng = whole(), random.Random(7)
    for _ in range(300):
        damaged = exhibit.with_part("collateral", mutate(exhibit.parts["collateral"], rng).data)
        try:
            status = damaged.appraise().tcb_status
        except RemoteError:
            continue
        assert status in (TcbStatus.UP_TO_DATE, TcbStatus.UNDETERMINED)


@given(st.sampled_from((*PIECES, "collateral", "eventlog", "pck_chain")), st.binary(max_size=300))
def test_any_bytes_are_claims_or_refused(piece: str, data: bytes) -> None:
    exhibit = sgx(certification_type=1, form="parts") if piece == "pck_chain" else apart()
    with pytest.raises(RemoteError):
        exhibit.with_part(piece, data).appraise()
