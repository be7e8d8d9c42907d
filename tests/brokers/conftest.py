"""Brokers for tests: children on free loopback ports."""

import os
from collections.abc import Iterator

import pytest

from broker.children import find_mosquitto
from broker.embedded import Embedded


def start(kind: str) -> Embedded:
    if kind == "mosquitto" and find_mosquitto() is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI must have mosquitto: without it the default broker goes untested")
        pytest.skip("no mosquitto program is installed")
    return Embedded(kind).start()  # type: ignore[arg-type]


@pytest.fixture(scope="session", params=["mosquitto", "iotcore"])
def shared_broker(request: pytest.FixtureRequest) -> Iterator[Embedded]:
    """A broker that tests share: use client identifiers and topics of your own."""
    embedded = start(request.param)
    yield embedded
    embedded.stop()


@pytest.fixture
def mosquitto() -> Iterator[Embedded]:
    embedded = start("mosquitto")
    yield embedded
    embedded.stop()


@pytest.fixture(params=["mosquitto", "iotcore"])
def own_broker(request: pytest.FixtureRequest) -> Iterator[Embedded]:
    """A broker for one test, to be killed in it."""
    embedded = start(request.param)
    yield embedded
    embedded.stop()
