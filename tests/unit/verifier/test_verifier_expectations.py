"""The [[expect]] lines of a policy: by dotted path, by value and by type; what is missing meets nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.attestation import AFFIRMING
from schemas.kinds import Tier
from schemas.reason import Reason
from tests.support.tee import NOW, claims_of, policy_of
from verifier.checks import Check, vector_of
from verifier.evidence.interface import Claim, TeeClaims
from verifier.expectations import claim_at
from verifier.judgement import judge
from verifier.policy import policy_id

PCR = bytes([0x70]) * 32
CLAIMS: dict[str, Claim] = {
    "pcrs": {"sha256": {"7": PCR}},
    "version": 3,
    "secure": True,
    "product": "milan",
    "absent": None,
    "components": ({"name": "BL", "value": PCR},),
}


def tpm() -> TeeClaims:
    return claims_of(Tier.TPM, opaque=False, claims=CLAIMS)


def expected(claim: str, values: str, tier: str = "tpm", aspect: str = "") -> list[Check]:
    """The checks of one expectation."""
    more = f'[[expect]]\ntier = "{tier}"\nclaim = "{claim}"\nany_of = [{values}]\n{aspect}'
    return [
        check
        for check in judge(tpm(), policy_of(Tier.TPM, more=more), NOW)
        if check.finding.claim.startswith("tee.claims.")
    ]


@pytest.mark.parametrize(
    ("claim", "values"),
    [
        ("pcrs.sha256.7", f'"{PCR.hex()}"'),
        ("pcrs.sha256.7", f'"00", "{PCR.hex()}"'),
        ("version", "2, 3"),
        ("secure", "true"),
        ("product", '"genoa", "milan"'),
        ("components.0.name", '"BL"'),
        ("components.0.value", f'"{PCR.hex()}"'),
    ],
)
def test_expectations_that_are_met(claim: str, values: str) -> None:
    (check,) = expected(claim, values)
    assert check.holds
    assert check.value == AFFIRMING
    assert check.aspect == "configuration"


@pytest.mark.parametrize(
    ("claim", "values", "found"),
    [
        ("pcrs.sha256.7", f'"{PCR.hex().upper().replace("7", "8")}"', PCR.hex()),
        ("pcrs.sha256.7", f'"{PCR.hex()[:32]}"', PCR.hex()),
        ("pcrs.sha256.8", f'"{PCR.hex()}"', "none"),
        ("pcrs.sha384.7", f'"{PCR.hex()}"', "none"),
        ("pcrs", '"several"', "several"),
        ("version", '"3"', "3"),
        ("version", "true", "3"),
        ("secure", "1", "true"),
        ("secure", '"true"', "true"),
        ("absent", '"none", "None", false, 0, ""', "none"),
        ("components.1.name", '"BL"', "none"),
        ("components.-1.name", '"BL"', "none"),
        ("components.\u0660.name", '"BL"', "none"),
        ("components.00000.name", '"BL"', "none"),
        ("product.0", '"m"', "none"),
        ("missing", '""', "none"),
    ],
)
def test_expectations_that_are_not_met(claim: str, values: str, found: str) -> None:
    (check,) = expected(claim, values)
    assert not check.holds
    assert (check.reason, check.finding.found) == (Reason.EVIDENCE_INVALID, found)
    assert check.value == 96


def test_expectations_of_other_tiers_are_not_asked() -> None:
    assert expected("pcrs.sha256.7", '"00"', tier="tdx") == []


@pytest.mark.parametrize(
    ("aspect", "value"),
    [("executables", 33), ("file_system", 96), ("storage_opaque", 96), ("sourced_data", 96), ("configuration", 96)],
)
def test_an_expectation_speaks_of_the_aspect_that_it_names(aspect: str, value: int) -> None:
    (met,) = expected("version", "3", aspect=f'aspect = "{aspect}"')
    (missed,) = expected("version", "4", aspect=f'aspect = "{aspect}"')
    assert getattr(vector_of([met]), aspect) == AFFIRMING
    assert getattr(vector_of([missed]), aspect) == value
    assert met.submodule == ("tee" if aspect == "storage_opaque" else "enclave")


def test_the_line_that_decided_is_named() -> None:
    lines = [
        f'[[expect]]\ntier = "{tier}"\nclaim = "b"\nany_of = [{values}]'
        for tier, values in (("tdx", "1"), ("tpm", "1, 2, 3, 4, 5"))
    ]
    policy = policy_of(Tier.TPM, more="\n".join(lines))
    (missed,) = [check for check in judge(tpm(), policy, NOW) if not check.holds]
    assert missed.finding.policy == f"{policy_id(policy)} expect.1"
    assert missed.finding.expected == "1 or 2 or 3 or 4 or 1 others"


@given(st.text(max_size=40), st.sampled_from(["pcrs", "components", "product"]))
def test_any_path_finds_a_claim_or_none(path: str, first: str) -> None:
    for each in (path, f"{first}.{path}"):
        found = claim_at(CLAIMS, each)
        assert found is None or each.partition(".")[0] in CLAIMS
