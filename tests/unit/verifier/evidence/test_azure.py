"""Azure's vTPM evidence: with one fault each, and each is refused for that fault."""

import base64
import hashlib
import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import (
    AppraisalError,
    AuthenticationError,
    FreshnessError,
    MalformedError,
    RemoteError,
    UnsupportedError,
)
from schemas.kinds import Tier
from schemas.reason import Reason
from tests.support.examples import examples
from tests.synthetic import azure as made
from tests.synthetic import snp, tpm
from tests.synthetic.azure import TD_REPORT_UNSIGNED, azure, jwk, quoted, runtime_data
from tests.synthetic.exhibit import Exhibit
from tests.synthetic.pki import DAY, START
from verifier.evidence.examination import Examination
from verifier.evidence.interface import TcbStatus, TeeClaims

TEES = pytest.mark.parametrize("tee", ["snp", "tdx"])


def refused(exhibit: Exhibit, error: type[RemoteError], signature: str = "unchecked") -> RemoteError:
    examination = Examination()
    with pytest.raises(error) as caught:
        exhibit.appraise(examination)
    assert examination.signature == signature
    return caught.value


@pytest.mark.parametrize(
    ("tee", "hardware", "tier"),
    [
        ("snp", {}, Tier.AZURE_SEV_SNP),
        ("snp", {"processor": "Genoa", "version": 5}, Tier.AZURE_SEV_SNP),
        ("tdx", {}, Tier.AZURE_TDX),
        ("tdx", {"version": 5}, Tier.AZURE_TDX),
    ],
)
def test_genuine(tee: str, hardware: dict[str, Any], tier: Tier) -> None:
    exhibit, examination = azure(tee, hardware=hardware), Examination()
    claims = exhibit.appraise(examination)
    assert (claims.tier, claims.opaque, claims.debug) == (tier, True, False)
    assert (claims.report_data, len(claims.measurement)) == (exhibit.nonce, 48)
    assert claims.chip is not None
    assert claims.tcb_status is (TcbStatus.UP_TO_DATE if tee == "tdx" else None)
    assert examination.signature == "valid"
    assert all(line.holds for line in examination.lines)


@TEES
def test_claims(tee: str) -> None:
    said = azure(tee).appraise().claims
    vtpm, vm, hardware = said["vtpm"], said["vm"], said["hardware"]
    assert isinstance(vtpm, dict)
    assert isinstance(vm, dict)
    assert isinstance(hardware, dict)
    assert vtpm["pcrs"] == {"sha256": {str(index): value for index, value in made.VALUES.items()}}
    assert vtpm["ak"]["sha256"] == hashlib.sha256(tpm.spki(made.ak())).digest()
    assert (vm["secure_boot"], vm["vmUniqueId"], vm["user_data"]) == (True, "an id", "00" * 64)
    assert "nested" not in vm
    assert ("mr_td" in hardware, "vmpl" in hardware) == (tee == "tdx", tee == "snp")


def version_0(evidence: dict[str, Any]) -> dict[str, Any]:
    """Integers in lists, and PEM."""
    decoded = {name: list(unb64(evidence[name])) for name in ("hcl_report", "td_quote") if name in evidence}
    quote = {name: list(bytes.fromhex(evidence["tpm_quote"][name])) for name in ("message", "signature")}
    quote |= {"pcrs": [list(bytes.fromhex(each)) for each in evidence["tpm_quote"]["pcrs"]]}
    if "td_quote" in evidence:
        return {"tpm_quote": quote, **decoded}
    return {"quote": quote, "report": decoded["hcl_report"], "vcek": snp.leaf().pem.decode()}


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def standard(evidence: dict[str, Any]) -> dict[str, Any]:
    """The other alphabet, padded."""
    return {
        name: base64.b64encode(unb64(value)).decode() if isinstance(value, str) else value
        for name, value in evidence.items()
    }


