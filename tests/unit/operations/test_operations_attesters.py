"""From the tables of `agent.toml` to the attester of an agent: no hardware was there."""

from pathlib import Path

import pytest

from edge_agent.attester.command import CommandAttester
from protocol.errors import ConfigurationError
from schemas.kinds import Tier
from sealedge.operations.parties import enclave as building
from sealedge.operations.settings import AgentSettings

TEXT = """
fleet = "plant"
name = "east"
authority = "authority.pub.pem"
enrolment = "enrolment.cwt"
models = ["model"]
attester = "{attester}"

[broker]
url = "mqtt://127.0.0.1"
"""


def settings_of(folder: Path, attester: str, tables: str = "") -> AgentSettings:
    file = folder / "agent.toml"
    file.write_text(TEXT.format(attester=attester) + tables)
    return AgentSettings.load(file)


def test_a_command_is_read_from_its_table(tmp_path: Path) -> None:
    table = '[command]\nargv = ["/bin/cat", "-"]\nkind = "psa"\npart = "token"\ntimeout_seconds = 2\n'
    attester = building._attester(settings_of(tmp_path, "command", table))
    assert isinstance(attester, CommandAttester)
    assert attester.tier == Tier.PSA
    assert repr(attester) == "CommandAttester(/bin/cat, psa)"


@pytest.mark.parametrize(
    ("attester", "table"),
    [
        ("tsm", '[tsm]\nfolder = "/nowhere/tsm"\n'),
        ("nitro", '[nitro]\ndevice = "/nowhere/nsm"\n'),
        ("gramine", '[gramine]\nfolder = "/nowhere/attestation"\n'),
    ],
)
def test_another_place_is_looked_at_where_the_table_says_so(attester: str, table: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="/nowhere/"):
        building._attester(settings_of(tmp_path, attester, table))


def test_a_service_elsewhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="not a service of this machine"):
        building._attester(settings_of(tmp_path, "coco", '[coco]\nurl = "http://192.0.2.1:8006"\n'))


@pytest.mark.parametrize(
    ("table", "named"),
    [
        ("[tsm]\nprivlevel = 4\n", "tsm.privlevel"),
        ("[tsm]\nfolders = 1\n", "tsm.folders"),
        ("[coco]\ntimeout_seconds = 0\n", "coco.timeout_seconds"),
        ('[command]\nkind = "psa"\n', "command.argv"),
        ('[command]\nargv = "sh -c ls"\nkind = "psa"\n', "command.argv"),
    ],
)
def test_a_table_that_is_wrong_is_one_line_that_names_it(table: str, named: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=named) as caught:
        settings_of(tmp_path, "tsm", table)
    assert "agent.toml" in caught.value.diagnostics


def test_no_attester_is_chosen_for_anybody(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="name no TEE"):
        building._attester(settings_of(tmp_path, ""))


def test_the_simulated_one_needs_a_chip_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no chip_key"):
        building._attester(settings_of(tmp_path, "simulated"))
