"""Crashes and kills of a sensor or consumer: nothing is lost, nothing is told twice (P7, P12)."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from protocol.errors import StoreError
from schemas.kinds import Role
from sealedge.client.events import Answered, ResultReceived, TimedOut
from sealedge.client.outbox import Entry, Outbox
from sealedge.client.sensor import SensorParty
from storage.store import MemoryStore, SqliteStore
from tests.support.world import MODEL, Holder, World

SENSOR, CONSUMER = "sealedge-clinic-sensor-sensor-1", "sealedge-clinic-consumer-consumer-1"


@pytest.fixture
def world() -> World:
    return World().start_all()


def holder(world: World, role: Role, name: str) -> Holder:
    return world.holders[role, name]


def power_cut(world: World, role: Role = Role.SENSOR, name: str = "sensor-1") -> None:
    """The party and whatever its store had not committed are gone."""
    world.broker.crash(f"sealedge-clinic-{role}-{name}")
    found = holder(world, role, name)
    found.store = found.store.crash()


def sensor_for_consumer(world: World, **settings: object) -> SensorParty:
    consumer = world.holder(Role.CONSUMER, "consumer-1")
    inbox = world.topics.inbox(Role.CONSUMER, "consumer-1")
    return world.start_sensor(recipients=(consumer.credential,), deliver_to=inbox, **settings)


def test_what_was_not_sent_is_sent_after_a_power_cut(world: World) -> None:
    sensor = world.start_sensor(agent="agent-9")
    sent = [world.infer(sensor, bytes([number])) for number in range(10)]
    power_cut(world)
    again = world.start_sensor()
    assert again.pending == tuple(sent)
    world.settle()
    assert [event.request for event in world.events(Answered)] == sent


def test_what_was_in_flight_is_sent_again_in_a_new_session_under_the_same_ids(world: World) -> None:
    sensor = world.start_sensor()
    world.settle()
    world.broker.cut("sealedge-clinic-agent-agent-1")
    sent = [world.infer(sensor, bytes([number])) for number in range(3)]
    power_cut(world)
    world.broker.mend("sealedge-clinic-agent-agent-1")
    world.start_sensor()
    world.settle()
    assert sorted(event.request for event in world.events(Answered)) == sorted(sent)
    openings = world.said_on(world.topics.session("agent-1"))
    assert len({each.correlation for each in openings}) == len(openings)


def test_an_answer_that_was_not_told_before_the_crash_is_told_after_it(world: World) -> None:
    sensor = world.start_sensor()
    world.infer(sensor, b"first")
    world.settle()
    world.broker.advance(0)
    request = world.infer(sensor, b"abc")
    world.broker.crash(SENSOR, before_acknowledging=True)
    world.settle()
    assert len(world.events(Answered)) == 1
    found = holder(world, Role.SENSOR, "sensor-1")
    found.store = found.store.crash()
    world.start_sensor()
    world.settle()
    assert [event.request for event in world.events(Answered)][1:] == [request]


def test_an_answer_that_was_told_is_not_told_again_after_a_restart(world: World) -> None:
    sensor = world.start_sensor()
    world.infer(sensor, b"abc")
    world.settle()
    world.broker.advance(0)
    power_cut(world)
    world.start_sensor()
    world.broker.advance(120)
    assert len(world.events(Answered)) == 1
    assert world.events(TimedOut) == []


def test_what_expired_while_the_sensor_was_away_is_told_when_it_is_back(world: World) -> None:
    sensor = world.start_sensor(agent="agent-9")
    request = world.infer(sensor, b"abc")
    power_cut(world)
    world.broker.advance(600)
    world.start_sensor()
    world.broker.advance(0)
    assert [event.request for event in world.events(TimedOut)] == [request]


def test_a_recorded_session_is_worth_nothing_after_a_restart(world: World) -> None:
    """The broker hands the old session's answers to the new process, which has pending requests of the same ids."""
    sensor = world.start_sensor()
    world.infer(sensor, b"first")
    world.settle()
    world.broker.advance(0)
    request = world.infer(sensor, b"abc")
    world.broker.crash(SENSOR, before_acknowledging=True)
    world.settle()
    old = world.said_on(sensor._inbox_topic)
    assert len(old) == 3
    found = holder(world, Role.SENSOR, "sensor-1")
    found.store = found.store.crash()
    again = world.start_sensor(agent="agent-9")
    for each in old:
        world.redeliver(again, each)
    assert again.pending == (request,)
    assert [event.output for event in world.events(Answered)] == [b"tsrif"]


