"""A consumer knows what it did not get: results are numbered, and an agent that lost its broker says the last again."""

from typing import Any

import pytest

from edge_agent.enclave.repeating import LastResults
from protocol.errors import StoreError
from protocol.messages import decode_message_untrusted
from protocol.party import Delivery, Publication
from protocol.receipts import signed_receipt_untrusted
from schemas.kinds import Role
from schemas.session import Receipt, ReceiptBundle
from sealedge.client.consumer import ConsumerParty
from sealedge.client.events import Answered, ResultReceived
from sealedge.client.missing import BUCKET, LIMIT, WAIT_SECONDS, MissingResults
from sealedge.client.sensor import SensorParty
from storage.store import MemoryStore
from tests.support.world import World

AGENT = "sealedge-clinic-agent-agent-1"
CONSUMER = "sealedge-clinic-consumer-consumer-1"


@pytest.fixture
def world() -> World:
    return World().start_all()


def sensor_for(world: World, **settings: Any) -> SensorParty:
    recipient = world.holder(Role.CONSUMER, "consumer-1").credential
    inbox = world.topics.inbox(Role.CONSUMER, "consumer-1")
    return world.start_sensor(recipients=(recipient,), deliver_to=inbox, **settings)


def lose(world: World, *numbers: int) -> None:
    """A broker that acknowledges everything and loses these results, counted from here on."""
    inbox, count = world.topics.inbox(Role.CONSUMER, "consumer-1"), iter(range(1000))

    def intercept(each: Publication) -> list[Publication]:
        return [] if each.topic == inbox and next(count) in numbers else [each]

    world.broker.intercept = intercept


def ask(world: World, sensor: SensorParty, count: int, seconds: float = 0.1) -> None:
    for number in range(count):
        world.infer(sensor, bytes([len(world.events(Answered)), number]))
        world.broker.advance(seconds)


def outputs(world: World) -> list[bytes]:
    return [event.output for event in world.events(ResultReceived)]


def receipts(world: World) -> list[Receipt]:
    bundles = [decode_message_untrusted(ReceiptBundle, each.bundle) for each in world.events(Answered)]
    return [decode_message_untrusted(Receipt, signed_receipt_untrusted(each.receipt)[0]) for each in bundles]


def test_receipts_number_what_consumers_are_sent(world: World) -> None:
    world.start_consumer()
    ask(world, sensor_for(world), 3)
    ask(world, world.start_sensor("sensor-2"), 1)
    assert [each.delivered for each in receipts(world)] == [0, 1, 2, None]


def test_a_one_shot_has_no_number(world: World) -> None:
    world.start_consumer()
    ask(world, sensor_for(world, one_shot=True), 2)
    assert len(outputs(world)) == 2
    assert [each.delivered for each in receipts(world)] == [None, None]


def test_a_refused_request_takes_no_number() -> None:
    world = World(compute=lambda data: data if data[1] != 1 else bytes(2**20)).start_all()
    consumer = world.start_consumer()
    ask(world, sensor_for(world), 3)
    world.broker.advance(2 * WAIT_SECONDS)
    assert [each.delivered for each in receipts(world)] == [0, 1]
    assert consumer.board.counts["missing"] == 0


def test_what_the_broker_loses_is_told_when_a_later_result_shows_it(world: World) -> None:
    consumer = world.start_consumer()
    lose(world, 1, 2, 4)
    ask(world, sensor_for(world), 6)
    assert len(outputs(world)) == 3
    assert world.noted("results-missing") == []
    world.broker.advance(WAIT_SECONDS)
    told = world.noted("results-missing")
    assert [(each["count"], each["agent"]) for each in told] == [(2, "agent-1"), (1, "agent-1")]
    assert consumer.board.counts["missing"] == 3
    world.broker.advance(10 * WAIT_SECONDS)
    assert len(world.noted("results-missing")) == 2


def test_the_beginning_of_a_session_is_missed_too(world: World) -> None:
    world.start_consumer()
    lose(world, 0, 1)
    ask(world, sensor_for(world), 3)
    world.broker.advance(WAIT_SECONDS)
    assert [each["count"] for each in world.noted("results-missing")] == [2]


def test_results_that_come_in_another_order_are_not_missing(world: World) -> None:
    consumer = world.start_consumer()
    world.broker.cut(consumer)
    ask(world, sensor_for(world), 5)
    held = world.broker._session(consumer).inbox
    held.rotate(2)
    world.broker.mend(consumer)
    world.broker.advance(2 * WAIT_SECONDS)
    assert len(outputs(world)) == 5
    assert world.noted("results-missing") == []


def test_an_agent_that_lost_its_broker_says_its_last_results_again(world: World) -> None:
    """As with a broker that is killed: all its connections break, and it has forgotten what it acknowledged last."""
    consumer = world.start_consumer()
    sensor = sensor_for(world)
    ask(world, sensor, 1)
    world.broker.cut(consumer)
    world.broker.advance(20)
    ask(world, sensor, 3)
    clients = (AGENT, sensor.client_id, CONSUMER)
    for client in clients:
        world.broker.cut(client)
    world.broker._session(consumer).inbox.clear()
    for client in clients:
        world.broker.mend(client)
    world.broker.advance(1)
    assert len(world.events(Answered)) == len(outputs(world)) == len(set(outputs(world))) == 4
    assert world.noted("results-missing") == []


