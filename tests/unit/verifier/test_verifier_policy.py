"""The policy from TOML: what is written holds, and what cannot hold is named in one line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import ConfigurationError
from schemas.kinds import Tier
from schemas.policy import AppraisalPolicy
from verifier.policy import MAX_POLICY, load_policy, policy_id

GOOD = f"""
name = "line-3"
lease_seconds = 600
challenge_seconds = 30
allow_debug = false
[tiers]
accept = ["simulated"]
[reference_values]
measurements = ["{"ab" * 32}"]
configurations = []
"""


def test_a_policy_says_what_was_written() -> None:
    policy = load_policy(GOOD)
    assert (policy.name, policy.lease_seconds, policy.challenge_seconds) == ("line-3", 600, 30)
    assert policy.tiers.accept == (Tier.SIMULATED,)
    assert policy.reference_values.measurements == ("ab" * 32,)
    assert not policy.allow_debug


def test_an_empty_policy_accepts_nothing() -> None:
    policy = load_policy("")
    assert policy == AppraisalPolicy()
    assert policy.tiers.accept == policy.reference_values.measurements == ()


@pytest.mark.parametrize(
    ("text", "line", "found"),
    [
        ('[tiers]\naccept = ["sgx2"]', "policy.tiers.accept.0", "'sgx2'"),
        ('[tiers]\naccepts = ["simulated"]', "policy.tiers.accepts", "accepts"),
        ("[tier]\n", "policy.tier", "tier"),
        ('[reference_values]\nmeasurements = ["AB"]', "policy.reference_values.measurements.0", "'AB'"),
        (f'[reference_values]\nmeasurements = "{"ab" * 32}"', "policy.reference_values.measurements", "'abab"),
        ('lease_seconds = "300"', "policy.lease_seconds", "'300'"),
        ("lease_seconds = 5", "policy.lease_seconds", "5"),
        ("lease_seconds = 300.0", "policy.lease_seconds", "300.0"),
        ('allow_debug = "no"', "policy.allow_debug", "'no'"),
        ("allow_debug = 0", "policy.allow_debug", "0"),
        ("challenge_seconds = inf", "policy.challenge_seconds", "inf"),
    ],
)
def test_a_wrong_line_is_named_with_what_was_expected_and_found(text: str, line: str, found: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_policy(text)
    finding = caught.value.finding
    assert finding is not None
    assert finding.claim == line
    assert finding.expected
    assert found in finding.found
    assert "\n" not in caught.value.diagnostics


@pytest.mark.parametrize(
    "text", ["name = ", "[tiers", "name = 2026-01-01", "\x00", "a" * (MAX_POLICY + 1), "x = " + "[" * 5000]
)
def test_what_is_no_policy_is_one_line_too(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_policy(text)
    assert "\n" not in caught.value.diagnostics
    assert len(caught.value.diagnostics) < 300


@given(st.text(max_size=60))
def test_any_text_is_a_policy_or_a_configuration_error(text: str) -> None:
    try:
        found: object = load_policy(text)
    except ConfigurationError as error:
        found = error.diagnostics
    assert isinstance(found, AppraisalPolicy) or "\n" not in str(found)


def test_the_policy_id_names_all_that_the_policy_says() -> None:
    policy = load_policy(GOOD)
    name, _, said = policy_id(policy).partition("@sha256:")
    assert name == "line-3"
    assert len(bytes.fromhex(said)) == 8
    assert policy_id(load_policy(GOOD + "# a comment changes nothing\n")) == policy_id(policy)
    ids = {
        policy_id(policy.model_copy(update=change)) for change in ({}, {"allow_debug": True}, {"lease_seconds": 601})
    }
    assert len(ids) == 3


def test_the_policy_id_fits_where_it_travels() -> None:
    assert len(policy_id(AppraisalPolicy(name="n" * 256))) <= 256
