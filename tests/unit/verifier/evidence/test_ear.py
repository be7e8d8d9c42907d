"""EAR: what another verifier affirmed, in every form that it comes in."""

import hashlib

import pytest
from jwt.algorithms import get_default_algorithms

from schemas.kinds import Tier
from tests.synthetic.ear import KEYS, NONCE, UEID, claims, cwt, ear, jwt, older, pem, submodule, unpadded
from verifier.endorsements import HeldEndorsements
from verifier.evidence.examination import Examination
from verifier.evidence.public_keys import spki

FORMS = {"jwt": jwt, "cwt": cwt}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("algorithm", sorted(KEYS))
def test_genuine(form: str, algorithm: str) -> None:
    examination = Examination()
    found = ear(FORMS[form](claims(), algorithm), pem(algorithm)).appraise(examination)
    assert examination.signature == "valid"
    assert all(line.holds for line in examination.lines)
    assert (found.tier, found.report_data, found.chip, found.debug) == (Tier.EAR, NONCE, None, False)
    assert found.opaque
    assert found.tcb_status is None
    assert found.claims["form"] == form
    assert found.claims["verifier_id"] == {"developer": "https://verifier.example", "build": "7.1"}
    platform = found.claims["submods"]["CCA Platform"]  # type: ignore[index,call-overload]
    assert platform["policy_ids"] == ("https://verifier.example/policy/1",)
    assert platform["vector"] == {"instance_identity": 2, "hardware": 2, "runtime_opaque": 2}


def test_every_form_says_the_same() -> None:
    """The names of drafts differ, what was appraised does not."""
    tokens = [jwt(claims()), jwt(older(claims())), cwt(claims()), cwt(claims(), tag=False)]
    found = [ear(token).appraise() for token in tokens]
    assert len({each.measurement for each in found}) == 1
    submods = [each.claims["submods"] for each in found]
    assert all(each == submods[0] for each in submods)


def test_statuses_as_numbers() -> None:
    assert ear(jwt(claims(submods=submodule(ear_status=2)))).appraise().tier == Tier.EAR


def test_key_as_jwk() -> None:
    jwk = get_default_algorithms()["ES256"].to_jwk(KEYS["ES256"].public_key())  # type: ignore[arg-type]
    assert ear(key=str(jwk).encode()).appraise().tier == Tier.EAR


def test_key_of_the_folder() -> None:
    for name in ("ear/key/key-1", "ear/key/https-verifier.example-v1"):
        examination = Examination()
        ear(held=HeldEndorsements({name: pem()})).without("key").appraise(examination)
        assert examination.signature == "valid"
    held = HeldEndorsements({f"ear/key/{b'kid'.hex()}": pem()})
    ear(cwt(claims()), held=held).without("key").appraise()


def test_a_verifier_that_names_itself_after_another_is_told_by_its_key() -> None:
    """Both are believed; one speaks under the other's issuer and verifier id, and finds its own key by its key id."""
    held = HeldEndorsements({"ear/key/key-1": pem("ES384"), "ear/key/https-verifier.example-v1": pem("ES256")})
    found = ear(jwt(claims(signer="another"), "ES384"), held=held).without("key").appraise()
    assert found.claims["iss"] == "https://verifier.example/v1"
    assert found.claims["signer"] == hashlib.sha256(spki(KEYS["ES384"].public_key())).digest()


def test_no_end_is_said() -> None:
    examination = Examination()
    ear(jwt(claims(exp=None))).at(1 << 33).appraise(examination)
    assert [line.finding.found for line in examination.lines if line.finding.claim == "ear.exp"] == ["not given"]


def test_nonce() -> None:
    submods = submodule(eat_nonce="a text that no base64 is!")
    assert ear(jwt(claims(eat_nonce=None, submods=submods))).appraise().report_data == b"a text that no base64 is!"
    assert ear(jwt(claims(eat_nonce=None))).appraise().report_data == b""
    assert ear(jwt(claims(eat_nonce=["AAAAAAAA", "BBBBBBBB"]))).appraise().report_data == b""


def test_chip_is_the_ueid() -> None:
    expected = hashlib.sha256(UEID).digest()
    text = unpadded(UEID).decode()
    assert ear(jwt(claims(ueid=text))).appraise().chip == expected
    assert ear(jwt(claims(submods=submodule(ear_teep_claims={"ueid": text})))).appraise().chip == expected
    assert ear(cwt(claims(ueid=UEID))).appraise().chip == expected
    both = claims(ueid=text, submods=submodule(ueid=unpadded(b"\x01another-device").decode()))
    assert ear(jwt(both)).appraise().chip is None


@pytest.mark.parametrize("status", ["enabled", 0, "Enabled", "unknown", 0.0, 5, True, []])
def test_debug_is_a_claim(status: object) -> None:
    assert ear(jwt(claims(submods=submodule(dbgstat=status)))).appraise().debug
    for disabled in ("disabled", "disabled-since-boot", "disabled-permanently", "disabled-fully-and-permanently", 1, 4):
        assert not ear(jwt(claims(dbgstat=disabled))).appraise().debug


def test_memory_is_opaque_only_where_it_is_affirmed() -> None:
    submods = submodule()
    submods["CCA Platform"]["ear_trustworthiness_vector"] = {"hardware": 2}
    assert not ear(jwt(claims(submods=submods))).appraise().opaque
    submods["CCA Platform"]["ear_trustworthiness_vector"] = {"runtime-opaque": 0}
    assert not ear(jwt(claims(submods=submods))).appraise().opaque


def test_measurement_moves_with_the_state_and_not_with_the_nonce() -> None:
    def measured(nonce: bytes, evidence: dict[str, object]) -> bytes:
        submods = submodule(ear_veraison_annotated_evidence=evidence)
        return ear(jwt(claims(eat_nonce=unpadded(nonce).decode(), submods=submods))).appraise().measurement

    first, second = b"n" * 32, b"m" * 32
    spelt = [lambda nonce: unpadded(nonce).decode() + "=", lambda nonce: (nonce + bytes(32)).hex()]
    for spell in spelt:
        one = measured(first, {"rim": "aaaa", "report_data": spell(first)})
        assert measured(second, {"rim": "aaaa", "report_data": spell(second)}) == one
        assert measured(first, {"rim": "aaab", "report_data": spell(first)}) != one
        assert measured(first, {"rim": "aaaa", "report_data": spell(second)}) != one


def test_measurement_without_evidence_is_of_the_appraisals() -> None:
    plain = submodule(ear_veraison_annotated_evidence=None)
    one = ear(jwt(claims(submods=plain))).appraise().measurement
    later = ear(jwt(claims(submods=plain, iat=1_750_000_001, exp=1_750_000_999))).appraise().measurement
    other = submodule(ear_veraison_annotated_evidence=None, ear_appraisal_policy_ids=["another"])
    assert one == later != ear(jwt(claims(submods=other))).appraise().measurement
