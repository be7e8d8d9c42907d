"""EARs of Veraison and of the draft: their verdicts, and what we read in them."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from protocol.errors import AppraisalError, RemoteError
from tests.synthetic.ear import cwt, ear, jwt, pem
from verifier.evidence.ear_claims import tier_of
from verifier.evidence.examination import Examination

Load = Callable[[str], Any]
TOKENS = "ear/ear/ear_jwt_vectors.json"
SAMPLES = ("ear-claims", "ear-claims-tv-ok", "ear-claims-extension-ok", "ear-claims-key-attestation-ok")
LATER = 1 << 31


def test_veraisons_tokens(load_vectors: Load) -> None:
    found = load_vectors(TOKENS)
    key = json.dumps(found["jwk"]).encode()
    for vector in found["vectors"]:
        examination, exhibit = Examination(), ear(vector["token"].encode(), key).at(LATER)
        if vector["expect"] == "valid":
            exhibit.appraise(examination)
            assert examination.signature == "valid"
            continue
        with pytest.raises(RemoteError):
            exhibit.appraise(examination)


def test_a_good_signature_over_no_claims(load_vectors: Load) -> None:
    found = load_vectors(TOKENS)
    empty = next(each["token"] for each in found["vectors"] if ".e30." in each["token"])
    examination = Examination()
    with pytest.raises(AppraisalError):
        ear(empty.encode(), json.dumps(found["jwk"]).encode()).at(LATER).appraise(examination)
    assert examination.signature == "valid"


def test_a_fourth_segment_and_a_flipped_bit(load_vectors: Load) -> None:
    found = load_vectors(TOKENS)
    token, key = found["vectors"][0]["token"].encode(), json.dumps(found["jwk"]).encode()
    for changed in (token + b".AAAA", token[:-1] + bytes((token[-1] ^ 2,)), token[:50] + b"X" + token[51:]):
        with pytest.raises(RemoteError):
            ear(changed, key).at(LATER).appraise()


@pytest.mark.parametrize("name", SAMPLES)
def test_veraisons_claims_that_affirm(load_vectors: Load, name: str) -> None:
    said = load_vectors(f"ear/ear/{name}.json")
    found = ear(jwt(said)).at(LATER).appraise()
    assert found.claims["profile"] == said["eat_profile"]
    assert found.claims["submods"].keys() == said["submods"].keys()  # type: ignore[union-attr]


def test_veraisons_claims_that_do_not(load_vectors: Load) -> None:
    with pytest.raises(AppraisalError):
        ear(jwt(load_vectors("ear/ear/ear-claims-key-attestation-ko.json"))).at(LATER).appraise()


def test_the_drafts_examples(vectors: Path) -> None:
    """Those whose statuses all affirm pass, the others do not: JSON as JWT, CBOR as CWT."""
    verdicts = {}
    for path in sorted((vectors / "ear/draft-ear/examples").glob("*.diag")):
        said, examination = diagnostic(path.read_text(encoding="utf-8")), Examination()
        submods = said.get("submods", said.get(266))
        affirms = all(tier_of(each.get("ear_status", each.get(1000))) == 2 for each in submods.values())
        try:
            ear((cwt if 266 in said else jwt)(said)).at(LATER).appraise(examination)
            verdicts[path.name] = True
        except AppraisalError:
            verdicts[path.name] = False
        assert (examination.signature, verdicts[path.name]) == ("valid", affirms)
    assert (len(verdicts), sum(verdicts.values())) == (8, 2)


def diagnostic(text: str) -> Any:
    """CBOR diagnostic notation of these examples, whose byte strings are left as text."""
    text = re.sub(r"h'([0-9a-fA-F]*)'", r'"\1"', text)
    text = re.sub(r"(?m)^(\s*)(-?\d+):", r'\1"\2":', text)
    return json.loads(text, object_pairs_hook=lambda pairs: {labelled(name): value for name, value in pairs})


def labelled(name: str) -> int | str:
    return int(name) if re.fullmatch(r"-?\d+", name) else name


def test_keys_are_not_those_of_our_tests(load_vectors: Load) -> None:
    with pytest.raises(RemoteError):
        ear(load_vectors(TOKENS)["vectors"][0]["token"].encode(), pem()).at(LATER).appraise()