@TEES
@pytest.mark.parametrize(
    "form",
    [
        version_0,
        standard,
        lambda evidence: evidence | {"version": 2},
        lambda evidence: {"platform": "az", "evidence": evidence},
    ],
)
def test_forms_of_the_document(tee: str, form: Any) -> None:
    exhibit = azure(tee)
    document = json.dumps(form(json.loads(exhibit.parts["evidence"]))).encode()
    assert exhibit.with_part("evidence", document).appraise() == exhibit.appraise()


@TEES
@pytest.mark.parametrize("version", [3, -1, True, 1.0, "1", [], None])
def test_other_versions(tee: str, version: object) -> None:
    exhibit = azure(tee)
    document = json.loads(exhibit.parts["evidence"]) | {"version": version}
    refused(exhibit.with_part("evidence", json.dumps(document).encode()), UnsupportedError)


# Hardware


def test_a_report_that_the_paravisor_did_not_ask_for() -> None:
    """Whoever runs below it could have runtime data of its own making signed."""
    refused(azure(hardware={"vmpl": 1}), AppraisalError)


def test_debug_and_levels_are_claims() -> None:
    assert azure(hardware={"policy": 0xB001F}).appraise().debug is True
    assert azure("tdx", hardware={"body": {"td_attributes": b"\1" + bytes(7)}}).appraise().debug is True
    old = azure("tdx", hardware={"levels": (("UpToDate", -1, ()), ("OutOfDate", 0, ("INTEL-SA-1",)))}).appraise()
    assert (old.tcb_status, old.advisories) == (TcbStatus.OUT_OF_DATE, ("INTEL-SA-1",))


def test_hardware_that_did_not_sign() -> None:
    refused(azure(hardware={"signer": "forger"}), AuthenticationError, "invalid")
    refused(azure("tdx", hardware={"signed_by": "forger"}), AuthenticationError, "invalid")


def test_a_vcek_beside_the_document_stands_in_its_place() -> None:
    genuine = azure()
    assert genuine.with_part("vcek", snp.leaf().der).appraise() == genuine.appraise()
    refused(genuine.with_part("vcek", snp.leaf("Genoa").der), AuthenticationError)


def test_other_roots() -> None:
    issuers = (snp.ask(authority="nobody"), snp.ark(authority="nobody"))
    certificate = snp.leaf(issuer=issuers[0])
    error = refused(azure(hardware={"issuers": issuers, "certificate": certificate}), AuthenticationError)
    assert error.reason is Reason.UNKNOWN_SIGNER


def test_certificates_in_time() -> None:
    assert refused(azure().at(START + 2 * DAY), FreshnessError).reason is Reason.EXPIRED
    assert refused(azure().at(START - 2 * DAY), FreshnessError).reason is Reason.NOT_YET_VALID


def test_revoked_certificates() -> None:
    assert azure(hardware={"revoked": ()}).appraise()
    assert refused(azure(hardware={"revoked": (0x10001,)}), AppraisalError).reason is Reason.REVOKED
    assert refused(azure("tdx", hardware={"revoked": frozenset({"pck"})}), RemoteError).reason is Reason.REVOKED


def test_endorsements_that_are_missing() -> None:
    assert refused(azure().without("chain"), AuthenticationError).reason is Reason.UNKNOWN_SIGNER
    refused(azure(document={"vcek": None}), AuthenticationError)
    refused(azure("tdx", document={"td_quote": None}), MalformedError)
    assert azure("tdx").without("collateral").appraise().tcb_status is TcbStatus.UNDETERMINED


# The binding of the runtime data


@TEES
@pytest.mark.parametrize(
    "bound", [bytes(64), hashlib.sha256(b"other").digest() + bytes(32)], ids=["zeros", "another hash"]
)
def test_other_runtime_data(tee: str, bound: bytes) -> None:
    refused(azure(tee, bound=bound), AuthenticationError, "invalid")


@TEES
def test_report_data_hold_nothing_else(tee: str) -> None:
    digest = hashlib.sha256(runtime_data()).digest()
    refused(azure(tee, bound=digest + bytes(31) + b"\1"), AuthenticationError, "invalid")
    refused(azure(tee, bound=digest + digest), AuthenticationError, "invalid")


