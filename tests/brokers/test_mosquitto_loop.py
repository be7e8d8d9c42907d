"""The whole loop on a mosquitto as `sealedge init --tls` configures it: TLS, client certificates, ACL, and kill -9."""

import re
import struct
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Timer
from typing import Any

import pytest

from protocol.cose import parse_encrypt0_untrusted
from protocol.errors import SealedgeError
from protocol.party import Delivery
from schemas.kinds import Role
from sealedge import Consumer, Sensor
from sealedge.operations.broker_conformance.report import check_conformance
from sealedge.operations.doctor import has_failed
from sealedge.operations.settings import access_of
from tests.brokers.certified_fleet import CertifiedFleet, Mosquitto, made_with_tls
from tests.support import world as world_module

pytestmark = pytest.mark.slow


@pytest.fixture(params=["autosave_interval 2"])
def fleet(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[CertifiedFleet, Mosquitto]]:
    monkeypatch.setattr(world_module, "START", time.time())
    made = made_with_tls(tmp_path, "plant")
    configured = made.folder.broker / "mosquitto.conf"
    configured.write_text(re.sub("autosave_interval 2", request.param, configured.read_text()))
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
    """Twice, each time once it has saved its sessions and the consumer is there."""
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


NEVER_SAVES = pytest.mark.parametrize("fleet", ["autosave_interval 1800"], indirect=True)
"""So that the kill comes within those two seconds, in which mosquitto has acknowledged and not saved."""


@NEVER_SAVES
def test_a_consumer_that_is_away_gets_what_the_broker_acknowledged_and_forgot(
    fleet: tuple[CertifiedFleet, Mosquitto],
) -> None:
    parties, mosquitto = fleet
    consumer = parties.write(Role.CONSUMER, "consumer-1")
    recipients = [consumer / "credential.cwt"]
    with Consumer(consumer):
        mosquitto.save()
    with Sensor(parties.write(Role.SENSOR, "sensor-1", recipients=recipients)) as sensor:
        for number in range(5):
            assert sensor.infer(reading(number), timeout=60).values() == (float(number),)
        mosquitto.kill()
        mosquitto.start()
        sensor.infer(reading(5), timeout=60)
    with Consumer(consumer) as watching:
        heard = [watching.receive(timeout=20) for _ in range(6)]
        assert watching.receive(timeout=1) is None
        assert watching.missing == 0
    assert sorted(float(each.values()[0]) for each in heard if each is not None) == list(range(6))
    assert set(Counter(parties.computed).values()) == {1}


IN_A_SESSION = [("agent/session", {}), ("sensor/session-accept", {}), ("agent/request", {}), ("sensor/reply", {})]
IN_A_ONE_SHOT = [("agent/session", {"one_shot": True}), ("sensor/reply", {"one_shot": True})]


@NEVER_SAVES
@pytest.mark.parametrize(("step", "form"), IN_A_SESSION + IN_A_ONE_SHOT)
def test_a_request_is_answered_whatever_the_broker_forgot_when_it_was_killed(
    step: str, form: dict[str, bool], fleet: tuple[CertifiedFleet, Mosquitto]
) -> None:
    """Killed when a party has taken this message, before it says anything."""
    parties, mosquitto = fleet
    mosquitto.save()
    killed: list[str] = []

    def spy(party: Any, method: str) -> None:
        receive = getattr(party, method)

        def received(came: Delivery | Sequence[Delivery], now: float) -> Any:
            if not killed and step in map(step_of, [came] if isinstance(came, Delivery) else came):
                killed.append(step)
                mosquitto.kill()
                Timer(0.5, mosquitto.start).start()
            return receive(came, now)

        setattr(party, method, received)

    with Sensor(parties.write(Role.SENSOR, "sensor-1", retry_seconds=1, **form)) as sensor:
        spy(sensor._party, "receive")
        spy(parties.parties["sealedge-plant-agent-agent-1"], "receive_many")
        assert sensor.infer(reading(7), timeout=60).values() == (7.0,)
    assert killed == [step]
    assert parties.computed == [reading(7)]


def step_of(delivery: Delivery) -> str:
    """Who gets it, and what it is."""
    parts = delivery.topic.split("/")
    if parts[-1] != "inbox":
        return f"{parts[-3]}/{parts[-1]}"
    if parts[-3] != "sensor":
        return "another inbox"
    inside = parse_encrypt0_untrusted(delivery.payload)
    return f"{parts[-3]}/{inside.typ.removeprefix('application/vnd.sealedge.').removesuffix('+cose')}"


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