def test_it_says_them_once_more_for_a_consumer_whose_session_is_lost_and_that_comes_back_later(world: World) -> None:
    consumer = world.start_consumer()
    ask(world, sensor_for(world), 1)
    lose(world, 0, 1, 2)
    ask(world, world.parties["sealedge-clinic-sensor-sensor-1"], 1)
    world.broker.cut(AGENT)
    world.broker.mend(AGENT)
    world.settle()
    assert len(outputs(world)) == 1
    world.broker.advance(31)
    assert len(outputs(world)) == 2
    said = len(world.said_on(world.topics.inbox(Role.CONSUMER, "consumer-1")))
    world.broker.advance(300)
    assert len(world.said_on(world.topics.inbox(Role.CONSUMER, "consumer-1"))) == said
    assert consumer.board.counts["missing"] == 0


def test_what_is_older_is_not_said_again(world: World) -> None:
    world.start_consumer()
    sensor = sensor_for(world)
    ask(world, sensor, 3, seconds=11)
    before = len(world.said_on(world.topics.inbox(Role.CONSUMER, "consumer-1")))
    world.broker.cut(AGENT)
    world.broker.mend(AGENT)
    world.settle()
    assert len(world.said_on(world.topics.inbox(Role.CONSUMER, "consumer-1"))) == before + 1


def test_what_was_said_again_on_a_connection_that_lasted_is_not_said_on_the_next(world: World) -> None:
    world.start_consumer()
    inbox = world.topics.inbox(Role.CONSUMER, "consumer-1")
    ask(world, sensor_for(world), 2)
    counts = []
    for _ in range(3):
        world.broker.cut(AGENT)
        world.broker.mend(AGENT)
        world.broker.advance(40)
        counts.append(len(world.said_on(inbox)))
    assert counts == [6, 6, 6]


def test_a_connection_that_never_lasts_repeats_nothing_for_ever(world: World) -> None:
    world.start_consumer()
    inbox = world.topics.inbox(Role.CONSUMER, "consumer-1")
    ask(world, sensor_for(world), 2)
    for _ in range(20):
        world.broker.cut(AGENT)
        world.broker.mend(AGENT)
        world.broker.advance(5)
    assert len(world.said_on(inbox)) == 2 + 3 * 2


def test_what_is_said_again_is_bounded() -> None:
    last = LastResults()
    small = [Publication("consumer", number.to_bytes(2)) for number in range(2000)]
    last.add(small, "sensor", 0.0)
    assert last.connected(0.0) == tuple(small[-1024:])
    last.add([Publication("consumer", bytes(2**20)) for _ in range(6)], "sensor", 1.0)
    assert sum(len(each.payload) for each in last.connected(1.0)) <= 4 * 2**20
    last.forget()
    assert (last.connected(2.0), last.due) == ((), None)


def test_nothing_is_said_again_when_somebody_was_revoked(world: World) -> None:
    world.start_consumer()
    ask(world, sensor_for(world), 2)
    before = len(world.said_on(world.topics.inbox(Role.CONSUMER, "consumer-1")))
    world.revoke("key", world.holder(Role.SENSOR, "sensor-1").signing.public.thumbprint)
    world.settle()
    world.broker.cut(AGENT)
    world.broker.mend(AGENT)
    world.broker.advance(60)
    assert len(world.said_on(world.topics.inbox(Role.CONSUMER, "consumer-1"))) == before


def test_what_is_awaited_survives_a_restart_and_is_told_once(world: World) -> None:
    world.start_consumer()
    lose(world, 1)
    ask(world, sensor_for(world), 3)
    world.broker.advance(2)
    world.broker.crash(CONSUMER)
    world.start_consumer()
    world.broker.advance(WAIT_SECONDS + 1)
    world.broker.crash(CONSUMER)
    world.start_consumer()
    world.broker.advance(WAIT_SECONDS + 1)
    assert [each["count"] for each in world.noted("results-missing")] == [1]


def test_a_duplicate_closes_a_gap_and_opens_none(world: World) -> None:
    consumer: ConsumerParty = world.start_consumer()
    inbox = world.topics.inbox(Role.CONSUMER, "consumer-1")
    lose(world, 1)
    ask(world, sensor_for(world), 3)
    first, lost, last = world.said_on(inbox)
    for each in (last, first, lost, lost):
        world.broker.deliver(consumer, Delivery(inbox, each.payload, correlation=each.correlation))
    world.broker.advance(2 * WAIT_SECONDS)
    assert len(outputs(world)) == 3
    assert consumer.board.counts["missing"] == 0


def numbered(number: int | None, session: int = 0, agent: str = "agent-1") -> Receipt:
    """A receipt with all that is looked at here."""
    return Receipt.model_construct(agent=agent, session=session.to_bytes(16, "big"), sender=bytes(32), delivered=number)


def test_more_than_can_be_awaited_is_told_at_once() -> None:
    missing = MissingResults(MemoryStore())
    [told] = missing.came(numbered(2**40), 0.0)
    assert told.detail["count"] == 2**40
    assert missing.came(numbered(LIMIT, 1), 0.0) == []
    [told] = missing.came(numbered(1, 2), 0.0)
    assert told.detail["count"] == 1
    assert missing.due == WAIT_SECONDS


def test_each_agents_numbers_are_its_own() -> None:
    missing = MissingResults(MemoryStore())
    for agent in ("agent-1", "agent-2"):
        missing.came(numbered(0, agent=agent), 0.0)
    assert missing.due is None


def test_sessions_are_bounded_and_what_was_awaited_in_a_forgotten_one_is_over() -> None:
    store = MemoryStore()
    missing = MissingResults(store, sessions=2)
    for session in range(4):
        missing.came(numbered(1, session), 0.0)
        missing.write()
    assert len(list(store.items(BUCKET))) == 2
    assert [note.detail["count"] for note in missing.take(WAIT_SECONDS)] == [1, 1]
    missing.write()


def test_a_store_that_holds_something_else_is_a_fault() -> None:
    store = MemoryStore()
    store.write(BUCKET, bytes(32), b"\x00")
    with pytest.raises(StoreError):
        MissingResults(store)