def test_a_quote_of_another_td_report() -> None:
    refused(azure("tdx", hardware={"report": bytes(64)}), MalformedError)
    other = json.loads(azure("tdx", hardware={"body": {"rtmr3": b"r" * 48}}).parts["evidence"])
    refused(azure("tdx", document={"td_quote": other["td_quote"]}), MalformedError)


@pytest.mark.parametrize(
    "runtime",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        runtime_data(keys={}),
        runtime_data(keys=[]),
        runtime_data(keys=[1]),
        runtime_data(keys=[jwk(), jwk()]),
        runtime_data(keys=[jwk(kid="HCLEkPub")]),
        runtime_data(keys=[jwk() | {"n": 1}]),
        runtime_data(keys=[jwk() | {"e": None}]),
        runtime_data(keys=[{"kid": "HCLAkPub", "kty": "oct", "k": "AAAA"}]),
        runtime_data(keys=[jwk()] * 17),
        runtime_data(**{"vm-configuration": []}),
        runtime_data(**{"vm-configuration": {"a-b": 1, "a_b": 2}}),
        runtime_data(**{"vm-configuration": {"user_data": 1, "user-data": 2}}),
        runtime_data(**{"vm-configuration": {"user-data": "the paravisor did not say so"}}),
        runtime_data(**{"vm-configuration": {"a": 1 << 63}}),
        runtime_data(**{"vm-configuration": {"a": "\ud800"}}),
        runtime_data(**{"vm-configuration": {"\ud800": 1}}),
        runtime_data(**{"user-data": "\ud800"}),
        runtime_data()[:-1] + b',"keys":[]}',
    ],
)
def test_runtime_data_that_are_not_read(runtime: bytes) -> None:
    refused(azure(runtime=runtime), MalformedError)


HEADERS = {
    MalformedError: [
        {"magic": b"HCLB"},
        {"reserved": b"\1" + bytes(15)},
        {"reserved": bytes(15) + b"\1"},
        {"whole": 0},
        {"data_size": 0},
        {"size": 1 << 31, "data_size": (1 << 31) + 20},
        {"filler": 20_000},
    ],
    UnsupportedError: [
        {"version": 0},
        {"version": 3},
        {"request": 1},
        {"runtime_version": 2},
        {"kind": 1},
        {"kind": 3},
        {"hash": 0},
        {"hash": 2},
    ],
}


@pytest.mark.parametrize(("error", "header"), [(error, each) for error, them in HEADERS.items() for each in them])
def test_headers(error: type[RemoteError], header: dict[str, Any]) -> None:
    refused(azure(header=header), error)


def test_hardware_of_the_other_kind() -> None:
    with pytest.raises(RemoteError):
        azure("snp", header={"kind": 4}).appraise()
    with pytest.raises(RemoteError):
        azure("tdx", header={"kind": 2}).appraise()


# The vTPM


@TEES
def test_wrong_key(tee: str) -> None:
    refused(azure(tee, vtpm={"signer": "forger"}), AuthenticationError, "invalid")
    refused(azure(tee, runtime=runtime_data(keys=[jwk("other")])), AuthenticationError, "invalid")


@TEES
def test_other_values(tee: str) -> None:
    values = quoted()["pcrs"]
    swapped = quoted() | {"pcrs": [values[1], values[0], *values[2:]]}
    refused(azure(tee, document={"tpm_quote": swapped}), AppraisalError, "valid")
    refused(azure(tee, vtpm={"digest": b"d" * 32}), AppraisalError, "valid")
    refused(azure(tee, document={"tpm_quote": quoted() | {"pcrs": values[:-1]}}), MalformedError)
    refused(azure(tee, document={"tpm_quote": quoted() | {"pcrs": [*values, values[0]]}}), MalformedError)


def test_another_nonce_is_seen() -> None:
    assert azure(vtpm={"nonce": b"challenge"}).appraise().report_data == b"challenge"


