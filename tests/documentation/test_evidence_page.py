"""docs/evidence.md: its policies load, accept the published sample that they are for, and its tables name what exists.

The samples lie in the folder that SEALEDGE_VECTORS names; without it their policies are loaded and not tried.
"""

import json
import os
import re
import tomllib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from edge_agent.attester import Platform, choose_attester
from protocol.errors import ConfigurationError
from schemas.evidence import FORMATS
from schemas.kinds import Tier
from schemas.policy import AppraisalPolicy, PolicyText
from sealedge.operations.endorsements import read_endorsements
from sealedge.operations.evidence import Answer, Question, verify_untrusted
from sealedge.operations.evidence_files import parts_of
from sealedge.operations.settings import AgentSettings, VerifierSettings
from verifier.evidence.interface import TcbStatus
from verifier.policy import load_policy

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "evidence.md").read_text("utf-8")
BLOCKS = re.findall(r"^```toml ?([^\n]*)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
POLICIES = {about.removeprefix("policy ").strip(): text for about, text in BLOCKS if about.startswith("policy ")}
AGENTS = {tomllib.loads(text)["attester"]: text for about, text in BLOCKS if about == "agent"}
SAMPLES = {
    "sev-snp": "snp-milan-v2",
    "tdx": "tdx-phala-v4",
    "sgx": "sgx-phala-v3",
    "nitro": "nitro-dstack-doc-2025-12-25b",
    "cca": "cca-cca_example_token.cbor",
    "psa": "psa-psa-2_0_0_sign1.bin",
    "tpm": "tpm-gce-cos-85-nonce9009",
    "azure-sev-snp": "az-az-snp-evidence-v2",
    "azure-tdx": "az-az-tdx-evidence-v1",
}
"""Tier to the sample in the vectors' index; EAR's stands in a file of its own."""

ANY_TIME = "2025-07-01T00:00:00Z"
BROKER = {"url": "mqtt://127.0.0.1:1883"}
REST: dict[str, Any] = {
    "fleet": "f",
    "name": "n",
    "authority": "a",
    "enrolment": "e",
    "models": ["m"],
    "broker": BROKER,
}
"""What an agent.toml needs besides what the page shows."""


def test_every_tier_has_a_policy_that_names_it_alone() -> None:
    assert set(POLICIES) == set(map(str, Tier)) - {"simulated"}
    for tier, text in POLICIES.items():
        policy = load_policy(text)
        assert policy.tiers.accept == (tier,)
        assert policy.reference_values.measurements
        assert all(each.tier == tier for each in policy.expect)


def test_other_blocks_of_policies_load_too() -> None:
    others = [text for about, text in BLOCKS if about == "policy" or (not about and "[reference_values]" in text)]
    assert len(others) == 2
    for text in others:
        PolicyText.model_validate_json(json.dumps(tomllib.loads(text)), strict=True)


def test_the_verifier_s_line_is_a_setting() -> None:
    [said] = [tomllib.loads(text) for _, text in BLOCKS if text.startswith("# verifier.toml")]
    assert set(said) <= set(VerifierSettings.model_fields)


def test_each_attester_is_shown_with_settings_that_it_has() -> None:
    for text in AGENTS.values():
        AgentSettings(**REST, **tomllib.loads(text))
    with pytest.raises(ConfigurationError) as raised:
        choose_attester("none", Platform(bytes(32)))
    assert raised.value.finding is not None
    assert set(AGENTS) | {"simulated"} == set(raised.value.finding.expected.split(" or "))


def samples() -> Mapping[str, Any]:
    folder = os.environ.get("SEALEDGE_VECTORS")
    if not folder:
        pytest.skip("SEALEDGE_VECTORS is not set: the samples are not here")
    index = json.loads((Path(folder) / "index.json").read_text("utf-8"))
    return {"": Path(folder), **{entry["id"]: entry for entry in index}}


def answered(tier: str, policy: AppraisalPolicy) -> Answer:
    known = samples()
    if tier == "ear":
        found = json.loads((known[""] / "ear/ear/ear_jwt_vectors.json").read_text("utf-8"))
        token = next(each["token"] for each in found["vectors"] if each["expect"] == "valid")
        parts = {"token": token.encode(), "key": json.dumps(found["jwk"]).encode()}
        return verify_untrusted(Question("ear", parts, 1 << 31, policy=policy))
    entry = known[SAMPLES[tier]]
    files = entry.get("files", {}) | {name: entry[name] for name in ("json", "dir") if name in entry}
    parts = parts_of(entry["kind"], [f"{name}={known[''] / file}" for name, file in files.items()])
    at = datetime.fromisoformat(entry.get("verify_at") or ANY_TIME).timestamp()
    return verify_untrusted(Question(entry["kind"], parts, at, policy=policy, endorsements=read_endorsements(None)))


@pytest.mark.parametrize("tier", POLICIES)
def test_a_policy_accepts_the_sample_that_it_is_for(tier: str) -> None:
    answer = answered(tier, load_policy(POLICIES[tier]))
    assert answer.signature == "valid"
    if tier == "azure-tdx":
        assert answer.error is not None
        assert (answer.tee and answer.tee.tcb_status) is TcbStatus.UNDETERMINED
        answer = answered(tier, load_policy(POLICIES[tier] + '\n[tcb]\naccept = ["undetermined"]\n'))
    assert answer.error is None, answer.error


@pytest.mark.parametrize("tier", POLICIES)
def test_every_line_of_a_policy_counts(tier: str) -> None:
    """With another value in an expectation the sample is refused: none is there for show."""
    policy = load_policy(POLICIES[tier])
    for index, each in enumerate(policy.expect):
        other = each.model_copy(update={"any_of": ("something else",)})
        changed = (*policy.expect[:index], other, *policy.expect[index + 1 :])
        answer = answered(tier, policy.model_copy(update={"expect": changed}))
        assert any(line.finding.claim == f"tee.claims.{each.claim}" and not line.holds for line in answer.trace)


def test_the_first_table_has_every_kind_and_tier() -> None:
    table = TEXT.partition("## At a glance")[2].partition("## ")[0]
    rows = [line.split("|") for line in table.splitlines() if line.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"`([^`]+)`", row[1])} == set(FORMATS)
    assert {name for row in rows for name in re.findall(r"`([^`]+)`", row[2])} == set(map(str, Tier))


def test_the_lines_of_policies_exist_with_their_defaults() -> None:
    table = TEXT.partition("## Policies")[2].partition("A path of")[0]
    names = re.findall(r"^\| `([a-z_]+)", table, re.MULTILINE)
    names += re.findall(r"`\[\[([a-z]+)\]\]` \|", table) + re.findall(r", `([a-z]+_[a-z]+)` \|", table)
    assert {"name", *names} == set(PolicyText.model_fields), "docs/evidence.md: each line of a policy has its row"
    assert f"| {PolicyText().lease_seconds}, {PolicyText().challenge_seconds} |" in table


def test_its_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)", TEXT)
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []
    headings = re.findall(r"^## (.+)$", TEXT, re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", TEXT)) <= anchors
