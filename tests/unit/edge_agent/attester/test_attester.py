"""Attesters: chosen by name, honest about what they are."""

import socket
from pathlib import Path

import pytest

from edge_agent.attester import Platform, SimulatedAttester, choose_attester
from edge_agent.attester.settings import CocoSettings, CommandSettings, GramineSettings, NitroSettings, TsmSettings
from protocol.cmw import unwrap_untrusted
from protocol.errors import ConfigurationError, ProtocolMisuseError
from protocol.keys import SigningKey
from schemas.attestation import SIMULATED_MEDIA_TYPE
from schemas.evidence import SIMULATED
from schemas.kinds import Tier
from verifier.evidence import SimulatedAppraiser
from verifier.evidence.examination import Examination

MEASUREMENT = b"\x0a" * 32


@pytest.fixture(scope="module")
def chip_key() -> SigningKey:
    return SigningKey.generate()


def test_its_evidence_says_what_it_was_told_and_no_more(chip_key: SigningKey) -> None:
    attester = SimulatedAttester(chip_key, MEASUREMENT)
    report_data = bytes(range(64))
    parts = unwrap_untrusted(SIMULATED, attester.collect(report_data))
    claims = SimulatedAppraiser().appraise_untrusted(parts, 0, Examination())
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
    assert "simulated" in caught.value.finding.expected.split(" or ")


def test_a_command_attester_needs_a_command() -> None:
    with pytest.raises(ConfigurationError, match="no command"):
        choose_attester("command", Platform(MEASUREMENT))


@pytest.mark.parametrize("name", ["tsm", "nitro", "gramine", "coco", "command"])
def test_a_tee_that_is_not_there_is_one_line_that_says_what_is_missing(name: str, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    platform = Platform(
        MEASUREMENT,
        tsm=TsmSettings(folder=nowhere),
        nitro=NitroSettings(device=nowhere),
        gramine=GramineSettings(folder=nowhere),
        coco=CocoSettings(url=f"http://127.0.0.1:{port}"),
        command=CommandSettings(argv=(str(nowhere),), kind="psa", part="token"),
    )
    with pytest.raises(ConfigurationError, match=f"^{name}: ") as caught:
        choose_attester(name, platform)
    assert (str(port) if name == "coco" else "nowhere") in caught.value.diagnostics


def test_the_simulated_attester_needs_a_chip_key() -> None:
    with pytest.raises(ConfigurationError):
        choose_attester("simulated", Platform(MEASUREMENT))


def test_its_text_form_shows_the_public_thumbprint_only(chip_key: SigningKey) -> None:
    shown = repr(SimulatedAttester(chip_key, MEASUREMENT))
    assert shown == f"SimulatedAttester(chip={chip_key.public.thumbprint.hex()[:16]})"