@pytest.mark.parametrize(
    "quote", [None, [], {}, {"pcrs": 1}, {"message": "zz"}, {"signature": [256]}, {"message": [True]}, {"pcrs": [-1]}]
)
def test_quotes_that_are_not_read(quote: Any) -> None:
    whole = quoted() | quote if isinstance(quote, dict) and quote else quote
    refused(azure(document={"tpm_quote": whole if whole is not None else 0}), MalformedError)


def test_event_log() -> None:
    values = {**made.VALUES, **tpm.booted()}
    exhibit = azure(vtpm={"values": values}).with_part("eventlog", tpm.event_log())
    assert exhibit.appraise().claims["vtpm"]["eventlog"]["secure_boot"] is True  # type: ignore[index,call-overload]
    refused(azure().with_part("eventlog", tpm.event_log()), AppraisalError, "valid")


@pytest.mark.parametrize("name", ["tpm_quote", "hcl_report"])
def test_one_thing_under_two_names(name: str) -> None:
    older = {"tpm_quote": "quote", "hcl_report": "report"}[name]
    refused(azure(document={older: json.loads(azure().parts["evidence"])[name]}), MalformedError)


def test_required() -> None:
    refused(azure().without("evidence"), MalformedError)
    refused(azure(document={"hcl_report": None}), MalformedError)


# Damage


def with_report(exhibit: Exhibit, report: bytes) -> Exhibit:
    document = json.loads(exhibit.parts["evidence"]) | {"hcl_report": made.b64(report)}
    return exhibit.with_part("evidence", json.dumps(document).encode())


def outcome(exhibit: Exhibit) -> TeeClaims | None:
    try:
        return exhibit.appraise()
    except RemoteError:
        return None


@pytest.mark.slow
@TEES
def test_every_byte_of_the_hcl_report_counts(tee: str) -> None:
    """But those of the TDREPORT that no quote holds, which say nothing here."""
    exhibit = azure(tee)
    genuine, report = exhibit.appraise(), unb64(json.loads(exhibit.parts["evidence"])["hcl_report"])
    unsigned = {at for where, _ in TD_REPORT_UNSIGNED for at in where} if tee == "tdx" else set()
    rng = random.Random(20261123)
    for at in range(len(report)):
        changed = report[:at] + bytes([report[at] ^ 1 << rng.randrange(8)]) + report[at + 1 :]
        found = outcome(with_report(exhibit, changed))
        assert found == (genuine if at in unsigned else None), at


@TEES
def test_cut_short(tee: str) -> None:
    """Only the filler may be missing."""
    exhibit = azure(tee)
    report = unb64(json.loads(exhibit.parts["evidence"])["hcl_report"])
    end = len(report.rstrip(b"\0"))
    assert outcome(with_report(exhibit, report[:end])) == exhibit.appraise()
    for size in range(0, end, 7):
        assert outcome(with_report(exhibit, report[:size])) is None
    assert outcome(with_report(exhibit, report + b"x")) is None


@TEES
def test_no_mutation_of_the_document_changes_what_is_claimed(tee: str) -> None:
    exhibit, rng = azure(tee), random.Random(20261123)
    genuine, document = exhibit.appraise(), exhibit.parts["evidence"]
    for _ in range(200):
        at = rng.randrange(len(document))
        changed = document[:at] + bytes([rng.randrange(256)]) + document[at + 1 :]
        assert outcome(exhibit.with_part("evidence", changed)) in (None, genuine)


@settings(deadline=None, max_examples=examples(50))
@given(st.sampled_from(["snp", "tdx"]), st.binary(max_size=400), st.text(max_size=40))
def test_any_bytes(tee: str, data: bytes, text: str) -> None:
    exhibit = azure(tee)
    assert outcome(exhibit.with_part("evidence", data)) is None
    assert outcome(with_report(exhibit, data)) is None
    for name in ("tpm_quote", "vcek", "td_quote", "version", "hcl_report"):
        document = json.loads(exhibit.parts["evidence"]) | {name: text}
        outcome(exhibit.with_part("evidence", json.dumps(document).encode()))
    for name in ("chain", "crl", "collateral", "eventlog"):
        outcome(exhibit.with_part(name, data))
