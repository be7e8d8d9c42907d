"""Every kind's own claims under a policy: the names that the lines look for are those that the appraisers give."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from schemas.kinds import Tier
from schemas.policy import AppraisalPolicy
from tests.synthetic.cca import cca
from tests.synthetic.corim import comid, measurement, triple, unsigned
from tests.synthetic.exhibits import EXHIBITS
from verifier.checks import deciding, submodules, vector_of
from verifier.evidence.interface import Claim, TcbStatus, TeeClaims
from verifier.expectations import claim_at
from verifier.judgement import judge, judge_alone
from verifier.policy import load_policy
from verifier.reference_values import components, components_digest

MINIMUM = '[tcb.minimum."{0}"]\nbootloader = 0\ntee = 0\nsnp = 0\nmicrocode = 0\n'


@pytest.fixture(params=EXHIBITS)
def tee(request: pytest.FixtureRequest) -> TeeClaims:
    return EXHIBITS[request.param]().appraise()


def accepting(tee: TeeClaims, more: str = "") -> AppraisalPolicy:
    """The policy that names this very evidence."""
    measured = ", ".join(f'"{each.hex()}"' for each in (tee.measurement, *tee.earlier))
    tcb = f'accept = ["{tee.tcb_status or "UpToDate"}"]\n'
    if tee.tier is Tier.CCA:
        tcb += f'platforms = ["{(components_digest(tee) or b"").hex()}"]\n'
    minimum = MINIMUM.format(tee.tier) if tee.tier in {Tier.SEV_SNP, Tier.AZURE_SEV_SNP} else ""
    tables = f'[tiers]\naccept = ["{tee.tier}"]\n[reference_values]\nmeasurements = [{measured}]\n[tcb]\n{tcb}{minimum}'
    return load_policy(tables + more)


def failing(tee: TeeClaims, policy: AppraisalPolicy) -> set[str]:
    return {check.finding.claim for check in judge(tee, policy, 0.0) if not check.holds}


def test_the_evidence_that_a_policy_names_is_accepted(tee: TeeClaims) -> None:
    assert failing(tee, accepting(tee)) == set()
    assert deciding(judge_alone(tee)) is None


def test_no_evidence_is_accepted_by_default(tee: TeeClaims) -> None:
    assert {"tee.measurement", "tee.tier"} <= failing(tee, AppraisalPolicy())


def test_another_measurement_is_refused(tee: TeeClaims) -> None:
    other = replace(tee, measurement=bytes([tee.measurement[0] ^ 1]) + tee.measurement[1:])
    assert failing(other, accepting(tee)) == {"tee.measurement"}


def test_a_debugger_is_refused(tee: TeeClaims) -> None:
    assert failing(replace(tee, debug=True), accepting(tee)) == {"tee.debug"}


def paths(claims: Mapping[str, Claim], prefix: str = "") -> dict[str, Claim]:
    """Every claim that is bytes, text or a number, by its path."""
    found: dict[str, Claim] = {}
    for name, value in claims.items():
        if isinstance(value, Mapping):
            found |= paths(value, f"{prefix}{name}.")
        elif isinstance(value, bytes | str | int):
            found[prefix + name] = value
    return found


def test_every_claim_can_be_expected_by_its_path(tee: TeeClaims) -> None:
    named = paths(tee.claims)
    assert named
    for path, value in named.items():
        assert claim_at(tee.claims, path) == value


def test_both_submodules_have_the_kind_s_own_names(tee: TeeClaims) -> None:
    expected = {
        Tier.CCA: ("platform", "realm"),
        Tier.AZURE_SEV_SNP: ("hardware", "vtpm"),
        Tier.AZURE_TDX: ("hardware", "vtpm"),
    }
    assert submodules(tee) == expected.get(tee.tier, ("tee", "enclave"))


@pytest.mark.parametrize(
    ("name", "tier"), [("snp-v2", "sev-snp"), ("snp-v5-turin", "sev-snp"), ("azure-snp", "azure-sev-snp")]
)
@pytest.mark.parametrize("part", ["bootloader", "tee", "snp", "microcode"])
def test_each_part_of_amd_s_firmware_is_reported(name: str, tier: str, part: str) -> None:
    tee = EXHIBITS[name]().appraise()
    policy = accepting(tee)
    highest = load_policy(f'[tcb.minimum."{tier}"]\n{part} = 255').tcb
    assert failing(tee, policy.model_copy(update={"tcb": highest})) == {"tee.tcb.reported"}
    finding = next(
        check for check in judge(tee, policy.model_copy(update={"tcb": highest}), 0.0) if not check.holds
    ).finding
    assert "not reported" not in finding.found


def test_turin_reports_fmc_as_well() -> None:
    tee = EXHIBITS["snp-v5-turin"]().appraise()
    tcb = load_policy('[tcb.minimum."sev-snp"]\nfmc = 0').tcb
    assert failing(tee, accepting(tee).model_copy(update={"tcb": tcb})) == set()


def test_a_device_s_components_are_known_by_a_corim() -> None:
    tee = EXHIBITS["psa"]().appraise()
    parts = components(tee)
    assert parts
    listed = [
        measurement(part.digest, key=index, algorithm=_algorithm(part.digest)) for index, part in enumerate(parts)
    ]
    text = '[tiers]\naccept = ["psa"]\n[reference_values]\ncorim_unsigned = ["a"]'
    for found, holds in ((listed, True), (listed[1:], False)):
        tags = [comid(triple(*found or [measurement(bytes(32))]))]
        assert (not failing(tee, load_policy(text, {"a": unsigned(*tags)}))) is holds


def _algorithm(digest: bytes) -> int:
    return {32: 1, 48: 7, 64: 8}[len(digest)]


def test_a_platform_token_alone_is_refused_though_a_corim_knows_its_components() -> None:
    text = '[tiers]\naccept = ["cca"]\n[reference_values]\ncorim_unsigned = ["a"]'
    tee = cca(alone=True).appraise()
    listed = [
        measurement(part.digest, key=index, algorithm=_algorithm(part.digest))
        for index, part in enumerate(components(tee))
    ]
    policy = load_policy(text, {"a": unsigned(comid(triple(*listed)))})
    assert failing(tee, policy) == {"tee.claims.realm"}
    assert failing(tee, accepting(tee)) == {"tee.claims.realm"}
    assert deciding(judge_alone(tee)) is None


def test_memory_that_the_normal_world_may_hold_is_not_called_opaque() -> None:
    tee = EXHIBITS["psa"]().appraise()
    said = vector_of(judge(tee, accepting(tee), 0.0))
    assert (said.executables, said.hardware, said.runtime_opaque) == (2, 2, None)


def test_a_level_that_no_policy_may_accept() -> None:
    tee = replace(EXHIBITS["tdx-v4"]().appraise(), tcb_status=TcbStatus.NONE_MATCHES)
    assert failing(tee, accepting(replace(tee, tcb_status=TcbStatus.UNDETERMINED))) == {"tee.tcb"}
    assert deciding(judge_alone(tee)) is not None
