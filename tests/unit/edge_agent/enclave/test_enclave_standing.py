"""Whoever loses its standing while a session runs: nothing more is computed for it, or sealed to it (P3, P9)."""

import pytest

from protocol.keys import SigningKey
from schemas.kinds import Role
from tests.support.raw_sensor import RawSensor
from tests.support.world import START, Holder, World

DAY = 86_400


@pytest.fixture
def world() -> World:
    return World().start_all()


def short_lived(world: World, role: Role, name: str) -> Holder:
    """A party whose credential ends 100 s after the start."""
    holder, vouched = world.holder(role, name), START + 100 - DAY
    holder.credential = world.authority.vouch(
        role, name, holder.signing.public, now=vouched, randomness=world.randomness, kem=holder.kem.public, days=1
    )
    return holder


def delivering(world: World, consumer: Holder) -> RawSensor:
    sensor = RawSensor(world)
    topic = world.topics.results("scan")
    sensor.open(recipients=(consumer.credential,), deliver_to=topic)
    return sensor


def test_results_are_not_sealed_to_a_consumer_whose_credential_has_ended(world: World) -> None:
    consumer = short_lived(world, Role.CONSUMER, "consumer-1")
    sensor = delivering(world, consumer)
    assert len(sensor.say(sensor.request(sensor.reading()))) == 2
    world.broker.advance(101)
    assert sensor.refusal(sensor.request(sensor.reading())) == "expired"


def test_a_sensor_whose_credential_has_ended_gets_no_more_results(world: World) -> None:
    short_lived(world, Role.SENSOR, "sensor-1")
    sensor = RawSensor(world)
    sensor.open()
    world.broker.advance(101)
    assert sensor.refusal(sensor.request(sensor.reading())) == "expired"


def test_a_revoked_consumer_ends_the_session_that_delivers_to_it(world: World) -> None:
    consumer = world.holder(Role.CONSUMER, "consumer-1")
    sensor = delivering(world, consumer)
    world.revoke("key", consumer.signing.public.thumbprint)
    world.settle()
    assert world.noted("sessions-erased") == [{"count": 1}]
    assert sensor.refusal(sensor.request(sensor.reading())) == "session-unknown"


def test_a_revocation_of_somebody_else_ends_no_session(world: World) -> None:
    """Also of a sensor whose clock is behind, for a consumer that was vouched for a moment ago."""
    consumer, topic = world.holder(Role.CONSUMER, "consumer-1"), world.topics.results("scan")
    sensor = RawSensor(world)
    sensor.open(recipients=(consumer.credential,), deliver_to=topic, issued=int(START) - 1000)
    world.revoke("key", SigningKey.generate(world.randomness).public.thumbprint)
    world.settle()
    assert world.noted("sessions-erased") == []
    assert sensor.result(sensor.request(sensor.reading(b"abc"))).output == b"cba"


def test_revoking_the_chip_erases_the_keys_that_recordings_were_sealed_to(world: World) -> None:
    sensor = RawSensor(world)
    opening = sensor.opening()
    agent = world.parties["sealedge-clinic-agent-agent-1"]
    assert agent._enclave._attesting.kem_keys(world.broker.now)
    world.revoke("chip", world.chips["agent-1"].public.thumbprint)
    world.settle()
    assert agent._enclave._attesting.kem_keys(world.broker.now) == []
    assert [each.payload[0] for each in sensor.say(opening)] == [0xD2], "a refusal in the clear and nothing else"
