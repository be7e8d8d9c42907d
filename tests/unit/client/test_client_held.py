"""A result that comes before the manifest it is read by waits for it: lost never, doubled never, for ever never."""

import struct

import pytest

from protocol.errors import StoreError
from protocol.party import Delivery, Publication
from schemas.kinds import Role
from schemas.model import TensorSpec
from sealedge.client import held as held_module
from sealedge.client.consumer import ConsumerParty
from sealedge.client.events import ResultReceived
from sealedge.client.held import BUCKET, WAIT_SECONDS, HeldResults
from storage.store import MemoryStore
from tests.support.world import MODEL, World

CONSUMER, SENSOR = "sealedge-clinic-consumer-consumer-1", "sealedge-clinic-sensor-sensor-1"
OUTPUTS = (TensorSpec(name="risk", dtype="float32", shape=(1,), labels=("benign", "malignant")),)


@pytest.fixture
def world() -> World:
    """Readings are numbers; results have labels. The consumer's session is at the broker, the consumer is away."""
    world = World(compute=lambda data: struct.pack("<f", float(data)))
    world.package(outputs=OUTPUTS)
    world.start_verifier()
    world.start_publisher()
    world.start_agent()
    world.start_consumer()
    world.settle()
    world.broker.crash(CONSUMER)
    inbox = world.topics.inbox(Role.CONSUMER, "consumer-1")
    sensor = world.start_sensor(recipients=(world.holder(Role.CONSUMER, "consumer-1").credential,), deliver_to=inbox)
    for reading in (b"0.25", b"0.75"):
        world.infer(sensor, reading)
        world.settle()
    return world


def manifest(world: World) -> Publication:
    return world.said_on(world.topics.manifest(MODEL))[0]


def labels(world: World) -> list[tuple[str, ...]]:
    return [event.labels for event in world.events(ResultReceived)]


def held(world: World) -> int:
    return len(list(world.holder(Role.CONSUMER, "consumer-1").store.items(BUCKET)))


def crash(world: World) -> None:
    world.broker.crash(CONSUMER)
    holder = world.holder(Role.CONSUMER, "consumer-1")
    holder.store = holder.store.crash()


def without_manifest(world: World) -> ConsumerParty:
    """The consumer is back, and the broker delivers the results before the manifest."""
    world.said = manifest(world)  # type: ignore[attr-defined]
    world.broker.publish(Publication(world.topics.manifest(MODEL), b"", retain=True))
    consumer = world.start_consumer()
    world.settle()
    assert (labels(world), held(world)) == ([], 2)
    return consumer


def test_results_that_waited_in_the_session_come_before_the_manifest_and_have_their_labels(world: World) -> None:
    waiting = [each.topic for each in world.broker.waiting(CONSUMER)]
    assert waiting[0] == world.topics.inbox(Role.CONSUMER, "consumer-1")
    world.start_consumer()
    world.broker.advance(1)
    assert labels(world) == [("benign",), ("malignant",)]
    assert held(world) == 0


def test_no_manifest_means_a_bounded_wait_and_none_after_it(world: World) -> None:
    consumer = without_manifest(world)
    began = world.broker.now
    world.broker.run_until(lambda: len(labels(world)) == 2)
    assert world.broker.now - began == pytest.approx(WAIT_SECONDS)
    assert labels(world) == [(), ()]
    sensor = world.parties[SENSOR]
    world.infer(sensor, b"0.5")
    world.settle()
    assert len(labels(world)) == 3
    assert consumer.board.counts["results"] == 3
    world.broker.advance(1)
    assert held(world) == 0


def test_what_waits_survives_a_crash_and_is_handed_over_once(world: World) -> None:
    without_manifest(world)
    crash(world)
    consumer = world.start_consumer()
    inbox = consumer._result_topics[0]
    for each in world.said_on(inbox):
        world.redeliver(consumer, each)
    assert consumer.board.counts["duplicates"] == 2
    world.redeliver(consumer, world.said)  # type: ignore[attr-defined]
    world.broker.advance(1)
    assert labels(world) == [("benign",), ("malignant",)]
    for each in world.said_on(inbox):
        world.redeliver(consumer, each)
    assert len(labels(world)) == 2


def test_what_was_handed_over_is_not_held_again_after_a_crash_before_it_was_forgotten(world: World) -> None:
    consumer = without_manifest(world)
    store = world.holder(Role.CONSUMER, "consumer-1").store
    before = list(store.items(BUCKET))
    world.redeliver(consumer, world.said)  # type: ignore[attr-defined]
    world.broker.advance(1)
    for key, value in before:
        store.write(BUCKET, key, value)
    crash(world)
    world.start_consumer()
    world.broker.advance(2 * WAIT_SECONDS)
    assert (len(labels(world)), held(world)) == (2, 0)


