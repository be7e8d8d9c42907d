"""What a sensor tries that wants an enclave for itself, and what becomes of requests that wait (P7, P9, P12)."""

from collections.abc import Sequence
from typing import Any

import pytest

from edge_agent.enclave.waiting import MAX_WAITING, MAX_WAITING_OF_SENDER
from edge_agent.enclave.workers import Outcome, Task, one_by_one
from protocol.envelope import Address, open_message_untrusted
from protocol.messages import decode_message_untrusted
from protocol.party import Delivery, Publication
from schemas.kinds import Kind, Role
from schemas.session import InferenceResult
from schemas.status import Refusal
from tests.support.raw_sensor import RawSensor
from tests.support.world import World


def slow(tasks: Sequence[Task]) -> list[Outcome]:
    """Two requests a shift: a model that takes long."""
    return one_by_one(tasks[:2])


@pytest.fixture
def computed() -> list[bytes]:
    return []


@pytest.fixture
def world(computed: list[bytes]) -> World:
    def compute(data: bytes) -> bytes:
        computed.append(data)
        return data[::-1]

    return World(compute=compute, workers=slow).start_all()


def opened(world: World, name: str, **terms: Any) -> RawSensor:
    sensor = RawSensor(world, name)
    sensor.open(**terms)
    return sensor


def hand_in(world: World, *deliveries: Delivery) -> list[Publication]:
    """As the host does it: all that waits at once."""
    agent = world.parties["sealedge-clinic-agent-agent-1"]
    return [each for each in agent.receive_many(deliveries, world.broker.now) if isinstance(each, Publication)]


def turns(world: World, most: int = 1000) -> list[Publication]:
    """Let the enclave go on until nothing is due at once."""
    agent = world.parties["sealedge-clinic-agent-agent-1"]
    said: list[Publication] = []
    for _ in range(most):
        if agent.deadline is None or agent.deadline > world.broker.now:
            break
        said += [each for each in agent.expire(world.broker.now) if isinstance(each, Publication)]
    return said


def reasons(sensor: RawSensor, said: Sequence[Publication]) -> list[tuple[str, int | None]]:
    own = [each for each in said if each.topic == sensor.inbox]
    found = []
    for each in own:
        try:
            plaintext = sensor.opened(each, Kind.REFUSAL)
        except AssertionError:
            continue
        refusal = decode_message_untrusted(Refusal, plaintext)
        found.append((str(refusal.reason), refusal.retry_after))
    return found


def test_a_flood_by_one_sensor_does_not_starve_another(world: World, computed: list[bytes]) -> None:
    greedy, modest = opened(world, "greedy"), opened(world, "modest")
    for _ in range(10):
        hand_in(world, *(greedy.request(greedy.reading(b"greedy")) for _ in range(64)))
    before = len(computed)
    said = hand_in(world, modest.request(modest.reading(b"modest")))
    assert computed.index(b"modest") <= before + 1
    assert sum(each.topic == modest.inbox for each in said) == 1


def test_senders_take_turns_whatever_came_first(world: World, computed: list[bytes]) -> None:
    sensors = [opened(world, f"sensor-{number}") for number in range(3)]
    waiting = [each.request(each.reading(each.name.encode())) for each in sensors for _ in range(4)]
    hand_in(world, *waiting)
    turns(world)
    assert len(computed) == 12
    for start in range(0, 12, 3):
        assert len(set(computed[start : start + 3])) == 3


def test_what_stands_on_the_outside_of_a_message_buys_no_turn(world: World, computed: list[bytes]) -> None:
    greedy, modest = opened(world, "greedy"), opened(world, "modest")
    disguised = []
    for number in range(20):
        sealed = greedy.request(greedy.reading(b"greedy"))
        disguise = world.topics.inbox(Role.SENSOR, f"other-{number}")
        disguised.append(Delivery(sealed.topic, sealed.payload, disguise, sealed.correlation))
    hand_in(world, *disguised, modest.request(modest.reading(b"modest")))
    assert b"modest" in computed[:2]


def test_too_much_is_answered_busy_at_once_and_says_when_to_come_again(world: World, computed: list[bytes]) -> None:
    greedy = opened(world, "greedy")
    said = hand_in(world, *(greedy.request(greedy.reading()) for _ in range(64)))
    said += hand_in(world, *(greedy.request(greedy.reading()) for _ in range(64)))
    told = reasons(greedy, said)
    assert told == [("busy", 1)] * len(told)
    assert len(told) >= 128 - MAX_WAITING_OF_SENDER - 4
    turns(world)
    assert len(computed) == 128 - len(told)


