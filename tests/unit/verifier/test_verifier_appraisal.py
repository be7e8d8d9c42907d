"""The appraisal itself: a pure function, whose trace shows every check, and whose first failure decides."""

from dataclasses import replace

import pytest

from protocol.errors import AppraisalError, UnsupportedError
from schemas.attestation import AFFIRMING, CONTRAINDICATED
from schemas.kinds import Tier
from schemas.policy import AppraisalPolicy, ReferenceValues
from schemas.reason import Reason
from tests.support.enclaves import MEASUREMENT, NOW, FakeEnclave, Fleet, accepting_policy, challenged
from verifier.appraisal import Verdict, appraise
from verifier.evidence import DEFAULT_APPRAISERS, SimulatedAppraiser, appraiser_untrusted, by_media_type
from verifier.evidence.examination import Examination
from verifier.presentation import Subject, authenticate_untrusted, parse_presentation_untrusted
from verifier.results import attestation_result

HARDWARE = Tier.NITRO
"""A tier whose vendor rates no firmware, so that the policy's other lines stand alone."""


@pytest.fixture
def subject(fleet: Fleet) -> Subject:
    enclave = FakeEnclave(fleet)
    challenge = challenged(fleet.verifier(), enclave)
    presented = parse_presentation_untrusted(enclave.answer(challenge).payload)
    return authenticate_untrusted(presented, challenge, fleet.trust(), DEFAULT_APPRAISERS, NOW, Examination())


def verdict_on(subject: Subject, fleet: Fleet, policy: AppraisalPolicy | None = None) -> Verdict:
    return appraise(subject, policy or accepting_policy(), fleet.trust().revocations, NOW)


def test_the_honest_subject_is_affirmed_by_every_line(subject: Subject, fleet: Fleet) -> None:
    verdict = verdict_on(subject, fleet)
    verdict.affirm()
    assert verdict.status == AFFIRMING
    assert verdict.deciding is None
    assert [check.finding.claim for check in verdict.trace] == [
        "tee.report-data",
        "claims.nonce",
        "claims.fleet",
        "claims.agent",
        "claims.profile",
        "claims.issued",
        "measurement",
        "key",
        "chip",
        "tee.chip",
        "tee.measurement",
        "tee.debug",
        "tee.tier",
    ]


def test_it_is_pure(subject: Subject, fleet: Fleet) -> None:
    assert verdict_on(subject, fleet) == verdict_on(subject, fleet)


def test_all_failures_stand_in_the_trace_and_the_first_decides(subject: Subject, fleet: Fleet) -> None:
    tee = replace(subject.tee, measurement=bytes(32), debug=True, chip=bytes(32))
    verdict = verdict_on(replace(subject, tee=tee), fleet, AppraisalPolicy())
    assert verdict.status == CONTRAINDICATED
    failed = [check.reason for check in verdict.trace if not check.holds]
    assert failed == [
        Reason.CHIP_NOT_ALLOWED,
        Reason.MEASUREMENT_UNKNOWN,
        Reason.DEBUG_ENABLED,
        Reason.TIER_NOT_ACCEPTED,
    ]
    with pytest.raises(AppraisalError) as caught:
        verdict.affirm()
    assert caught.value.reason is Reason.CHIP_NOT_ALLOWED
    vector = verdict.vector
    assert (vector.instance_identity, vector.executables, vector.hardware, vector.runtime_opaque) == (97, 33, 97, 96)


def test_a_binding_that_fails_decides_before_anything_that_it_binds(subject: Subject, fleet: Fleet) -> None:
    tee = replace(subject.tee, report_data=bytes(64), measurement=bytes(32))
    verdict = verdict_on(replace(subject, tee=tee), fleet)
    assert verdict.deciding is verdict.trace[0]
    assert verdict.deciding.reason is Reason.BINDING_MISMATCH
    assert verdict.vector.instance_identity == 99


def test_a_tee_without_a_chip_identity_fits_no_enrolment(subject: Subject, fleet: Fleet) -> None:
    verdict = verdict_on(replace(subject, tee=replace(subject.tee, chip=None)), fleet)
    assert verdict.deciding is not None
    assert (verdict.deciding.reason, verdict.deciding.finding.found) == (Reason.CHIP_NOT_ALLOWED, "none")


def test_only_hardware_is_called_genuine_and_opaque(subject: Subject, fleet: Fleet) -> None:
    simulated = verdict_on(subject, fleet).vector
    assert (simulated.hardware, simulated.runtime_opaque) == (None, None)
    tee = replace(subject.tee, tier=HARDWARE, opaque=True)
    hardware = verdict_on(replace(subject, tee=tee), fleet).vector
    assert (hardware.hardware, hardware.runtime_opaque) == (97, 2)


def test_nothing_is_claimed_of_a_configuration_that_the_policy_does_not_name(subject: Subject, fleet: Fleet) -> None:
    assert verdict_on(subject, fleet).vector.configuration is None
    values = ReferenceValues(measurements=(MEASUREMENT.hex(),), configurations=(subject.claims.configuration.hex(),))
    assert verdict_on(subject, fleet, accepting_policy(reference_values=values)).vector.configuration == 2


def test_there_is_no_result_without_an_affirming_verdict(subject: Subject, fleet: Fleet) -> None:
    verdict = verdict_on(subject, fleet, AppraisalPolicy())
    with pytest.raises(AppraisalError):
        attestation_result(subject, verdict, AppraisalPolicy(), 1, NOW)


def test_long_lists_of_reference_values_are_shown_in_short(subject: Subject, fleet: Fleet) -> None:
    values = ReferenceValues(measurements=tuple(f"{number:064x}" for number in range(500)))
    verdict = verdict_on(subject, fleet, accepting_policy(reference_values=values))
    assert verdict.deciding is not None
    assert verdict.deciding.finding.expected.endswith(" or 496 others")
    assert len(verdict.deciding.finding.expected) < 256


def test_appraisers_are_found_by_media_type() -> None:
    ours = SimulatedAppraiser()
    assert appraiser_untrusted(by_media_type([ours]), ours.form.media_type) is ours
    assert ours.appraise_untrusted.__self__ is ours
    with pytest.raises(UnsupportedError):
        appraiser_untrusted({}, ours.form.media_type)


def test_the_simulated_appraiser_gives_its_own_tier_and_no_other(subject: Subject) -> None:
    assert subject.tee.tier is Tier.SIMULATED
