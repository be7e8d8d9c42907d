"""Models with state behind a broker that misbehaves: each result is the state's after all before it, and none else's.

The module answers with everything that its session sent it, in order. So a result tells which readings were carried,
how often, in which order, and since when; the receipt's step must agree.
"""

from random import Random

import pytest

from broker.faults import Faults
from schemas.model import CarriedTensor, TensorSpec
from sealedge.client.events import Answered, RequestRefused, TimedOut
from sealedge.client.sensor import SensorParty
from tests.support.world import World

LENGTH = 24
MEMORY = {
    "inputs": (TensorSpec(name="in", dtype="uint8", shape=()), TensorSpec(name="m", dtype="uint8", shape=(LENGTH,))),
    "outputs": tuple(TensorSpec(name=each, dtype="uint8", shape=(LENGTH,)) for each in ("seen", "next_m")),
    "state": (CarriedTensor(before="m", after="next_m"),),
}


def remembering(data: bytes) -> bytes:
    reading, before = data[:1], data[1:]
    after = (before.rstrip(b"\0") + reading).ljust(LENGTH, b"\0")
    return after * 2


def started(seed: int) -> World:
    world = World(seed=seed, compute=remembering)
    world.package(**MEMORY)  # type: ignore[arg-type]  # names of a description, not of a publisher
    world.start_verifier()
    world.start_publisher()
    world.start_agent()
    world.settle()
    return world


def check_histories(world: World, party: str, sent: dict[bytes, int]) -> int:
    """Every result is one reading more than the result before it, or starts anew and says so. Returns how often."""
    answers = [event for client, event in world.broker.noted if client.endswith(party) and isinstance(event, Answered)]
    assert {each.request for each in answers} == set(sent)
    history, restarts = b"", 0
    for step, answer in enumerate(answers):
        if answer.step == 0:
            history, restarts = b"", restarts + 1
        assert answer.step == len(history), f"result {step}"
        history += bytes([sent[answer.request]])
        assert answer.output is not None
        assert answer.output.rstrip(b"\0") == history
    return restarts


def ask_all(world: World, sensor: SensorParty, values: range) -> dict[bytes, int]:
    return {world.infer(sensor, bytes([value])): value for value in values}


@pytest.mark.parametrize("seed", range(6))
def test_duplicates_reordering_and_delays_change_no_history(seed: int) -> None:
    world = started(seed)
    world.broker.faults = Faults(duplicate=0.3, reorder=0.3, delay=0.3)
    first, second = world.start_sensor("sensor-1"), world.start_sensor("sensor-2")
    world.broker.advance(5)
    sent = ask_all(world, first, range(1, 13)), ask_all(world, second, range(101, 113))
    world.broker.advance(120)
    assert world.events(TimedOut) == world.events(RequestRefused) == []
    for party, asked in zip(("sensor-1", "sensor-2"), sent, strict=True):
        assert check_histories(world, party, asked) >= 1


@pytest.mark.parametrize("seed", range(6))
def test_an_enclave_or_sensor_that_crashes_begins_a_history_anew_and_says_so(seed: int) -> None:
    world, random = started(seed), Random(seed)
    sensor = world.start_sensor()
    world.settle()
    sent = ask_all(world, sensor, range(1, 13))
    for _ in range(random.randrange(5, 40)):
        world.broker.step()
    if seed % 2:
        world.restart_agent()
    else:
        world.broker.crash("sealedge-clinic-sensor-sensor-1")
        world.start_sensor()
    world.broker.advance(120)
    assert world.events(TimedOut) == world.events(RequestRefused) == []
    assert check_histories(world, "sensor-1", sent) >= 1


def test_without_faults_there_is_one_history() -> None:
    world = started(0)
    sensor = world.start_sensor()
    world.settle()
    sent = ask_all(world, sensor, range(1, LENGTH + 1))
    world.broker.advance(5)
    assert check_histories(world, "sensor-1", sent) == 1
