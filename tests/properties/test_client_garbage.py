"""Whatever arrives, a sensor and a consumer take it or refuse it, and go on serving (P14)."""

from functools import cache

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol.party import Delivery, Publication
from schemas.kinds import Role
from schemas.topics import FleetTopics
from sealedge.client.consumer import ConsumerParty
from sealedge.client.events import Answered, RequestRefused, ResultReceived
from sealedge.client.sensor import SensorParty
from tests.support.examples import examples
from tests.support.world import MODEL, World

TOPICS = FleetTopics("clinic")
SENSOR_INBOX, CONSUMER_INBOX = TOPICS.inbox(Role.SENSOR, "sensor-1"), TOPICS.inbox(Role.CONSUMER, "consumer-1")


@cache
def fleet() -> tuple[World, SensorParty, ConsumerParty, tuple[Publication, ...]]:
    """A fleet in which everything was said once. The sensor has one more request that the agent never sees."""
    world = World().start_all()
    consumer = world.start_consumer()
    credential = world.holder(Role.CONSUMER, "consumer-1").credential
    sensor = world.start_sensor(recipients=(credential,), deliver_to=CONSUMER_INBOX, request_seconds=10**6)
    world.infer(sensor, b"abc")
    world.settle()
    world.broker.cut("sealedge-clinic-agent-agent-1")
    world.infer(sensor, b"def")
    world.settle()
    return world, sensor, consumer, tuple(world.published)


def topics() -> st.SearchStrategy[str]:
    known = sorted({each.topic for each in fleet()[3]})
    return st.sampled_from(known) | st.sampled_from([TOPICS.result("a"), TOPICS.results(MODEL), "", "a/b/c/d/e/f/g"])


@st.composite
def changed(draw: st.DrawFn) -> Delivery:
    """Something genuine: cut, flipped, moved to another topic or exchange, or as it was."""
    original = draw(st.sampled_from(fleet()[3]))
    payload = bytearray(original.payload)
    for at in draw(st.lists(st.integers(0, max(0, len(payload) - 1)), max_size=2)):
        payload[at : at + 1] = draw(st.binary(max_size=2))
    topic = draw(st.just(original.topic) | topics())
    correlation = draw(st.just(original.correlation) | st.none() | st.binary(max_size=17))
    return Delivery(topic, bytes(payload), original.response_topic, correlation, draw(st.booleans()))


def invented() -> st.SearchStrategy[Delivery]:
    starts = st.sampled_from([b"", b"\xd2\x84", b"\xd0\x83", b"\xd8\x60\x84", b'{"proof": "'])
    payloads = st.builds(bytes.__add__, starts, st.binary(max_size=200))
    return st.builds(Delivery, topics(), payloads, st.none(), st.none() | st.binary(min_size=16, max_size=16))


@settings(max_examples=examples(300), suppress_health_check=[HealthCheck.too_slow])
@given(changed() | invented())
def test_everything_is_taken_or_refused(delivery: Delivery) -> None:
    world, sensor, consumer, _ = fleet()
    for party in (sensor, consumer):
        events = party.receive(delivery, world.broker.now)
        assert not [each for each in events if isinstance(each, Answered | RequestRefused | ResultReceived)]
    assert len(sensor.pending) == 1
    assert len(sensor._sessions.all) <= 64
