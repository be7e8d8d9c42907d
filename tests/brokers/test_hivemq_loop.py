"""The whole loop on HiveMQ Community Edition: TLS, client certificates, and the fleet's own ACL."""

import struct
import time
from collections.abc import Iterator

import pytest

from protocol.errors import TransportError
from schemas.kinds import Role
from schemas.topics import FleetTopics
from sealedge import Consumer, Sensor
from sealedge.operations.broker_conformance.client import Client
from sealedge.operations.broker_conformance.opening import Asked, Will
from sealedge.operations.broker_conformance.report import check_conformance
from sealedge.operations.settings import access_of
from tests.brokers.certified_fleet import CertifiedFleet, made_with_tls
from tests.brokers.hivemq import HiveMq, jars
from tests.support import world as world_module

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[CertifiedFleet, HiveMq]]:
    jars()
    folder = tmp_path_factory.mktemp("hivemq")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world_module, "START", time.time())
        made = made_with_tls(folder, "plant")
        broker = HiveMq(folder / "home", made.folder.broker, made.description.address.port).start()
        try:
            fleet = CertifiedFleet(made, folder / "parties").start_all()
            yield fleet, broker
            fleet.stop()
        finally:
            broker.kill()


def reading(number: int) -> bytes:
    return struct.pack("<4f", number, number, number, number)


def test_every_reading_is_answered_and_heard_once_also_over_a_kill(fleet: tuple[CertifiedFleet, HiveMq]) -> None:
    parties, broker = fleet
    consumer = parties.write(Role.CONSUMER, "consumer-1")
    with (
        Consumer(consumer) as watching,
        Sensor(parties.write(Role.SENSOR, "sensor-1", recipients=[consumer / "credential.cwt"])) as sensor,
    ):
        sent = []
        for number in range(20):
            sent.append(sensor.send(reading(number)))
            if number == 10:
                sent[0].result(60)
                broker.kill()
                broker.start()
        answered = [pending.result(60).values()[0] for pending in sent]
        heard = [watching.receive(timeout=60) for _ in sent]
        assert watching.receive(timeout=1) is None
    assert answered == list(range(20))
    assert sorted(float(each.values()[0]) for each in heard if each is not None) == list(range(20))
    # A restart of HiveMQ takes longer than a sensor waits before it opens another session, which computes for itself.
    assert set(parties.computed) == set(map(reading, range(20)))


def test_all_that_sealedge_uses_holds_with_the_operators_account(fleet: tuple[CertifiedFleet, HiveMq]) -> None:
    operator = access_of(fleet[0].made.folder.operator / "operator.toml").connection
    checks = list(check_conformance(operator, "plant"))
    assert [check for check in checks if check.level != "ok"] == []


def test_no_party_subscribes_to_what_the_acl_does_not_name(fleet: tuple[CertifiedFleet, HiveMq]) -> None:
    topics = FleetTopics("plant")
    filters = (topics.request("agent-1"), topics.inbox(Role.CONSUMER, "+"), topics.everything, "#")
    for each in (*filters, *(f"$share/x/{each}" for each in filters)):
        sensor = Client(fleet[0].account(Role.SENSOR, "sensor-1"), "ear", Asked())
        assert sensor.subscribe(FleetTopics("plant").inbox(Role.SENSOR, "sensor-1"))
        assert not sensor.subscribe(each)
        sensor.vanish()


def test_no_party_publishes_or_wills_what_the_acl_does_not_name(fleet: tuple[CertifiedFleet, HiveMq]) -> None:
    topics, sensor = FleetTopics("plant"), fleet[0].account(Role.SENSOR, "sensor-1")
    watching = Client(access_of(fleet[0].made.folder.operator / "operator.toml").connection, "ear", Asked())
    forged = topics.status(Role.SENSOR, "sensor-2")
    assert watching.subscribe(forged)
    mouth = Client(sensor, "mouth", Asked())
    assert not mouth.publish(forged, b"forged", retain=True)
    mouth.vanish()
    with pytest.raises(TransportError):
        Client(sensor, "testator", Asked(will=Will(forged, b"forged")))
    assert watching.hear(0.5) is None
    watching.vanish()
