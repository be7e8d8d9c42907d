"""What a policy says of a TEE's claims: every line holds and fails for its own reason, and none affirms too much."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.attestation import AFFIRMING, CONTRAINDICATED, WARNING, TrustVector
from schemas.kinds import Tier
from schemas.policy import AppraisalPolicy
from schemas.reason import Reason
from tests.support.tee import CHIP, HEX, MEASUREMENT, NOW, claims_of, policy_of, snp, tdx
from verifier.checks import Check, appraisals, deciding, status_of, vector_of
from verifier.evidence.interface import TcbStatus, TeeClaims
from verifier.judgement import judge, judge_alone
from verifier.policy import policy_id

MINIMUM = '[tcb.minimum."sev-snp"]\nsnp = 24\nmicrocode = 200'


def judged(tee: TeeClaims, policy: AppraisalPolicy) -> list[Check]:
    return list(judge(tee, policy, NOW))


def decided(tee: TeeClaims, policy: AppraisalPolicy) -> Check | None:
    return deciding(judged(tee, policy))


def refused(tee: TeeClaims, policy: AppraisalPolicy, claim: str, line: str) -> Check:
    """Only this claim fails, by this line of the policy."""
    (found,) = [check for check in judged(tee, policy) if not check.holds]
    assert found.finding.claim == claim
    assert found.finding.policy == f"{policy_id(policy)} {line}"
    return found


def vector(tee: TeeClaims, policy: AppraisalPolicy) -> TrustVector:
    return vector_of(judged(tee, policy))


def test_an_honest_enclave_is_affirmed_in_all_that_its_tee_proves() -> None:
    assert decided(claims_of(), policy_of()) is None
    assert vector(claims_of(), policy_of()) == TrustVector(executables=2, hardware=2, runtime_opaque=2)


def test_the_default_policy_refuses_everything() -> None:
    failed = {check.finding.claim for check in judged(tdx(debug=True), AppraisalPolicy()) if not check.holds}
    assert failed == {"tee.measurement", "tee.debug", "tee.tier"}
    assert decided(claims_of(), AppraisalPolicy()) is not None


@pytest.mark.parametrize("size", [32, 48, 64])
def test_measurements_of_all_sizes_are_known_by_their_own_bytes(size: int) -> None:
    tee = claims_of(measurement=bytes([7]) * size)
    assert decided(tee, policy_of(measurements=f'"{"07" * size}"')) is None
    found = refused(tee, policy_of(), "tee.measurement", "reference_values.measurements")
    assert (found.reason, found.value, found.finding.expected) == (Reason.MEASUREMENT_UNKNOWN, 33, HEX[:16])


def test_all_that_was_measured_earlier_must_be_known() -> None:
    earlier = bytes([0xEE]) * 32
    tee = claims_of(earlier=(MEASUREMENT, earlier))
    found = refused(tee, policy_of(), "tee.earlier", "reference_values.measurements")
    assert found.finding.found == "ee" * 8
    assert decided(tee, policy_of(measurements=f'"{HEX}", "{earlier.hex()}"')) is None


def test_debugging_is_refused_and_where_allowed_not_affirmed() -> None:
    found = refused(claims_of(debug=True), policy_of(), "tee.debug", "allow_debug")
    assert (found.reason, found.value) == (Reason.DEBUG_ENABLED, 96)
    allowed = policy_of(top="allow_debug = true")
    assert decided(claims_of(debug=True), allowed) is None
    assert vector(claims_of(debug=True), allowed).runtime_opaque is None
    assert vector(claims_of(), allowed).runtime_opaque == 2


@pytest.mark.parametrize("tier", [Tier.SIMULATED, Tier.TPM])
def test_what_hides_nothing_is_never_called_opaque_nor_its_hardware_genuine(tier: Tier) -> None:
    tee = claims_of(tier, opaque=False)
    assert decided(tee, policy_of(tier)) is None
    assert vector(tee, policy_of(tier)) == TrustVector(executables=2)


def test_the_tier_must_be_named() -> None:
    found = refused(claims_of(Tier.PSA), policy_of(Tier.NITRO), "tee.tier", "tiers.accept")
    assert (found.reason, found.value, found.finding.expected) == (Reason.TIER_NOT_ACCEPTED, 97, "nitro")


STATUSES = [
    (TcbStatus.SW_HARDENING_NEEDED, 32, WARNING),
    (TcbStatus.CONFIGURATION_NEEDED, 32, WARNING),
    (TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED, 32, WARNING),
    (TcbStatus.OUT_OF_DATE, 32, WARNING),
    (TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED, 32, WARNING),
    (TcbStatus.REVOKED, 96, CONTRAINDICATED),
    (TcbStatus.NONE_MATCHES, 97, CONTRAINDICATED),
    (TcbStatus.UNDETERMINED, 97, CONTRAINDICATED),
]


def test_every_status_is_one_of_those() -> None:
    assert {status for status, _, _ in STATUSES} | {TcbStatus.UP_TO_DATE} == set(TcbStatus)


@pytest.mark.parametrize(("status", "value", "ear"), STATUSES)
def test_firmware_that_is_not_up_to_date_is_refused(status: TcbStatus, value: int, ear: int) -> None:
    policy = policy_of(Tier.TDX)
    found = refused(tdx(tcb_status=status), policy, "tee.tcb", "tcb.accept")
    assert (found.value, found.finding.expected, found.finding.found) == (value, "UpToDate", status)
    assert status_of(judged(tdx(tcb_status=status), policy)) == ear
    assert vector(tdx(tcb_status=status), policy).hardware == value


@pytest.mark.parametrize("status", [each for each, _, _ in STATUSES if each not in {"Revoked", "none-matches"}])
def test_a_status_that_the_policy_accepts_passes_and_is_not_affirmed(status: TcbStatus) -> None:
    policy = policy_of(Tier.TDX, more=f'[tcb]\naccept = ["UpToDate", "{status}"]')
    assert decided(tdx(tcb_status=status), policy) is None
    assert vector(tdx(tcb_status=status), policy).hardware is None
    assert vector(tdx(), policy).hardware == 2


def test_advisories_count_where_the_level_is_not_up_to_date() -> None:
    tee = tdx(tcb_status=TcbStatus.SW_HARDENING_NEEDED, advisories=("INTEL-SA-00615", "INTEL-SA-00657"))
    accept = '[tcb]\naccept = ["SWHardeningNeeded", "UpToDate"]\nadvisories_tolerated = ["INTEL-SA-00615"'
    found = refused(tee, policy_of(Tier.TDX, more=f"{accept}]"), "tee.advisories", "tcb.advisories_tolerated")
    assert (found.finding.found, found.value) == ("INTEL-SA-00657", 32)
    assert decided(tee, policy_of(Tier.TDX, more=f'{accept}, "INTEL-SA-00657"]')) is None
    assert decided(tdx(advisories=("INTEL-SA-00837",)), policy_of(Tier.TDX)) is None


def test_snp_firmware_is_held_against_the_policy_s_minimum() -> None:
    assert decided(snp(), policy_of(Tier.SEV_SNP, more=MINIMUM)) is None
    assert vector(snp(), policy_of(Tier.SEV_SNP, more=MINIMUM)).hardware == 2
    higher = policy_of(Tier.SEV_SNP, more=MINIMUM.replace("200", "220"))
    found = refused(snp(), higher, "tee.tcb.reported", 'tcb.minimum."sev-snp"')
    assert (found.finding.expected, found.finding.found) == ("snp 24 and microcode 220", "microcode 219")
    assert found.value == 32


def test_snp_without_a_minimum_is_refused_and_with_an_empty_one_not_affirmed() -> None:
    found = refused(snp(), policy_of(Tier.SEV_SNP), "tee.tcb.reported", 'tcb.minimum."sev-snp"')
    assert found.finding.expected == "a minimum in the policy"
    empty = policy_of(Tier.SEV_SNP, more='[tcb.minimum."sev-snp"]')
    assert decided(snp(), empty) is None
    assert vector(snp(), empty).hardware is None


def test_a_part_that_is_not_reported_is_too_old() -> None:
    policy = policy_of(Tier.SEV_SNP, more=f"{MINIMUM}\nfmc = 0")
    assert refused(snp(), policy, "tee.tcb.reported", 'tcb.minimum."sev-snp"').finding.found == "fmc not reported"
    for reported in (None, 24, {"snp": True, "microcode": 219}, {"snp": "24", "microcode": 219}):
        tee = snp(claims={"policy": {"migrate_ma": False}, "tcb": {"reported": reported}})
        assert decided(tee, policy_of(Tier.SEV_SNP, more=MINIMUM)) is not None


def test_azure_s_hardware_is_judged_where_its_claims_are() -> None:
    tee = claims_of(Tier.AZURE_SEV_SNP, claims={"hardware": snp().claims, "vtpm": {"pcrs": {}}, "vm": {}})
    azure = MINIMUM.replace("sev-snp", "azure-sev-snp")
    assert decided(tee, policy_of(Tier.AZURE_SEV_SNP, more=azure)) is None
    found = refused(tee, policy_of(Tier.AZURE_SEV_SNP, more=MINIMUM), "tee.tcb.reported", 'tcb.minimum."azure-sev-snp"')
    assert found.submodule == "hardware"
    assert {check.submodule for check in judged(tee, policy_of(Tier.AZURE_SEV_SNP, more=azure))} == {"hardware", "vtpm"}


@pytest.mark.parametrize("guest", [{"migrate_ma": True}, {}, {"migrate_ma": 0}, None])
def test_a_migration_agent_must_be_ruled_out(guest: Any) -> None:
    tee = snp(claims={**snp().claims, "policy": guest})
    found = refused(tee, policy_of(Tier.SEV_SNP, more=MINIMUM), "tee.claims.policy.migrate_ma", "allow_migration")
    assert found.value == 96
    allowed = policy_of(Tier.SEV_SNP, more=MINIMUM, top="allow_migration = true")
    assert decided(tee, allowed) is None
    assert vector(tee, allowed).runtime_opaque is None
    assert vector(snp(), allowed).runtime_opaque == 2


def test_the_policy_s_own_list_of_chips() -> None:
    listed = policy_of(measurements=f'"{HEX}"]\nchips = ["{CHIP.hex()}"')
    assert decided(claims_of(), listed) is None
    assert vector(claims_of(), listed).instance_identity == 2
    for chip in (bytes(32), None):
        found = refused(claims_of(chip=chip), listed, "tee.chip", "reference_values.chips")
        assert (found.reason, found.value) == (Reason.CHIP_NOT_ALLOWED, 97)
    unnamed = policy_of(measurements=f'"{HEX}"]\nchips = ["{CHIP.hex()}"', more='[chips]\nunnamed = ["nitro"]')
    assert decided(claims_of(chip=None), unnamed) is None
    assert vector(claims_of(chip=None), unnamed).instance_identity is None
    # A machine that names itself is held against the list all the same.
    assert decided(claims_of(chip=bytes(32)), unnamed) is not None


def cca(**platform: Any) -> TeeClaims:
    component = {"measurement_value": bytes(32), "signer_id": bytes([1]) * 32}
    claims = {"platform": {"software_components": (component,), **platform}, "realm": {"challenge": bytes(64)}}
    return claims_of(Tier.CCA, claims=claims)


def test_the_firmware_under_a_realm_must_be_known() -> None:
    found = refused(cca(), policy_of(Tier.CCA), "tee.platform", "tcb.platforms")
    assert (found.submodule, found.value, len(found.finding.found)) == ("platform", 97, 64)
    known = policy_of(Tier.CCA, more=f'[tcb]\nplatforms = ["{found.finding.found}"]')
    assert decided(cca(), known) is None
    assert {check.submodule for check in judged(cca(), known)} == {"platform", "realm"}
    assert decided(cca(software_components=()), known) is not None
    other = {"measurement_value": bytes(32), "signer_id": bytes([2]) * 32}
    assert decided(cca(software_components=(other,)), known) is not None


def test_a_platform_without_a_realm_is_no_evidence_of_what_runs() -> None:
    alone = claims_of(Tier.CCA, claims={**cca().claims, "realm": None})
    digest = refused(cca(), policy_of(Tier.CCA), "tee.platform", "tcb.platforms").finding.found
    known = policy_of(Tier.CCA, more=f'[tcb]\nplatforms = ["{digest}"]')
    found = decided(alone, known)
    assert found is not None
    assert (found.finding.claim, found.reason, found.value) == ("tee.claims.realm", Reason.EVIDENCE_INVALID, 33)
    assert vector(alone, known).executables == 33
    assert deciding(judge_alone(alone)) is None


def test_without_a_policy_only_debuggers_and_unknown_levels_are_refused() -> None:
    assert deciding(judge_alone(tdx(tcb_status=TcbStatus.OUT_OF_DATE, chip=None, advisories=("X",)))) is None
    assert deciding(judge_alone(snp())) is None
    debugged = deciding(judge_alone(claims_of(debug=True)))
    assert debugged is not None
    assert debugged.reason is Reason.DEBUG_ENABLED
    unknown = deciding(judge_alone(tdx(tcb_status=TcbStatus.NONE_MATCHES)))
    assert unknown is not None
    assert unknown.finding.claim == "tee.tcb"


def test_one_ear_appraisal_a_submodule() -> None:
    found = appraisals(judged(tdx(tcb_status=TcbStatus.OUT_OF_DATE), policy_of(Tier.TDX)), "the policy")
    assert found["tee"].status == WARNING
    assert found["enclave"].status == AFFIRMING
    assert found["tee"].vector == TrustVector(hardware=32, runtime_opaque=2)
    assert found["enclave"].vector == TrustVector(executables=2)
    assert found["tee"].policies == ("the policy",)


def test_a_submodule_of_which_nothing_is_claimed_has_no_vector() -> None:
    lines = judged(claims_of(Tier.TPM, opaque=False), policy_of(Tier.TPM))
    assert appraisals(lines, "p")["tee"].vector is None


@given(
    tier=st.sampled_from(list(Tier)),
    debug=st.booleans(),
    opaque=st.booleans(),
    status=st.none() | st.sampled_from(list(TcbStatus)),
    known=st.booleans(),
    allow=st.booleans(),
)
def test_the_vector_never_affirms_what_a_line_does_not(
    tier: Tier, debug: bool, opaque: bool, status: TcbStatus | None, known: bool, allow: bool
) -> None:
    tee = claims_of(
        tier, debug=debug, opaque=opaque, tcb_status=status, measurement=MEASUREMENT if known else bytes(48)
    )
    policy = policy_of(*Tier, top=f"allow_debug = {str(allow).lower()}", more='[tcb]\naccept = ["OutOfDate"]')
    lines = judged(tee, policy)
    said = vector_of(lines)
    for check in lines:
        assert check.holds or check.value is None or check.value > AFFIRMING
        value = getattr(said, check.aspect or "executables")
        assert check.holds or check.value is None or (value is not None and value >= check.value)
        assert check.value == AFFIRMING or value != AFFIRMING or check.aspect is None
    if said.runtime_opaque == AFFIRMING:
        assert (opaque, debug) == (True, False)
        assert tier not in {Tier.SIMULATED, Tier.SEV_SNP, Tier.AZURE_SEV_SNP}
    if said.hardware == AFFIRMING:
        assert status is None
        assert tier not in {Tier.SIMULATED, Tier.TPM, Tier.EAR}
    worst = max((value for value in said.model_dump().values() if value is not None), default=0)
    assert (status_of(lines) == AFFIRMING) == all(check.holds for check in lines)
    assert worst <= AFFIRMING or status_of(lines) > AFFIRMING
