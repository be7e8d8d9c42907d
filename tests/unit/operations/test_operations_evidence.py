"""One piece of evidence held against a nonce, a policy, or neither; and how the answer is shown."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.cbor import encode
from protocol.cmw import wrap
from protocol.errors import MalformedError
from schemas.evidence import FORMATS, SNP, collection_type
from schemas.policy import AppraisalPolicy
from schemas.reason import Reason
from sealedge.operations import evidence as operation
from sealedge.operations.evidence import Answer, Question, verify_untrusted
from sealedge.operations.evidence_report import document_of, lines_of
from tests.synthetic.dcap import tdx
from tests.synthetic.ear import claims, ear, jwt
from tests.synthetic.exhibit import Exhibit
from tests.synthetic.snp import MEASUREMENT, ark, ask, leaf, snp
from tests.synthetic.tpm import tpm
from verifier.evidence.examination import Examination
from verifier.evidence.roots import AMD, INTEL
from verifier.policy import load_policy

DEBUG = 0x30000 | 1 << 19


@pytest.fixture(autouse=True)
def made_up_roots(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the generators' roots were the vendors'."""
    roots = {
        AMD: frozenset(ark(each).fingerprint for each in ("Milan", "Genoa", "Turin")),
        INTEL: tdx().appraiser._roots,  # type: ignore[attr-defined]
    }
    monkeypatch.setattr(operation, "PINNED_ROOTS", roots)


def ask_about(kind: str, exhibit: Exhibit, **more: Any) -> Answer:
    return verify_untrusted(Question(kind, exhibit.parts, exhibit.now, **more))


def policy(*lines: str) -> AppraisalPolicy:
    head = f'[reference_values]\nmeasurements = ["{MEASUREMENT.hex()}"]\n[tiers]\naccept = ["sev-snp"]\n'
    return load_policy(
        "\n".join(lines) + "\n" + head + f'[roots]\namd = ["{ark().fingerprint.hex()}"]\n[tcb.minimum."sev-snp"]\n'
    )


def test_accepted_without_a_policy() -> None:
    answer = ask_about("snp", snp())
    assert (answer.verdict, answer.signature, str(answer.tier), answer.error) == ("accept", "valid", "sev-snp", None)
    assert all(line.holds for line in answer.trace)
    nonce = next(line for line in answer.trace if line.finding.claim == "nonce")
    assert nonce.finding.found == "not given, not compared"


@pytest.mark.parametrize(
    ("exhibit", "reason", "signature"),
    [
        (snp(signer="another"), Reason.SIGNATURE_INVALID, "invalid"),
        (snp(issuers=(ask(authority="fake"), ark(authority="fake"))), Reason.UNKNOWN_SIGNER, "unchecked"),
        (snp().without("vcek"), Reason.UNKNOWN_SIGNER, "unchecked"),
        (snp().at(snp().now + 10 * 365 * 86_400), Reason.EXPIRED, "unchecked"),
        (snp(policy=DEBUG), Reason.DEBUG_ENABLED, "valid"),
        (snp(revoked=(leaf().certificate.serial_number,)), Reason.REVOKED, "unchecked"),
    ],
    ids=["signature", "root", "no key", "expired", "debug", "revoked"],
)
def test_refused_without_a_policy(exhibit: Exhibit, reason: Reason, signature: str) -> None:
    answer = ask_about("snp", exhibit)
    assert (answer.verdict, answer.signature) == ("refuse", signature)
    assert answer.error is not None
    assert answer.error.reason == reason
    assert any(not line.holds for line in answer.trace)


def test_tcb_that_matches_nothing_is_refused_and_old_ones_are_reported() -> None:
    unknown = ask_about("tdx", tdx(pce_svn=0))
    assert (unknown.verdict, unknown.signature) == ("refuse", "valid")
    assert document_of(unknown)["tcb_status"] == "none-matches"


