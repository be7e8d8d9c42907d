"""What becomes of a request whose module runs on while others are heard: revoked, replaced, ended (P3, P7 to P9)."""

from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.enclave.computing import LOOK_AGAIN_SECONDS
from edge_agent.enclave.waiting import MAX_WAITING_OF_SENDER
from edge_agent.enclave.workers import Outcome, Task
from protocol.messages import decode_message_untrusted, digest
from protocol.party import Delivery, Publication
from protocol.receipts import open_receipt_untrusted
from schemas.kinds import Kind, Role
from schemas.session import InferenceResult
from schemas.status import Refusal
from tests.support.raw_sensor import RawSensor
from tests.support.world import World


class Held:
    """Begins what it is offered, two at a time, and lets it end when it is told to."""

    def __init__(self) -> None:
        self.begun: list[Task] = []
        self.lets_end = False

    def __call__(self, tasks: Sequence[Task]) -> list[Outcome | None]:
        assert list(tasks[: len(self.begun)]) == self.begun, "what was begun is offered again, before all others"
        begun = list(tasks[:2])
        self.begun = [] if self.lets_end else begun
        return [task() if self.lets_end else None for task in begun]


@pytest.fixture
def held() -> Held:
    return Held()


@pytest.fixture
def computed() -> list[bytes]:
    return []


@pytest.fixture
def world(computed: list[bytes], held: Held) -> World:
    def compute(data: bytes) -> bytes:
        computed.append(data)
        return data[::-1]

    return World(compute=compute, workers=held).start_all()


@pytest.fixture
def sensor(world: World) -> RawSensor:
    sensor = RawSensor(world)
    sensor.open()
    return sensor


def agent_of(world: World) -> Any:
    return world.parties["sealedge-clinic-agent-agent-1"]


def hand_in(world: World, *deliveries: Delivery) -> list[Publication]:
    events = agent_of(world).receive_many(deliveries, world.broker.now)
    return [each for each in events if isinstance(each, Publication)]


def turn(world: World) -> list[Publication]:
    world.broker.now += LOOK_AGAIN_SECONDS
    return [each for each in agent_of(world).expire(world.broker.now) if isinstance(each, Publication)]


def later(world: World, seconds: float) -> None:
    """In one leap: an enclave that computes is asked every millisecond."""
    world.broker.now += seconds
    world.broker.advance(0.01)


def ended(world: World, held: Held, turns: int = 1) -> list[Publication]:
    held.lets_end = True
    return [each for _ in range(turns) for each in turn(world)]


def results(sensor: RawSensor, said: Sequence[Publication]) -> list[InferenceResult]:
    return [
        decode_message_untrusted(InferenceResult, sensor.opened(each, Kind.REPLY))
        for each in said
        if each.topic == sensor.inbox
    ]


def refusal(sensor: RawSensor, said: Sequence[Publication]) -> str:
    [reply] = [each for each in said if each.topic == sensor.inbox]
    return str(decode_message_untrusted(Refusal, sensor.opened(reply, Kind.REFUSAL)).reason)


def test_it_is_answered_once_when_it_has_ended(
    world: World, sensor: RawSensor, held: Held, computed: list[bytes]
) -> None:
    reading = sensor.reading(b"long")
    assert hand_in(world, sensor.request(reading)) == []
    assert agent_of(world).deadline <= world.broker.now + LOOK_AGAIN_SECONDS
    assert turn(world) == []
    # Asked again while it is computed: nothing is said, and nothing computed again.
    assert hand_in(world, sensor.request(reading)) == []
    [reply] = ended(world, held)
    assert results(sensor, [reply])[0].output == b"gnol"
    assert computed == [b"long"]
    assert hand_in(world, sensor.request(reading)) == [reply]
    assert agent_of(world).deadline > world.broker.now + 10 * LOOK_AGAIN_SECONDS


def test_others_are_heard_meanwhile(world: World, sensor: RawSensor, held: Held) -> None:
    hand_in(world, sensor.request(sensor.reading(b"long")))
    other = RawSensor(world, "other")
    other.open()
    hand_in(world, other.request(other.reading(b"too")))
    said = ended(world, held)
    assert [each.output for each in results(sensor, said)] == [b"gnol"]
    assert [each.output for each in results(other, said)] == [b"oot"]


def test_what_is_computed_counts_as_waiting(world: World, sensor: RawSensor) -> None:
    for _ in range(MAX_WAITING_OF_SENDER):
        assert hand_in(world, sensor.request(sensor.reading())) == []
    assert refusal(sensor, hand_in(world, sensor.request(sensor.reading()))) == "busy"


