"""A consumer: verified results, each once, with labels; what others try to make it believe (P2, P7, P9, P10)."""

import struct
from typing import Any, cast

import pytest

from protocol.messages import decode_message_untrusted
from protocol.party import Delivery
from schemas.kinds import Role, Tier
from schemas.model import TensorSpec
from schemas.session import ReceiptBundle
from sealedge.client.events import Answered, ResultReceived
from sealedge.client.sensor import SensorParty
from tests.support.world import MODEL, World

SECRET = b"systolic 147 of patient 7"
AGENT = "sealedge-clinic-agent-agent-1"


@pytest.fixture
def world() -> World:
    return World().start_all()


def sensor_for(world: World, *consumers: str, topic: str | None = None, **settings: Any) -> SensorParty:
    credentials = tuple(world.holder(Role.CONSUMER, name).credential for name in consumers)
    return world.start_sensor(
        recipients=credentials, deliver_to=topic or world.topics.inbox(Role.CONSUMER, consumers[0]), **settings
    )


def received(world: World) -> list[bytes]:
    return [event.output for event in world.events(ResultReceived)]


def test_a_result_arrives_with_its_proof(world: World) -> None:
    consumer = world.start_consumer()
    sensor = sensor_for(world, "consumer-1", return_result=False)
    request = world.infer(sensor, SECRET)
    world.settle()
    [event] = world.events(ResultReceived)
    assert (event.request, event.output, event.sender) == (request, SECRET[::-1], "sensor-1")
    assert event.sender_key == sensor.key.public.thumbprint
    assert (event.agent, event.model, event.version, event.tier) == ("agent-1", MODEL, 1, Tier.SIMULATED)
    bundle = decode_message_untrusted(ReceiptBundle, event.bundle)
    [answered] = world.events(Answered)
    assert decode_message_untrusted(ReceiptBundle, answered.bundle).receipt == bundle.receipt
    assert bundle.salt is not None
    assert consumer.board.counts["results"] == 1


def test_nothing_of_a_result_is_published_or_printed(world: World) -> None:
    consumer = world.start_consumer()
    world.infer(sensor_for(world, "consumer-1", return_result=False), SECRET)
    world.broker.advance(2)
    told = repr(world.broker.noted) + repr(vars(consumer)) + str(consumer.board.details)
    said = b"".join(each.payload for each in world.published)
    assert len(received(world)) == 1
    for secret in (SECRET, SECRET[::-1]):
        assert secret not in said
        assert secret.decode() not in told


def test_several_consumers_open_one_result_on_the_models_topic(world: World) -> None:
    for name in ("consumer-1", "consumer-2", "consumer-3"):
        world.start_consumer(name)
    sensor = sensor_for(world, "consumer-1", "consumer-2", topic=world.topics.results(MODEL))
    world.infer(sensor, SECRET)
    world.settle()
    assert len(received(world)) == 2
    assert world.refusals() == ["misaddressed"]


def test_labels_come_from_the_manifest_of_that_version() -> None:
    outputs = (TensorSpec(name="risk", dtype="float32", shape=(1,), labels=("benign", "malignant")),)
    world = World(compute=lambda data: struct.pack("<f", float(data)))
    world.package(outputs=outputs)
    world.start_verifier()
    world.start_publisher()
    world.start_agent()
    world.start_consumer()
    sensor = sensor_for(world, "consumer-1")
    for reading in (b"0.25", b"0.75", b"nan"):
        world.infer(sensor, reading)
        world.settle()
    assert [event.labels for event in world.events(ResultReceived)] == [("benign",), ("malignant",), ()]


def test_an_output_that_does_not_fit_its_manifest_has_no_labels(world: World) -> None:
    world.start_consumer()
    world.infer(sensor_for(world, "consumer-1"), b"not eight bytes")
    world.settle()
    assert [event.labels for event in world.events(ResultReceived)] == [()]


