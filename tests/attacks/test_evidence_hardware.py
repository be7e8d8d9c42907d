"""Attacks on the appraisal of hardware (P5, P6): genuine evidence that is not good enough, over the message path."""

from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest

from protocol.attestation import Passport
from protocol.party import Delivery, Event
from schemas.kinds import Tier
from schemas.policy import AppraisalPolicy
from schemas.reason import Reason
from storage.store import MemoryStore
from tests.support.enclaves import NOW, FakeEnclave, Fleet, assert_refused, challenged, noted, passport_in
from verifier.evidence import SimulatedAppraiser, by_media_type
from verifier.evidence.examination import Examination
from verifier.evidence.interface import Parts, TcbStatus, TeeClaims
from verifier.policy import load_policy
from verifier.verifier import Verifier

MEASURED = bytes([0xAB]) * 48
CHIP = bytes([0xC1]) * 32


class Hardware(SimulatedAppraiser):
    """Stands for an appraiser of hardware: authentic claims, with whatever a test makes of them."""

    def __init__(self, **changes: Any) -> None:
        self._changes = {"tier": Tier.TDX, "measurement": MEASURED, "opaque": True, "chip": CHIP, **changes}

    def appraise_untrusted(self, parts: Parts, now: float, examination: Examination) -> TeeClaims:
        return replace(super().appraise_untrusted(parts, now, examination), **self._changes)


def policy_of(tier: Tier = Tier.TDX, more: str = "") -> AppraisalPolicy:
    return load_policy(f'[tiers]\naccept = ["{tier}"]\n[reference_values]\nmeasurements = ["{MEASURED.hex()}"]\n{more}')


def verifier_of(fleet: Fleet, policy: AppraisalPolicy, **changes: Any) -> Verifier:
    return Verifier(
        fleet.trust(),
        "verifier-1",
        fleet.verifier_key,
        fleet.verifier_credential,
        policy,
        MemoryStore(),
        fleet.randomness,
        by_media_type([Hardware(**changes)]),
    )


def answered(fleet: Fleet, policy: AppraisalPolicy, **changes: Any) -> tuple[Verifier, list[Event]]:
    """An honest enclave on a machine that its enrolment names, under a verifier that reads its evidence so."""
    enclave = FakeEnclave(fleet, enrolment=fleet.enrol("agent-1", CHIP))
    verifier = verifier_of(fleet, policy, **changes)
    return verifier, list(verifier.receive(enclave.answer(challenged(verifier, enclave)), NOW))


def affirmed(fleet: Fleet, policy: AppraisalPolicy, **changes: Any) -> Passport:
    return passport_in(answered(fleet, policy, **changes)[1], fleet)


def test_a_measurement_longer_than_a_digest_travels_as_its_sha_256(fleet: Fleet) -> None:
    result = affirmed(fleet, policy_of(), tcb_status=TcbStatus.UP_TO_DATE).result
    assert result.measurement == sha256(MEASURED).digest()
    assert (result.tier, result.chip) == (Tier.TDX, CHIP)
    assert result.submodules["tee"].vector is not None
    assert result.submodules["tee"].vector.hardware == 2
    assert result.submodules["tee"].vector.runtime_opaque == 2


def test_a_revoked_measurement_is_named_by_that_sha_256(fleet: Fleet) -> None:
    verifier, events = answered(fleet, policy_of())
    assert passport_in(events, fleet)
    revoked = fleet.revocations(1, ("measurement", sha256(MEASURED).digest()))
    ended = verifier.receive(Delivery(fleet.topics.revocations, revoked), NOW + 1)
    assert len(noted(ended, "lease-ended")) == 1
    enclave = FakeEnclave(fleet, enrolment=fleet.enrol("agent-1", CHIP))
    events = verifier.receive(enclave.answer(challenged(verifier, enclave, NOW + 2), NOW + 2), NOW + 2)
    assert_refused(events, fleet, Reason.REVOKED)


@pytest.mark.parametrize("status", [each for each in TcbStatus if each is not TcbStatus.UP_TO_DATE])
def test_firmware_that_is_not_up_to_date(fleet: Fleet, status: TcbStatus) -> None:
    refusal = assert_refused(answered(fleet, policy_of(), tcb_status=status)[1], fleet, Reason.EVIDENCE_INVALID)
    assert (refusal.claim, refusal.found) == ("tee.tcb", status)
    assert refusal.policy is not None
    assert refusal.policy.endswith(" tcb.accept")