def test_a_sender_revoked_meanwhile_gets_nothing(
    world: World, sensor: RawSensor, held: Held, computed: list[bytes]
) -> None:
    hand_in(world, sensor.request(sensor.reading(b"long")))
    world.revoke("key", world.holder(Role.SENSOR, "sensor-1").signing.public.thumbprint)
    world.settle()
    said = ended(world, held)
    assert computed == [b"long"]
    [told] = [each for each in said if each.topic == sensor.inbox]
    # In the clear, and signed: the session's keys are gone.
    assert told.payload[0] == 0xD2
    assert len(agent_of(world)._enclave._computing.waiting) == 0


def test_a_model_revoked_meanwhile_gives_no_result(world: World, sensor: RawSensor, held: Held) -> None:
    hand_in(world, sensor.request(sensor.reading(b"long")))
    world.revoke("model", digest(world.compiled[0]))
    world.settle()
    assert refusal(sensor, ended(world, held)) == "model-unknown"


def test_a_request_that_expires_meanwhile_is_refused(world: World, sensor: RawSensor, held: Held) -> None:
    hand_in(world, sensor.request(sensor.reading(b"long", expires=int(world.broker.now) + 1)))
    world.broker.now += 2
    assert refusal(sensor, ended(world, held)) == "expired"


def test_no_receipt_is_signed_when_the_lease_has_ended_meanwhile(world: World, sensor: RawSensor, held: Held) -> None:
    hand_in(world, sensor.request(sensor.reading(b"long", expires=int(world.broker.now) + 9000)))
    world.broker.now += 3600
    [told] = [each for each in ended(world, held) if each.topic == sensor.inbox]
    assert told.payload[0] == 0xD2


def test_a_newer_model_computes_it_again(world: World, sensor: RawSensor, held: Held, computed: list[bytes]) -> None:
    hand_in(world, sensor.request(sensor.reading(b"long", expires=int(world.broker.now) + 100)))
    world.package(b"\0asm" + b"another")
    world.start_publisher()
    later(world, 10)
    [result] = results(sensor, ended(world, held, turns=2))
    assert open_receipt_untrusted(result.receipt, sensor.passport).version == 2
    assert computed == [b"long", b"long"]


def test_a_receipt_names_the_attestation_result_of_its_end(world: World, sensor: RawSensor, held: Held) -> None:
    before = sensor.passport.digest
    hand_in(world, sensor.request(sensor.reading(b"long", expires=int(world.broker.now) + 500)))
    later(world, world.lease_seconds * 0.6)
    assert sensor.passport.digest != before
    [result] = results(sensor, ended(world, held))
    assert open_receipt_untrusted(result.receipt, sensor.passport).attestation_result == sensor.passport.digest


class Trial:
    """Of three that are begun, any may end at any turn."""

    def __init__(self) -> None:
        self.random, self.computed, self.begun = Random(0), list[bytes](), list[Task]()

    def compute(self, data: bytes) -> bytes:
        self.computed.append(data)
        return data[::-1]

    def workers(self, tasks: Sequence[Task]) -> list[Outcome | None]:
        assert list(tasks[: len(self.begun)]) == self.begun
        outcomes = [task() if self.random.random() < 0.5 else None for task in tasks[:3]]
        self.begun = [task for task, outcome in zip(tasks, outcomes, strict=False) if outcome is None]
        return outcomes


@pytest.fixture(scope="module")
def trial() -> Trial:
    return Trial()


@pytest.fixture(scope="module")
def random_world(trial: Trial) -> World:
    return World(compute=trial.compute, workers=trial.workers).start_all()


@given(seed=st.integers(0, 2**32), senders=st.lists(st.integers(0, 2), min_size=1, max_size=20))
def test_whatever_ends_first_each_is_computed_once_and_answered_once(
    random_world: World, trial: Trial, seed: int, senders: list[int]
) -> None:
    trial.random, trial.computed = Random(seed), []
    sensors = [RawSensor(random_world, f"sensor-{name}") for name in range(3)]
    for each in sensors:
        each.open()
    asked = [sensors[number].reading(bytes((place,))) for place, number in enumerate(senders)]
    said = [hand_in(random_world, sensors[number].request(each)) for number, each in zip(senders, asked, strict=True)]
    while agent_of(random_world)._enclave._computing.waiting:
        said.append(turn(random_world))
    inboxes = {each.inbox for each in sensors}
    told = [each for some in said for each in some if each.topic in inboxes]
    assert sorted(trial.computed) == sorted(each.input for each in asked)
    assert sorted(each.correlation or b"" for each in told) == sorted(each.request for each in asked)
