"""A guest with state in a fleet: what it learns of one sensor stays with that sensor's session."""

import math
import struct
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from edge_agent.enclave.running.runtime import Runtime
from guests.build import build
from guests.smoothing import INPUTS, OUTPUTS, STATE
from tests.support.raw_sensor import RawSensor
from tests.support.world import World


@pytest.fixture(scope="module")
def runtime() -> Iterator[Runtime]:
    runtime = Runtime()
    yield runtime
    runtime.close()


@pytest.fixture(scope="module")
def wasm(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return build("smoothing", tmp_path_factory.mktemp("smoothing")).read_bytes()


@pytest.fixture
def world(runtime: Runtime, wasm: bytes) -> World:
    world = World(compute=runtime.load(wasm).run)
    world.package(wasm, inputs=INPUTS, outputs=OUTPUTS, state=STATE)
    world.start_verifier()
    world.start_publisher()
    world.start_agent()
    world.settle()
    return world


def opened(world: World, name: str) -> RawSensor:
    sensor = RawSensor(world, name)
    sensor.open()
    return sensor


def deviations(sensor: RawSensor, value: float) -> float:
    output = sensor.result(sensor.request(sensor.reading(struct.pack("<f", value)))).output
    assert output is not None
    [found] = struct.unpack("<f", output)
    return float(found)


def expected(values: Sequence[float]) -> list[float]:
    """The same in numpy."""
    mean, variance, found = np.float32(0), np.float32(0), []
    for seen, value in enumerate(np.array(values, np.float32)):
        away, share = value - mean, np.float32(1) / np.float32(min(seen + 1, 8))
        found.append(float(away / np.sqrt(variance)) if variance > 0 else 0.0)
        mean, variance = mean + share * away, (1 - share) * (variance + share * away * away)
    return found


VALUES = [20.0, 20.5, 19.5, 20.25, 20.0, 19.75, 20.0, 20.5, 20.0, 19.5, 35.0, 20.0]


def test_each_sensor_has_a_mean_of_its_own(world: World) -> None:
    warm, cold = opened(world, "sensor-1"), opened(world, "sensor-2")
    found = [(deviations(warm, value), deviations(cold, value - 40)) for value in VALUES]
    assert [each for each, _ in found] == pytest.approx(expected(VALUES), rel=1e-4, abs=1e-4)
    assert [each for _, each in found] == pytest.approx(expected([each - 40 for each in VALUES]), rel=1e-4, abs=1e-4)
    assert max(VALUES) == VALUES[10]
    assert found[10][0] > 10 > max(found[9][0], found[8][0])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_refused_and_not_learned(world: World, value: float) -> None:
    sensor = opened(world, "sensor-1")
    for each in VALUES[:4]:
        deviations(sensor, each)
    assert sensor.refusal(sensor.request(sensor.reading(struct.pack("<f", value)))) == "input-invalid"
    assert deviations(sensor, VALUES[4]) == pytest.approx(expected(VALUES[:5])[4], rel=1e-4)
