"""The policy from TOML: what is written holds, and what cannot hold is named in one line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import ConfigurationError
from schemas.kinds import Tier
from schemas.policy import AppraisalPolicy
from tests.synthetic.corim import SUPPLIER, comid, measurement, signed, triple, unsigned
from tests.synthetic.cose import ec_key, pem
from verifier.evidence.roots import PINNED_ROOTS
from verifier.policy import MAX_POLICY, load_policy, named_files, policy_id, roots_of

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
        ("allow_migration = 1", "policy.allow_migration", "1"),
        ("documents = []", "policy.documents", "documents"),
        (f'[reference_values]\nmeasurements = ["{"ab" * 40}"]', "policy.reference_values.measurements.0", "abab"),
        (f'[reference_values]\nchips = ["{"ab" * 48}"]', "policy.reference_values.chips.0", "abab"),
        ('[tcb]\naccept = ["Revoked"]', "policy.tcb.accept.0", "Revoked"),
        ('[tcb]\naccept = ["none-matches"]', "policy.tcb.accept.0", "none-matches"),
        ('[tcb.minimum."sgx"]\n', "policy.tcb.minimum.sgx", "sgx"),
        ('[tcb.minimum."sev-snp"]\nucode = 1', "policy.tcb.minimum.sev-snp.ucode", "ucode"),
        ('[tcb.minimum."sev-snp"]\nsnp = 256', "policy.tcb.minimum.sev-snp.snp", "256"),
        ('[chips]\nunnamed = ["vlek"]', "policy.chips.unnamed.0", "'vlek'"),
        ('[roots]\namd = ["ab"]', "policy.roots.amd.0", "'ab'"),
        ('[[expect]]\ntier = "tpm"\nclaim = "a"\nany_of = []', "policy.expect.0.any_of", "[]"),
        ('[[expect]]\ntier = "tpm"\nclaim = ""\nany_of = [1]', "policy.expect.0.claim", "''"),
        ('[[expect]]\nclaim = "a"\nany_of = [1]', "policy.expect.0.tier", "claim"),
        (
            f'[[expect]]\ntier = "tpm"\nclaim = "a"\nany_of = [{2**64}]',
            "policy.expect.0.any_of.0",
            "18446744073709551616",
        ),
        (
            '[[expect]]\ntier = "tpm"\nclaim = "a"\nany_of = [1]\naspect = "hardware"',
            "policy.expect.0.aspect",
            "'hardware'",
        ),
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


def test_the_default_policy_is_strict() -> None:
    """No debugger, no migration, no old firmware, no machine without a name, no simulation, no further root."""
    policy = load_policy("")
    assert (policy.allow_debug, policy.allow_migration) == (False, False)
    assert policy.tcb.accept == ("UpToDate",)
    assert policy.tcb.advisories_tolerated == policy.tcb.platforms == policy.chips.unnamed == ()
    assert roots_of(policy) == PINNED_ROOTS


def test_further_roots_stand_beside_the_pinned_ones() -> None:
    roots = roots_of(load_policy(f'[roots]\namd = ["{"ab" * 32}"]\naws = ["{"cd" * 32}"]'))
    assert roots["amd"] == PINNED_ROOTS["amd"] | {bytes.fromhex("ab" * 32)}
    assert roots["aws"] == PINNED_ROOTS["aws"] | {bytes.fromhex("cd" * 32)}
    assert roots["intel"] == PINNED_ROOTS["intel"]


WITH_FILES = """
[reference_values]
corim = ["signed.corim", "signed.corim"]
corim_unsigned = ["plain.corim"]
corim_keys = ["key.pem"]
"""
FILES = {"signed.corim": signed(), "plain.corim": unsigned(), "key.pem": pem(SUPPLIER)}


def test_the_files_that_a_policy_names_are_asked_for_and_read() -> None:
    assert named_files(WITH_FILES) == ("signed.corim", "plain.corim", "key.pem")
    assert named_files("") == ()
    documents = load_policy(WITH_FILES, FILES).documents
    assert [each.name for each in documents] == ["signed.corim", "signed.corim", "plain.corim"]
    assert [each.signer is None for each in documents] == [False, False, True]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("signed.corim", None),
        ("signed.corim", b""),
        ("signed.corim", unsigned()),
        ("plain.corim", signed()),
        ("plain.corim", unsigned(comid(triple(measurement(n11="words alone"))))),
        ("key.pem", b"no key"),
        ("key.pem", pem(ec_key(99))),
    ],
)
def test_a_file_that_cannot_be_used_is_named_in_one_line(name: str, data: bytes | None) -> None:
    files = {**FILES, name: data}
    present = {each: found for each, found in files.items() if found is not None}
    with pytest.raises(ConfigurationError) as caught:
        load_policy(WITH_FILES, present)
    assert str(caught.value).startswith("signed.corim: " if data == pem(ec_key(99)) else f"{name}: ")
    assert "\n" not in caught.value.diagnostics


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
    files = {**FILES, "plain.corim": unsigned(n9=1)}
    assert policy_id(load_policy(WITH_FILES, FILES)) != policy_id(load_policy(WITH_FILES, files))


def test_the_policy_id_fits_where_it_travels() -> None:
    assert len(policy_id(AppraisalPolicy(name="n" * 256))) <= 256
