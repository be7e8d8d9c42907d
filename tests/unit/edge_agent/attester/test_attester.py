"""Attesters: chosen by name, honest about what they are."""

import pytest

from edge_agent.attester import Platform, SimulatedAttester, choose_attester
from protocol.errors import ConfigurationError, ProtocolMisuseError
from protocol.keys import SigningKey
from schemas.attestation import SIMULATED_MEDIA_TYPE
from schemas.kinds import Tier
from verifier.evidence import SimulatedAppraiser

MEASUREMENT = b"\x0a" * 32


@pytest.fixture(scope="module")
def chip_key() -> SigningKey:
    return SigningKey.generate()


def test_its_evidence_says_what_it_was_told_and_no_more(chip_key: SigningKey) -> None:
    attester = SimulatedAttester(chip_key, MEASUREMENT)
    report_data = bytes(range(64))
    claims = SimulatedAppraiser().appraise_untrusted(attester.collect(report_data), 0)
    assert (claims.report_data, claims.measurement, claims.chip) == (report_data, MEASUREMENT, attester.chip)
    assert (claims.tier, claims.debug) == (Tier.SIMULATED, False)


def test_it_is_the_simulated_tier_in_name_tier_and_media_type(chip_key: SigningKey) -> None:
    attester = choose_attester("simulated", Platform(MEASUREMENT, chip_key))
    assert (attester.name, attester.tier, attester.media_type) == ("simulated", Tier.SIMULATED, SIMULATED_MEDIA_TYPE)


@pytest.mark.parametrize("length", [0, 32, 63, 65])
def test_report_data_of_another_length_is_a_mistake(chip_key: SigningKey, length: int) -> None:
    with pytest.raises(ProtocolMisuseError):
        SimulatedAttester(chip_key, MEASUREMENT).collect(bytes(length))


def test_a_measurement_is_a_sha_256(chip_key: SigningKey) -> None:
    with pytest.raises(ConfigurationError):
        SimulatedAttester(chip_key, b"short")


@pytest.mark.parametrize("name", ["sev-snp", "", "Simulated", "auto"])
def test_a_missing_tee_is_an_error_and_never_replaced_by_a_lesser_one(chip_key: SigningKey, name: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        choose_attester(name, Platform(MEASUREMENT, chip_key))
    assert caught.value.finding is not None
    assert caught.value.finding.expected == "simulated"


def test_the_simulated_attester_needs_a_chip_key() -> None:
    with pytest.raises(ConfigurationError):
        choose_attester("simulated", Platform(MEASUREMENT))


def test_its_text_form_shows_the_public_thumbprint_only(chip_key: SigningKey) -> None:
    shown = repr(SimulatedAttester(chip_key, MEASUREMENT))
    assert shown == f"SimulatedAttester(chip={chip_key.public.thumbprint.hex()[:16]})"