def test_tolerated_firmware_gets_a_result_that_does_not_affirm_it(fleet: Fleet) -> None:
    policy = policy_of(more='[tcb]\naccept = ["UpToDate", "SWHardeningNeeded"]')
    passport = affirmed(fleet, policy, tcb_status=TcbStatus.SW_HARDENING_NEEDED)
    assert passport.result.submodules["tee"].vector is not None
    assert passport.result.submodules["tee"].vector.hardware is None


@pytest.mark.parametrize("chip", [bytes(32), None])
def test_a_genuine_machine_that_nobody_enrolled(fleet: Fleet, chip: bytes | None) -> None:
    refusal = assert_refused(answered(fleet, policy_of(), chip=chip)[1], fleet, Reason.CHIP_NOT_ALLOWED)
    assert refusal.found == ("none" if chip is None else "00" * 8)


def test_a_machine_without_a_name_where_the_policy_says_so_and_only_of_that_tier(fleet: Fleet) -> None:
    unnamed = policy_of(more='[chips]\nunnamed = ["tdx"]')
    passport = affirmed(fleet, unnamed, chip=None)
    assert passport.result.chip is None
    assert passport.result.submodules["tee"].vector is not None
    assert passport.result.submodules["tee"].vector.instance_identity is None
    assert_refused(answered(fleet, unnamed, chip=bytes(32))[1], fleet, Reason.CHIP_NOT_ALLOWED)
    other = policy_of(more='[chips]\nunnamed = ["sev-snp"]')
    assert_refused(answered(fleet, other, chip=None)[1], fleet, Reason.CHIP_NOT_ALLOWED)


def test_what_was_measured_earlier_in_the_same_boot(fleet: Fleet) -> None:
    changes = {"tier": Tier.TPM, "opaque": False}
    policy = policy_of(Tier.TPM)
    assert affirmed(fleet, policy, **changes, earlier=(MEASURED,)).result.tier is Tier.TPM
    events = answered(fleet, policy, **changes, earlier=(MEASURED, bytes(32)))[1]
    assert assert_refused(events, fleet, Reason.MEASUREMENT_UNKNOWN).claim == "tee.earlier"


@pytest.mark.parametrize("missing", [True, False])
def test_a_boot_that_is_not_the_expected_one(fleet: Fleet, missing: bool) -> None:
    expected = '[[expect]]\ntier = "tpm"\nclaim = "pcrs.sha256.7"\nany_of = ["aa"]'
    policy = policy_of(Tier.TPM, expected)
    tpm = {"tier": Tier.TPM, "opaque": False}
    assert affirmed(fleet, policy, **tpm, claims={"pcrs": {"sha256": {"7": b"\xaa"}}})
    claims = {} if missing else {"pcrs": {"sha256": {"7": b"\xab"}}}
    refusal = assert_refused(answered(fleet, policy, **tpm, claims=claims)[1], fleet, Reason.EVIDENCE_INVALID)
    assert (refusal.claim, refusal.found) == ("tee.claims.pcrs.sha256.7", "none" if missing else "ab")


class TpmLike(Hardware):
    """A TEE that signs 32 bytes: the SHA-256 of the report data."""

    def appraise_untrusted(self, parts: Parts, now: float, examination: Examination) -> TeeClaims:
        tee = super().appraise_untrusted(parts, now, examination)
        return replace(tee, report_data=self._signed(tee.report_data))

    def _signed(self, bound: bytes) -> bytes:
        return sha256(bound).digest()


class Truncating(TpmLike):
    def _signed(self, bound: bytes) -> bytes:
        return bound[:32]


class Empty(TpmLike):
    def _signed(self, bound: bytes) -> bytes:
        return bound[:0]


@pytest.mark.parametrize(("appraiser", "holds"), [(TpmLike, True), (Truncating, False), (Empty, False)])
def test_32_bytes_of_report_data_are_the_hash_and_nothing_shorter_will_do(
    fleet: Fleet, appraiser: type[TpmLike], holds: bool
) -> None:
    enclave = FakeEnclave(fleet, enrolment=fleet.enrol("agent-1", CHIP))
    verifier = verifier_of(fleet, policy_of())
    verifier._appraisers = by_media_type([appraiser()])
    events = verifier.receive(enclave.answer(challenged(verifier, enclave)), NOW)
    if holds:
        assert passport_in(events, fleet)
    else:
        assert_refused(events, fleet, Reason.BINDING_MISMATCH)
