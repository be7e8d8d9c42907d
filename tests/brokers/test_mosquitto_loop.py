"""The whole loop on a mosquitto as `sealedge init --tls` configures it: TLS, client certificates, ACL, and kill -9."""

import struct
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from protocol.errors import SealedgeError
from schemas.kinds import Role
from sealedge import Consumer, Sensor
from sealedge.operations.broker_conformance.report import check_conformance
from sealedge.operations.doctor import has_failed
from sealedge.operations.settings import access_of
from tests.brokers.certified_fleet import CertifiedFleet, Mosquitto, made_with_tls
from tests.support import world as world_module

pytestmark = pytest.mark.slow


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[CertifiedFleet, Mosquitto]]:
    monkeypatch.setattr(world_module, "START", time.time())
    made = made_with_tls(tmp_path, "plant")
    mosquitto = Mosquitto(made.folder.broker, made.description.address.port).start()
    fleet = CertifiedFleet(made, tmp_path / "parties").start_all()
    yield fleet, mosquitto
    fleet.stop()
    mosquitto.kill()


def reading(number: int) -> bytes:
    return struct.pack("<4f", number, number, number, number)


def test_nothing_is_lost_in_silence_and_nothing_is_doubled_when_the_broker_is_killed(
    fleet: tuple[CertifiedFleet, Mosquitto],
) -> None:
    """Twice, each time once it has saved its sessions and the consumer is there.

    What mosquitto acknowledged since its last save for a party that is away is lost with it: a sensor then asks
    again, but a consumer cannot know.
    """
    parties, mosquitto = fleet
    consumer = parties.write(Role.CONSUMER, "consumer-1")
    credential = consumer / "credential.cwt"
    heard: dict[bytes, float] = {}
    with (
        Consumer(consumer) as watching,
        Sensor(parties.write(Role.SENSOR, "sensor-1", recipients=[credential])) as sensor,
    ):

        def hear(count: int) -> None:
            while len(heard) < count:
                result = watching.receive(timeout=60)
                assert result is not None, f"{len(heard)} of {count} came"
                assert result.request not in heard
                heard[result.request] = float(result.values()[0])

        sent = [sensor.send(reading(0))]
        for last in (30, 60):
            sent[-1].result(60)
            hear(len(sent))
            mosquitto.save()
            for number in range(last - 29, last + 1):
                sent.append(sensor.send(reading(number)))
                if number == last - 20:
                    mosquitto.kill()
                if number == last - 10:
                    mosquitto.start()
                time.sleep(0.01)
        answered = [pending.result(60).values()[0] for pending in sent]
        hear(61)
        assert watching.receive(timeout=0.5) is None
    assert answered == list(range(61))
    assert sorted(heard.values()) == list(range(61))
    assert set(Counter(parties.computed).values()) == {1}


def test_what_the_broker_never_gets_back_is_told_to_who_sent_it(fleet: tuple[CertifiedFleet, Mosquitto]) -> None:
    parties, mosquitto = fleet
    with Sensor(parties.write(Role.SENSOR, "sensor-1")) as sensor:
        sensor.infer(reading(1), timeout=20)
        mosquitto.kill()
        with pytest.raises(SealedgeError):
            sensor.infer(reading(2), timeout=1)
        assert parties.computed == [reading(1)]
        mosquitto.start()
        assert sensor.infer(reading(3), timeout=30).values() == (3.0,)


@pytest.mark.slow
def test_all_that_sealedge_uses_holds_with_the_operators_account(fleet: tuple[CertifiedFleet, Mosquitto]) -> None:
    operator = access_of(fleet[0].made.folder.operator / "operator.toml").connection
    checks = list(check_conformance(operator, "plant"))
    assert [check for check in checks if check.level != "ok"] == []
    agent = fleet[0].account(Role.AGENT, "agent-1")
    (refused,) = list(check_conformance(agent, "plant"))
    assert has_failed([refused])