def test_a_crashed_consumer_is_handed_the_result_again(world: World) -> None:
    sensor = sensor_for_consumer(world)
    world.start_consumer()
    world.settle()
    world.broker.crash(CONSUMER, before_acknowledging=True)
    world.infer(sensor, b"abc")
    world.settle()
    assert world.events(ResultReceived) == []
    found = holder(world, Role.CONSUMER, "consumer-1")
    found.store = found.store.crash()
    world.start_consumer()
    world.settle()
    assert [event.output for event in world.events(ResultReceived)] == [b"cba"]


def test_a_restarted_consumer_knows_what_it_was_handed(world: World) -> None:
    sensor = sensor_for_consumer(world)
    consumer = world.start_consumer()
    world.infer(sensor, b"abc")
    world.settle()
    world.broker.advance(0)
    [result] = world.said_on(consumer._result_topics[0])
    power_cut(world, Role.CONSUMER, "consumer-1")
    world.redeliver(world.start_consumer(), result)
    assert len(world.events(ResultReceived)) == 1


def test_a_sensor_that_asks_again_after_a_crash_does_not_double_the_consumers_result(world: World) -> None:
    sensor = sensor_for_consumer(world)
    world.start_consumer()
    world.infer(sensor, b"first")
    world.settle()
    world.broker.advance(0)
    world.infer(sensor, b"abc")
    world.broker.crash(SENSOR, before_acknowledging=True)
    world.settle()
    found = holder(world, Role.SENSOR, "sensor-1")
    found.store = found.store.crash()
    sensor_for_consumer(world)
    world.broker.advance(30)
    assert [event.output for event in world.events(Answered)] == [b"tsrif", b"cba"]
    assert [event.output for event in world.events(ResultReceived)] == [b"tsrif", b"cba"]


CHILD = """
import sys
from sealedge.client.outbox import Entry, Outbox
from storage.store import SqliteStore

with SqliteStore(sys.argv[1]) as store:
    outbox = Outbox(store, "scan")
    number = 0
    while True:
        outbox.add(Entry(number.to_bytes(16, "big"), b"reading %d" % number, 100, 200))
        print(number, flush=True)
        number += 1
"""


def test_every_request_that_was_accepted_survives_kill_9(tmp_path: Path) -> None:
    """The child says what was accepted, and is killed without a warning while it accepts more."""
    path = tmp_path / "state.db"
    root = Path(__file__).parents[3]
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
    )
    with child, child.stdout as said:  # type: ignore[union-attr]
        for _ in range(20):
            last = int(said.readline())
        child.send_signal(signal.SIGKILL)
        last = max([last, *(int(line) for line in said.read().split())])
    assert child.returncode == -signal.SIGKILL
    with SqliteStore(path) as store:
        outbox = Outbox(store, "scan")
        found = list(outbox)
        # One more may have been accepted than it had the time to say.
        assert len(found) in {last + 1, last + 2}
        assert outbox.entry((7).to_bytes(16, "big")) == Entry((7).to_bytes(16, "big"), b"reading 7", 100, 200)


def test_a_store_that_fails_accepts_nothing(world: World) -> None:
    sensor = world.start_sensor()
    world.settle()
    holder(world, Role.SENSOR, "sensor-1").store.crash()
    with pytest.raises(StoreError):
        sensor.request(b"abc", world.broker.now)
    assert sensor.pending == ()


def test_outboxes_of_two_models_do_not_mix() -> None:
    store = MemoryStore()
    Outbox(store, MODEL).add(Entry(bytes(16), b"abc", 1, 2))
    assert list(Outbox(store, "other")) == []
    assert list(Outbox(store, MODEL)) == [bytes(16)]
