"""The sealed loop with all parties, real cryptography, a broker that misbehaves from a seed, and crashes.

Whatever happens, each reading ends once: with its right result at sensor and consumer, or with a refusal that says
why (P7, P12), and the broker learns nothing (P1).
"""

import pytest

from broker.faults import Faults
from schemas.kinds import Role
from schemas.topics import FleetTopics
from sealedge.client.events import Answered, RequestRefused, ResultReceived, TimedOut
from sealedge.client.sensor import SensorParty
from tests.support.world import MODEL, World

READINGS = [f"patient {number}: systolic {100 + number}".encode() for number in range(20)]


def for_consumer(world: World, **settings: object) -> SensorParty:
    """A sensor whose results go to a consumer's inbox, and which sees receipts only."""
    consumer = world.holder(Role.CONSUMER, "consumer-1")
    inbox = FleetTopics(world.fleet).inbox(Role.CONSUMER, "consumer-1")
    return world.start_sensor(recipients=(consumer.credential,), deliver_to=inbox, return_result=False, **settings)


def send_all(world: World, sensor: SensorParty) -> dict[bytes, bytes]:
    return {world.infer(sensor, reading): reading for reading in READINGS}


def check_each_ended_once(world: World, sent: dict[bytes, bytes]) -> None:
    answered = [event.request for event in world.events(Answered)]
    assert sorted(answered) == sorted(sent)
    received = {event.request: event.output for event in world.events(ResultReceived)}
    assert len(world.events(ResultReceived)) == len(received), "a result was handed over twice"
    assert received == {request: reading[::-1] for request, reading in sent.items()}
    assert world.events(RequestRefused) == []
    assert world.events(TimedOut) == []


def check_nothing_leaked(world: World) -> None:
    seen = b"".join(each.topic.encode() + each.payload for each in world.published)
    assert b"simulated" in seen, "the search itself must be able to find something"
    for reading in READINGS:
        assert reading not in seen
        assert reading[::-1] not in seen
    for holder in world.holders.values():
        assert holder.kem.seed_bytes() not in seen


@pytest.fixture
def world() -> World:
    world = World().start_all()
    world.start_consumer()
    return world


def test_every_reading_ends_with_its_result(world: World) -> None:
    sent = send_all(world, for_consumer(world))
    world.broker.advance(5)
    check_each_ended_once(world, sent)
    check_nothing_leaked(world)


@pytest.mark.parametrize("seed", range(8))
def test_duplicates_reordering_and_delays_change_nothing(seed: int) -> None:
    world = World(seed=seed).start_all()
    world.start_consumer()
    world.broker.faults = Faults(duplicate=0.3, reorder=0.3, delay=0.3)
    sent = send_all(world, for_consumer(world))
    world.broker.advance(120)
    check_each_ended_once(world, sent)
    check_nothing_leaked(world)


@pytest.mark.parametrize("steps", range(0, 40, 5))
def test_an_enclave_that_crashes_anywhere_loses_and_doubles_nothing(world: World, steps: int) -> None:
    sensor = for_consumer(world, in_flight=4)
    sent = send_all(world, sensor)
    for _ in range(steps):
        world.broker.step()
    world.restart_agent()
    world.broker.advance(120)
    check_each_ended_once(world, sent)


@pytest.mark.parametrize("steps", [0, 3, 9, 17, 30])
def test_a_sensor_that_crashes_anywhere_goes_on_from_its_outbox(world: World, steps: int) -> None:
    sent = send_all(world, for_consumer(world, in_flight=4))
    for _ in range(steps):
        world.broker.step()
    world.broker.crash("sealedge-clinic-sensor-sensor-1")
    for_consumer(world)
    world.broker.advance(120)
    received = [event.request for event in world.events(ResultReceived)]
    assert sorted(received) == sorted(sent)
    assert {event.request for event in world.events(Answered)} == set(sent)


def test_verifier_and_publisher_may_restart(world: World) -> None:
    sensor = for_consumer(world)
    for _ in range(4):
        world.start_verifier()
        world.start_publisher()
        world.broker.advance(200)
    sent = send_all(world, sensor)
    world.broker.advance(5)
    check_each_ended_once(world, sent)


def test_a_new_version_replaces_the_old_one_and_moves_what_changed(world: World) -> None:
    sensor = for_consumer(world)
    chunks = {each.topic for each in world.published if "/chunk/" in each.topic}
    world.package(b"\0asm" + b"module" * 20_000 + b"changed" * 10_000)
    world.start_publisher()
    world.broker.advance(5)
    sent = send_all(world, sensor)
    world.broker.advance(5)
    check_each_ended_once(world, sent)
    assert {event.version for event in world.events(ResultReceived)} == {2}
    wanted = [detail["missing"] for detail in world.noted("chunks-needed")]
    assert wanted[0] == len(chunks)
    assert wanted[1] < len(chunks)


def test_a_revoked_model_ends_in_refusals_not_in_silence(world: World) -> None:
    sensor = for_consumer(world, request_seconds=30.0)
    running = world.noted("model-loaded")
    assert running[-1]["model"] == MODEL
    world.revoke("model", world.package().manifest.digest)
    world.broker.advance(2)
    sent = send_all(world, sensor)
    world.broker.advance(60)
    ended = [event.request for event in (*world.events(RequestRefused), *world.events(TimedOut))]
    assert sorted(ended) == sorted(sent)
    assert world.events(ResultReceived) == []


def test_two_agents_share_the_work_and_survive_each_other(world: World) -> None:
    world.start_agent("agent-2")
    world.broker.advance(10)
    sensor = for_consumer(world)
    sent = send_all(world, sensor)
    world.settle()
    world.broker.crash("sealedge-clinic-agent-agent-1")
    more = send_all(world, sensor)
    world.broker.advance(60)
    check_each_ended_once(world, {**sent, **more})