@pytest.mark.parametrize("length", [1, 8, 63, 64])
def test_nonces(length: int) -> None:
    nonce = b"\x07" * length
    exhibit = snp(report_data=nonce.ljust(64, b"\0"))
    assert ask_about("snp", exhibit, nonce=nonce).verdict == "accept"
    assert ask_about("snp", exhibit, nonce=nonce.ljust(64, b"\0")).verdict == "accept"
    for wrong in (nonce[:-1] + b"\x06", nonce + b"\x01", nonce.ljust(65, b"\0"), b"\x06"):
        answer = ask_about("snp", exhibit, nonce=wrong)
        assert (answer.verdict, answer.signature) == ("refuse", "valid")
        assert answer.error is not None
        assert answer.error.reason == Reason.NONCE_UNKNOWN


def test_evidence_without_a_nonce_answers_none() -> None:
    answer = ask_about("ear", ear(jwt(claims(eat_nonce=None))), nonce=b"\0")
    assert answer.verdict == "refuse"


def test_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its [roots] are enough; every line of it stands in the trace."""
    monkeypatch.setattr(operation, "PINNED_ROOTS", {})
    answer = ask_about("snp", snp(), policy=policy())
    assert answer.verdict == "accept", answer.error
    decided = {line.finding.policy.partition(" ")[2] for line in answer.trace if line.finding.policy}
    assert {"tiers.accept", "reference_values.measurements", "allow_debug"} <= decided
    assert ask_about("snp", snp(), policy=AppraisalPolicy()).signature == "unchecked"


def test_policy_refuses_and_shows_every_line() -> None:
    answer = ask_about("snp", snp(policy=DEBUG, measurement=b"x" * 48), policy=policy())
    assert answer.verdict == "refuse"
    assert answer.error is not None
    assert answer.error.reason == Reason.MEASUREMENT_UNKNOWN
    failed = [line.finding.claim for line in answer.trace if not line.holds]
    assert failed == ["tee.measurement", "tee.debug"]
    assert ask_about("snp", snp(policy=DEBUG), policy=policy("allow_debug = true")).verdict == "accept"


def test_a_certificate_alone_attests_nothing() -> None:
    exhibit = snp().without("report")
    answer = ask_about("snp", exhibit)
    assert (answer.verdict, answer.signature, answer.tee, answer.tier) == ("accept", "valid", None, None)
    assert answer.claims["product"] == "Milan"
    assert "nothing is attested" in "\n".join(lines_of(answer))
    assert any(line.finding.claim == "report" for line in answer.trace)
    for more in ({"nonce": b"1"}, {"policy": policy()}):
        assert ask_about("snp", exhibit, **more).verdict == "refuse"
    assert ask_about("snp", snp().without("report").without("vcek")).verdict == "malformed"


def test_malformed() -> None:
    answer = ask_about("snp", snp().with_part("report", b"short"))
    assert (answer.verdict, answer.signature) == ("malformed", "unchecked")
    assert ask_about("snp", snp().with_part("vcek", b"no certificate")).verdict == "malformed"


class TestWrappers:
    def asked(self, data: bytes, **more: bytes) -> Answer:
        return verify_untrusted(Question("cmw", {"evidence": data, **more}, snp().now))

    def test_record_and_collection(self) -> None:
        wrapped = wrap(SNP, snp().parts)
        for data in (wrapped, encode([SNP.media_type, wrapped]), encode([SNP.media_type, wrapped, 2])):
            answer = self.asked(data)
            assert (answer.kind, answer.verdict, answer.signature) == ("snp", "accept", "valid")

    def test_endorsements_beside_it(self) -> None:
        parts = dict(snp().parts)
        vcek = parts.pop("vcek")
        assert self.asked(wrap(SNP, parts)).verdict == "refuse"
        assert self.asked(wrap(SNP, parts), vcek=vcek).verdict == "accept"

    def test_media_types_of_others(self) -> None:
        record = encode(['application/eat+jwt; eat_profile="tag:ietf.org,2026:rats/ear#03"', ear().parts["token"]])
        answer = verify_untrusted(Question("cmw", {"evidence": record, "key": ear().parts["key"]}, ear().now))
        assert (answer.kind, answer.verdict) == ("ear", "accept")

    @pytest.mark.parametrize(
        ("data", "verdict"),
        [
            (b"", "malformed"),
            (b"\xff", "malformed"),
            (encode(7), "malformed"),
            (encode(["a", "b"]), "malformed"),
            (encode(["text/plain", b""]), "refuse"),
            (encode([7, b""]), "refuse"),
            (encode({"__cmwc_t": "tag:example.com,2026:x"}), "refuse"),
            (encode({"__cmwc_t": collection_type("snp")}), "malformed"),
            (encode({}), "refuse"),
            (encode([SNP.media_type, b"x"]), "malformed"),
        ],
        ids=str,
    )
    def test_others(self, data: bytes, verdict: str) -> None:
        assert self.asked(data).verdict == verdict


def test_json_has_all_of_it() -> None:
    exhibit = tpm()
    found = json.loads(json.dumps(document_of(ask_about("tpm", exhibit, nonce=exhibit.nonce))))
    assert (found["verdict"], found["signature"], found["tier"], found["tcb_status"]) == (
        "accept",
        "valid",
        "tpm",
        None,
    )
    assert (found["reason"], found["error"], found["at"]) == (None, None, exhibit.now)
    assert found["report_data"] == exhibit.nonce.hex()
    assert all(line.keys() == {"claim", "expected", "found", "holds", "policy"} for line in found["trace"])
    refused = document_of(ask_about("tpm", exhibit, nonce=b"another"))
    assert refused["reason"] == "nonce-unknown"
    assert "\n" not in str(refused["error"])


def test_lines_for_people() -> None:
    text = "\n".join(lines_of(ask_about("snp", snp(policy=DEBUG))))
    assert text.startswith("REFUSED: snp evidence, as of 2025-06-15")
    assert "because     debug-enabled" in text
    assert "\n  NO  tee.debug: on (expected off)" in text
    assert "\n  ok  report.signature: valid" in text
    assert "\n  tcb.reported: bootloader=4, tee=0, snp=24, microcode=219" in text


def test_a_strangers_text_cannot_command_the_terminal() -> None:
    hostile = "\x1b[2J\x07\nACCEPTED: \u202e"
    exhibit = ear(jwt(claims(iss=hostile, **{hostile: {hostile: hostile}})))
    answer = ask_about("ear", exhibit)
    assert answer.verdict == "accept"
    for line in lines_of(answer):
        assert line.isprintable()
    refused = Answer("ear", 0.0, Examination(), error=MalformedError(hostile))
    assert all(line.isprintable() for line in lines_of(refused))


names = st.sampled_from([(form.name, tuple(part.name for part in form.parts)) for form in FORMATS.values()])


@given(data=st.data(), at=st.floats(0, 253_402_300_799))
def test_arbitrary_bytes_are_answered(data: st.DataObject, at: float) -> None:
    kind, parts = data.draw(names)
    given_parts = data.draw(st.dictionaries(st.sampled_from(parts), st.binary(max_size=64), min_size=1))
    assert_answered(Question(kind, given_parts, at))


@given(wrapped=st.binary(max_size=64))
def test_arbitrary_wrappers_are_answered(wrapped: bytes) -> None:
    assert_answered(Question("cmw", {"evidence": wrapped}, 0.0))


@pytest.mark.parametrize(("kind", "exhibit"), [("snp", snp()), ("tpm", tpm()), ("tdx", tdx()), ("ear", ear())])
@given(data=st.data())
def test_changed_parts_are_answered(kind: str, exhibit: Exhibit, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(exhibit.parts)))
    content = exhibit.parts[name]
    at = data.draw(st.integers(0, len(content) - 1))
    changed = content[:at] + data.draw(st.binary(max_size=3)) + content[at + data.draw(st.integers(0, 3)) :]
    assert_answered(Question(kind, {**exhibit.parts, name: changed}, exhibit.now))


def assert_answered(question: Question) -> None:
    """An answer, and one that can be shown, both ways; nothing is accepted without a signature."""
    answer = verify_untrusted(question)
    found: Mapping[str, Any] = json.loads(json.dumps(document_of(answer)))
    assert found["verdict"] in {"accept", "refuse", "malformed"}
    assert (found["error"] is None) == (found["verdict"] == "accept")
    assert found["verdict"] != "accept" or found["signature"] == "valid"
    assert all(line.isprintable() for line in lines_of(answer))
