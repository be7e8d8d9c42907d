"""A live fleet for the tests of one file: a real broker, real time."""

import time
from collections.abc import Iterator

import pytest

from broker.embedded import Embedded
from tests.support import world as world_module
from tests.unit.client.live_fleet import LiveFleet


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveFleet]:
    start = world_module.START
    world_module.START = time.time()
    with Embedded() as broker:
        fleet = LiveFleet(broker, tmp_path_factory.mktemp("fleet"), "live").start_all()
        yield fleet
        fleet.stop()
    world_module.START = start
