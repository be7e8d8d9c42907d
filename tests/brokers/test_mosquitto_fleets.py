"""Two fleets on one mosquitto: neither reads, writes or subscribes into the other, and the doctor would notice."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from broker.embedded import Embedded
from broker.identifier import client_identifier
from broker.settings import ConnectionSettings
from broker.threaded import ThreadedLink
from protocol.errors import ConfigurationError
from schemas.kinds import Role
from schemas.topics import FleetTopics
from sealedge.cli.application import program
from sealedge.operations.broker_conformance.client import Client
from sealedge.operations.broker_conformance.fleets import check_fleets
from sealedge.operations.broker_conformance.opening import Asked
from sealedge.operations.broker_shared import share
from sealedge.operations.fleet import Fleet, FleetFolder
from sealedge.operations.init import FleetPlan, create_fleet
from sealedge.operations.settings import access_of
from tests.brokers.certified_fleet import Mosquitto, made_with_tls
from tests.support.link_parties import Recorder, eventually

ATTEMPTS = ("read", "write", "will", "queue", "session")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def fleets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Fleet, Fleet]]:
    """Both on one mosquitto, configured by `sealedge share`."""
    folder = tmp_path_factory.mktemp("shared")
    plant, farm = made_with_tls(folder, "plant"), made_with_tls(folder, "farm")
    target = str(folder / "shared")
    written = CliRunner().invoke(program, ["share", target, str(plant.folder.directory), str(farm.folder.directory)])
    assert written.exit_code == 0, written.output
    ports = [each.description.address.port for each in (plant, farm)]
    mosquitto = Mosquitto(folder / "shared", *ports).start()
    yield plant, farm
    mosquitto.kill()


def operator(fleet: Fleet) -> tuple[ConnectionSettings, str]:
    return access_of(fleet.folder.operator / "operator.toml").connection, fleet.name


def test_neither_reaches_the_other(fleets: tuple[Fleet, Fleet]) -> None:
    plant, farm = fleets
    checks = list(check_fleets(operator(plant), operator(farm), os.urandom))
    ways = ("farm to plant", "plant to farm")
    assert [check.name for check in checks] == [f"fleets-{what} {way}" for way in ways for what in ATTEMPTS]
    assert {check.level for check in checks} == {"ok"}
    # mosquitto binds client identifiers to no account: those of parties are secrets.
    assert {check.found for check in checks if check.name.startswith("fleets-session")} == {
        "ends a session whose client identifier it is told; those of parties hold a secret"
    }


def test_nobody_ends_a_party_of_another_fleet_by_its_client_identifier(fleets: tuple[Fleet, Fleet]) -> None:
    """By its name, which everybody can guess. By the identifier itself mosquitto would let them."""
    plant, farm = fleets
    own = access_of(plant.folder.settings(Role.SENSOR, "sensor-1")).connection
    strange = access_of(farm.folder.settings(Role.SENSOR, "sensor-1")).connection
    party = Recorder("sealedge-plant-sensor-sensor-1")
    with ThreadedLink(party, own, listener=party.note):
        for guessed in (party.client_id, client_identifier(party.client_id, strange)):
            Client(strange, guessed, Asked()).leave()
        assert party.notes("disconnected") == []
        taken = Client(strange, client_identifier(party.client_id, own), Asked())
        eventually(lambda: party.notes("disconnected"))
        taken.vanish()


@pytest.mark.parametrize("role", [Role.VERIFIER, Role.PUBLISHER, Role.AGENT, Role.SENSOR, Role.CONSUMER])
def test_no_party_hears_or_moves_another_fleet(role: Role, fleets: tuple[Fleet, Fleet]) -> None:
    plant, farm = fleets
    name = str(role) if role in (Role.VERIFIER, Role.PUBLISHER) else f"{role}-1"
    stranger = Client(access_of(farm.folder.settings(role, name)).connection, f"stranger-{role}", Asked())
    owner = Client(operator(plant)[0], f"owner-{role}", Asked())
    topics = FleetTopics("plant")
    assert owner.subscribe(topics.everything)
    for wanted in ("#", topics.everything, f"$share/x/{topics.everything}", "plant/#"):
        stranger.subscribe(wanted)
    owner.publish(f"{topics.everything[:-1]}doctor/x", b"own")
    for topic in (topics.revocations, topics.inbox("agent", "agent-1"), topics.status(role, name), topics.key("model")):
        stranger.publish(topic, b"forged")
        stranger.publish(f"plant/{topic}", b"forged")
    assert [each.payload for each in owner.hear_all(2, 0.5)] == [b"own"]
    assert stranger.hear(0.3) is None
    stranger.leave()
    owner.leave()


def test_a_certificate_opens_no_other_fleets_port(fleets: tuple[Fleet, Fleet]) -> None:
    plant, farm = fleets
    here, there = operator(plant)[0], operator(farm)[0]
    ours = replace(there, url=here.url, ca_file=here.ca_file)
    (check,) = list(check_fleets(operator(plant), (ours, "farm"), os.urandom))
    assert check.level == "fail"
    assert "farm" in check.found


def test_a_broker_that_keeps_nobody_apart_fails_in_every_way(mosquitto: Embedded) -> None:
    open_to_all = ConnectionSettings(url=mosquitto.url)
    checks = list(check_fleets((open_to_all, "plant"), (open_to_all, "farm"), os.urandom))
    assert [check.level for check in checks] == ["fail", "fail", "fail", "fail", "warn"] * 2
    assert all(check.mend for check in checks)


def test_two_accounts_of_one_fleet_say_nothing_about_fleets() -> None:
    nowhere = ConnectionSettings(url="mqtt://127.0.0.1:9")
    (check,) = list(check_fleets((nowhere, "plant"), (nowhere, "plant"), os.urandom))
    assert check.level == "fail"


def test_a_shared_broker_refuses_what_it_could_not_keep_apart(tmp_path: Path) -> None:
    def made(name: str, fleet: str, url: str, *, tls: bool = True) -> Path:
        plan = FleetPlan(fleet, broker=url, tls=tls)
        return create_fleet(tmp_path / name, plan, now=1_800_000_000.0, randomness=os.urandom).folder.directory

    one = made("one", "one", "mqtts://broker.example:8883")
    for other, why in (
        (made("two", "two", "mqtts://broker.example:8883"), "port 8883"),
        (made("three", "one", "mqtts://broker.example:8884"), "name one"),
        (made("four", "four", "mqtt://broker.example", tls=False), "needs certificates"),
        (tmp_path, "is not a fleet"),
    ):
        with pytest.raises(ConfigurationError, match=why):
            share(tmp_path / "shared", [one, other])
        assert not (tmp_path / "shared").exists()


def test_the_account_of_a_shared_broker_is_the_whole_subject(fleets: tuple[Fleet, Fleet]) -> None:
    folder = FleetFolder(fleets[0].folder.directory.parent / "shared").directory
    lines = (folder / "acl").read_text().splitlines()
    users = [line for line in lines if line.startswith("user ")]
    assert "user CN=agent-agent-1,O=plant" in users
    assert len(users) == len(set(users)) == 12
    topics = [line.split(" ", 2)[2] for line in lines if line.startswith("topic ")]
    assert all(each.startswith(("plant/sealedge/v1/plant/", "farm/sealedge/v1/farm/")) for each in topics)
    assert (folder / "mosquitto.conf").read_text().count("mount_point ") == 2