def test_a_crash_between_handing_over_and_remembering_hands_over_again(world: World) -> None:
    consumer = without_manifest(world)
    world.redeliver(consumer, world.said)  # type: ignore[attr-defined]
    assert len(labels(world)) == 2
    crash(world)
    world.start_consumer()
    world.broker.advance(2 * WAIT_SECONDS)
    assert len(labels(world)) == 4


def test_an_agent_that_lags_behind_the_newest_manifest_is_not_waited_for(world: World) -> None:
    consumer = world.start_consumer()
    world.settle()
    newer = world.package(module=b"\0asm", outputs=OUTPUTS)
    world.redeliver(consumer, Publication(world.topics.manifest(MODEL), newer.document))
    assert consumer.manifest(MODEL).version == 2
    world.infer(world.parties[SENSOR], b"0.5")
    world.settle()
    assert labels(world) == [("benign",), ("malignant",), ()]


def test_a_result_of_a_version_whose_manifest_is_still_on_its_way_waits_for_that_one(world: World) -> None:
    world.start_consumer()
    world.broker.advance(1)
    consumer = world.parties[CONSUMER]
    assert consumer._held.wants(MODEL, 1, 1) is False
    assert consumer._held.wants(MODEL, 2, 1) is True
    assert consumer._held.wants("another", 2, 1) is False


def test_what_was_revoked_while_it_waited_is_refused(world: World) -> None:
    consumer = without_manifest(world)
    world.revoke("measurement", b"m" * 32)
    world.settle()
    world.broker.advance(WAIT_SECONDS + 1)
    assert labels(world) == []
    assert consumer.board.refused == {"revoked": 2}
    consumer.leaving(world.broker.now)
    assert held(world) == 0


def test_a_model_that_is_no_longer_subscribed_to_is_not_waited_for_after_a_restart(world: World) -> None:
    without_manifest(world)
    world.broker.crash(CONSUMER)
    world.start_consumer(models=())
    world.broker.advance(0)
    assert labels(world) == [(), ()]


def test_nothing_that_waits_on_disk_is_readable(world: World) -> None:
    without_manifest(world)
    stored = b"".join(value for _, value in world.holder(Role.CONSUMER, "consumer-1").store.items(BUCKET))
    for plaintext in (struct.pack("<f", 0.25), struct.pack("<f", 0.75), b"sensor-1"):
        assert plaintext not in stored


# The shelf itself


def shelf(store: MemoryStore | None = None) -> HeldResults:
    return HeldResults(store or MemoryStore(), {MODEL}, ())


def put(held: HeldResults, number: int, version: int = 1, now: float = 0.0) -> None:
    held.hold(number.to_bytes(32, "big"), MODEL, version, Delivery("t", b"x" * 10, correlation=bytes(16)), now)


def test_more_than_fit_do_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    held = shelf()
    monkeypatch.setattr(held_module, "LIMIT", 2)
    put(held, 1)
    assert held.wants(MODEL, 1, 10)
    put(held, 2)
    assert not held.wants(MODEL, 1, 10)
    held.settle(MODEL, 1, 0.0)
    held.take(0.0)
    assert held.wants(MODEL, 2, 10)


def test_larger_than_fit_do_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    held = shelf()
    monkeypatch.setattr(held_module, "LIMIT_BYTES", 25)
    put(held, 1)
    assert held.wants(MODEL, 1, 15)
    assert not held.wants(MODEL, 1, 16)


def test_many_are_let_go_in_several_steps_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    held = shelf()
    monkeypatch.setattr(held_module, "TOGETHER", 2)
    for number in range(5):
        put(held, number)
    held.settle(MODEL, 1, 3.0)
    steps = []
    while held.due is not None:
        assert held.due == 3.0
        steps.append(len(held.take(3.0)))
    assert steps == [2, 2, 1]


def test_a_manifest_lets_go_its_own_version_and_those_before_it() -> None:
    held = shelf()
    for number, version in enumerate((1, 2, 3)):
        put(held, number, version)
    held.settle(MODEL, 2, 1.0)
    assert len(held.take(1.0)) == 2
    assert held.due == WAIT_SECONDS
    assert len(held.take(WAIT_SECONDS)) == 1
    assert held.due is None


def test_a_store_that_holds_something_else_says_so() -> None:
    store = MemoryStore()
    store.write(BUCKET, bytes(32), b"\x80")
    with pytest.raises(StoreError, match="no result"):
        shelf(store)