def test_a_request_that_was_told_busy_is_taken_later(world: World, computed: list[bytes]) -> None:
    greedy = opened(world, "greedy")
    readings = [greedy.reading(str(number).encode()) for number in range(128)]
    said = hand_in(world, *map(greedy.request, readings[:64]))
    said += hand_in(world, *map(greedy.request, readings[64:]))
    turns(world)
    refused = [each for each in readings if each.input not in computed]
    assert len(refused) == len(reasons(greedy, said)) > 0
    hand_in(world, *map(greedy.request, refused))
    turns(world)
    assert sorted(computed) == sorted(each.input for each in readings)


def test_all_senders_together_cannot_make_it_hold_more_than_its_bound(world: World) -> None:
    agent = world.parties["sealedge-clinic-agent-agent-1"]
    sensors = [opened(world, f"sensor-{number}") for number in range(6)]
    for sensor in sensors:
        hand_in(world, *(sensor.request(sensor.reading()) for _ in range(64)))
        assert len(agent._enclave._computing.waiting) <= MAX_WAITING
    assert len(agent._enclave._computing.waiting) >= MAX_WAITING - 4


def test_a_repetition_of_what_waits_is_computed_once(world: World, computed: list[bytes]) -> None:
    sensor = opened(world, "sensor-1")
    ahead = [sensor.reading(b"ahead") for _ in range(4)]
    reading = sensor.reading(b"once")
    again = sensor.request(reading)
    said = hand_in(world, *map(sensor.request, ahead), again, again, sensor.request(reading))
    said += turns(world)
    assert computed.count(b"once") == 1
    assert [each.correlation for each in said].count(reading.request) == 1
    assert hand_in(world, sensor.request(reading))[0] in said


def test_a_one_shot_that_waits_is_computed_once(world: World, computed: list[bytes]) -> None:
    ahead, sensor = opened(world, "ahead"), RawSensor(world, "sensor-1")
    opening = sensor.opening(Kind.ONE_SHOT, request=sensor.reading(b"once"))
    said = hand_in(world, *(ahead.request(ahead.reading()) for _ in range(4)), opening, opening)
    said += turns(world)
    assert computed.count(b"once") == 1
    [reply] = [each for each in said if each.topic == sensor.inbox]
    assert decode_message_untrusted(InferenceResult, sensor.opened(reply, Kind.REPLY)).output == b"ecno"


def test_a_busy_enclave_takes_the_same_one_shot_later(world: World) -> None:
    sensors = [opened(world, f"sensor-{number}") for number in range(6)]
    for each in sensors[:5]:
        hand_in(world, *(each.request(each.reading()) for _ in range(64)))
    late = RawSensor(world, "late")
    opening = late.opening(Kind.ONE_SHOT, request=late.reading(b"late"))
    said = hand_in(world, *(sensors[5].request(sensors[5].reading()) for _ in range(8)), opening)
    [told] = [each for each in said if each.topic == late.inbox]
    address = Address(late.inbox, "", told.correlation or b"")
    refusal = open_message_untrusted(Refusal, told.payload, Kind.REFUSAL, late.passport.signing_key, address)
    assert refusal.reason == "busy"
    turns(world)
    assert late.result(opening).output == b"etal"


def test_what_expires_while_it_waits_is_refused_and_not_computed(world: World, computed: list[bytes]) -> None:
    sensor = opened(world, "sensor-1")
    ahead = [sensor.request(sensor.reading(b"ahead")) for _ in range(4)]
    short = sensor.reading(b"short", expires=int(world.broker.now) + 1)
    hand_in(world, *ahead, sensor.request(short))
    world.broker.now += 2
    said = turns(world)
    assert b"short" not in computed
    assert ("expired", None) in reasons(sensor, said)


def test_a_sender_revoked_while_its_request_waits_is_not_computed_for(world: World, computed: list[bytes]) -> None:
    ahead, sensor = opened(world, "ahead"), opened(world, "sensor-1")
    waiting = [ahead.request(ahead.reading(b"ahead")) for _ in range(4)]
    waiting += [sensor.request(sensor.reading(b"first")), sensor.request(sensor.reading(b"second"))]
    hand_in(world, *waiting)
    assert computed.count(b"second") == 0
    world.revoke("key", world.holder(Role.SENSOR, "sensor-1").signing.public.thumbprint)
    world.settle()
    turns(world)
    assert b"second" not in computed
    agent = world.parties["sealedge-clinic-agent-agent-1"]
    assert len(agent._enclave._computing.waiting) == 0


def test_nothing_that_waits_outlives_the_lease(world: World, computed: list[bytes]) -> None:
    sensor = opened(world, "sensor-1")
    hand_in(world, *(sensor.request(sensor.reading(expires=int(world.broker.now) + 9000)) for _ in range(20)))
    before = len(computed)
    agent = world.parties["sealedge-clinic-agent-agent-1"]
    said = [each for each in agent.expire(world.broker.now + 3600) if isinstance(each, Publication)]
    assert len(computed) == before
    assert len(agent._enclave._computing.waiting) == 0
    # Told in the clear, signed: the keys of the session are gone.
    assert sum(each.topic == sensor.inbox for each in said) == 20 - before