def test_a_duplicate_is_counted_and_not_handed_over(world: World) -> None:
    consumer = world.start_consumer()
    world.infer(sensor_for(world, "consumer-1"), SECRET)
    world.settle()
    [result] = world.said_on(consumer._result_topics[0])
    for _ in range(3):
        world.redeliver(consumer, result)
    assert len(received(world)) == 1
    assert consumer.board.counts["duplicates"] == 3


def test_results_that_no_longer_fit_into_memory_are_refused_and_not_taken_for_new(world: World) -> None:
    consumer = world.start_consumer(seen=2)
    sensor = sensor_for(world, "consumer-1")
    for number in range(4):
        world.infer(sensor, bytes([number]))
        world.broker.advance(2)
    results = world.said_on(consumer._result_topics[0])
    for each in results:
        world.redeliver(consumer, each)
    assert len(received(world)) == 4
    assert world.refusals() == ["replayed", "replayed"]
    world.broker.crash("sealedge-clinic-consumer-consumer-1")
    again = world.start_consumer(seen=2)
    for each in results:
        world.redeliver(again, each)
    assert len(received(world)) == 4


def test_the_same_request_id_of_two_sensors_is_two_results(world: World) -> None:
    world.start_consumer()
    for name in ("sensor-1", "sensor-2"):
        credentials = (world.holder(Role.CONSUMER, "consumer-1").credential,)
        inbox = world.topics.inbox(Role.CONSUMER, "consumer-1")
        sensor = world.start_sensor(name, recipients=credentials, deliver_to=inbox)
        world.broker.submit(sensor, lambda party, now: party.request(SECRET, now, request_id=bytes(16))[1])
        world.settle()
    assert [event.sender for event in world.events(ResultReceived)] == ["sensor-1", "sensor-2"]


def test_a_tier_that_is_not_named_is_refused(world: World) -> None:
    world.start_consumer(tiers=(cast(Tier, "sev-snp"),))
    world.infer(sensor_for(world, "consumer-1"), SECRET)
    world.settle()
    assert received(world) == []
    assert world.refusals() == ["tier-not-accepted"]


@pytest.mark.parametrize("kind", ["chip", "measurement", "key", "model"])
def test_a_result_of_what_is_revoked_is_refused(world: World, kind: Any) -> None:
    consumer = world.start_consumer()
    world.infer(sensor_for(world, "consumer-1"), SECRET)
    world.settle()
    identifiers = {
        "chip": world.chips["agent-1"].public.thumbprint,
        "measurement": b"m" * 32,
        "key": world.parties[AGENT]._enclave.key.public.thumbprint,
        "model": consumer.manifest(MODEL).digest,  # type: ignore[union-attr]
    }
    world.revoke(kind, identifiers[kind])
    world.settle()
    [result] = world.said_on(consumer._result_topics[0])
    world.redeliver(consumer, result)
    assert world.refusals()[-1] == "revoked"


def test_without_a_current_revocation_list_results_are_refused(world: World) -> None:
    consumer = world.start_consumer()
    world.broker.now += 91 * 86_400
    consumer.receive(Delivery(consumer._result_topics[0], b"x", correlation=bytes(16)), world.broker.now)
    assert consumer.board.refused["stale"] == 1


def test_an_agent_that_goes_back_to_an_older_version_is_refused(world: World) -> None:
    """One that lags behind the others is not: while a version spreads, both are right."""
    consumer = world.start_consumer()
    consumer._versions.accepted(MODEL, 2)
    sensor = sensor_for(world, "consumer-1")
    world.infer(sensor, b"lags")
    world.settle()
    assert received(world) == [b"sgal"]
    assert [each["highest"] for each in world.noted("older-version")] == [2]
    consumer._versions.accepted(MODEL, 2, "agent-1")
    world.infer(sensor, b"went back")
    world.settle()
    assert received(world) == [b"sgal"]
    assert world.refusals() == ["stale"]
