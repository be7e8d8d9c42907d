"""A sensor's sessions: asked again, renewed, lost and opened anew, with the same agent or another (P3, P7, P12)."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from edge_agent.enclave.computing import Computing
from edge_agent.enclave.configuration import EnclaveLimits
from edge_agent.enclave.waiting import Asked
from protocol.channel import MAX_SEQUENCE
from protocol.errors import AppraisalError
from protocol.party import Publication
from schemas.reason import Reason
from sealedge.client.events import Answered, RequestRefused, TimedOut
from tests.support.world import World

AGENT = "sealedge-clinic-agent-agent-1"


class Counted:
    """The module of the fleet: reverses, and counts how often it was run."""

    def __init__(self) -> None:
        self.runs = 0

    def __call__(self, data: bytes) -> bytes:
        self.runs += 1
        return data[::-1]


@pytest.fixture
def module() -> Counted:
    return Counted()


@pytest.fixture
def world(module: Counted) -> World:
    return World(compute=module).start_all()


def dropping(count: int, wanted: Callable[[Publication], bool]) -> Callable[[Publication], Iterable[Publication]]:
    """A broker that loses the first `count` of the wanted publications."""
    left = iter(range(count))

    def intercept(publication: Publication) -> Iterator[Publication]:
        if not wanted(publication) or next(left, None) is None:
            yield publication

    return intercept


def to(topic: str) -> Callable[[Publication], bool]:
    return lambda publication: publication.topic == topic


def outputs(world: World) -> list[bytes | None]:
    return [event.output for event in world.events(Answered)]


def test_a_lost_request_is_sealed_again_under_a_new_number(world: World, module: Counted) -> None:
    sensor = world.start_sensor(retry_seconds=2)
    world.settle()
    topic = world.topics.request("agent-1")
    world.broker.intercept = dropping(1, to(topic))
    world.infer(sensor, b"abc")
    world.broker.advance(3)
    first, second = world.said_on(topic)
    assert first.correlation == second.correlation
    assert first.payload != second.payload
    assert (outputs(world), module.runs) == ([b"cba"], 1)
    assert len(world.said_on(world.topics.session("agent-1"))) == 1


def test_a_lost_reply_is_computed_once_and_answered_with_the_same_bytes(world: World, module: Counted) -> None:
    sensor = world.start_sensor(retry_seconds=2)
    world.settle()
    seen = len(world.said_on(sensor._inbox_topic))
    world.broker.intercept = dropping(2, to(sensor._inbox_topic))
    request = world.infer(sensor, b"abc")
    world.broker.advance(6)
    replies = [each for each in world.said_on(sensor._inbox_topic)[seen:] if each.correlation == request]
    assert len(replies) == 2 or len({each.payload for each in replies}) == 1
    assert (outputs(world), module.runs) == ([b"cba"], 1)


def test_a_lost_opening_is_sent_again_the_same(world: World) -> None:
    sensor = world.start_sensor(retry_seconds=2)
    topic = world.topics.session("agent-1")
    world.broker.intercept = dropping(1, to(topic))
    world.infer(sensor, b"abc")
    world.broker.advance(3)
    first, second = world.said_on(topic)
    assert first == second
    assert outputs(world) == [b"cba"]


def test_a_restarted_enclave_is_given_a_new_session(world: World) -> None:
    sensor = world.start_sensor()
    world.infer(sensor, b"abc")
    world.settle()
    old = world.said_on(world.topics.session("agent-1"))
    world.restart_agent()
    world.infer(sensor, b"def")
    world.settle()
    new = world.said_on(world.topics.session("agent-1"))[len(old) :]
    assert len(old) == len(new) == 1
    assert old[0].correlation != new[0].correlation
    assert outputs(world) == [b"cba", b"fed"]


def test_what_was_in_flight_at_an_enclave_that_died_is_answered_by_its_successor(world: World) -> None:
    sensor = world.start_sensor()
    world.infer(sensor, b"first")
    world.settle()
    world.broker.crash(AGENT)
    request = world.infer(sensor, b"abc")
    world.settle()
    world.restart_agent()
    assert (world.events(Answered)[-1].request, outputs(world)[-1]) == (request, b"cba")


def test_an_enclave_that_forgot_the_session_says_so_and_is_given_another(world: World) -> None:
    sensor = world.start_sensor()
    world.infer(sensor, b"first")
    world.settle()
    world.parties[AGENT]._enclave._erase_sessions()
    world.infer(sensor, b"abc")
    world.settle()
    assert outputs(world) == [b"tsrif", b"cba"]
    assert [each["why"] for each in world.noted("session-lost")] == [Reason.SESSION_UNKNOWN]


def test_an_agent_that_has_gone_is_left_for_another_at_once(world: World) -> None:
    world.start_agent("agent-2")
    world.settle()
    sensor = world.start_sensor()
    world.infer(sensor, b"first")
    world.settle()
    first = world.events(Answered)[0].agent
    world.broker.crash(f"sealedge-clinic-agent-{first}")
    world.infer(sensor, b"abc")
    world.settle()
    assert {event.agent for event in world.events(Answered)} == {"agent-1", "agent-2"}


def test_an_agent_that_is_silent_is_left_for_another_in_time(world: World) -> None:
    world.start_agent("agent-2")
    world.settle()
    sensor = world.start_sensor(retry_seconds=2)
    world.infer(sensor, b"first")
    world.settle()
    silent = world.topics.request(world.events(Answered)[0].agent)
    world.broker.intercept = dropping(1000, to(silent))
    world.infer(sensor, b"abc")
    world.broker.advance(5)
    assert outputs(world) == [b"tsrif", b"cba"]
    assert len({event.agent for event in world.events(Answered)}) == 2


def test_a_silent_agent_is_left_also_when_requests_expire_before_they_are_sent_again(world: World) -> None:
    world.start_agent("agent-2")
    world.settle()
    sensor = world.start_sensor(retry_seconds=60, request_seconds=3)
    world.infer(sensor, b"first")
    world.settle()
    world.broker.intercept = dropping(1000, to(world.topics.request(world.events(Answered)[0].agent)))
    world.infer(sensor, b"lost")
    world.broker.advance(4)
    world.infer(sensor, b"abc")
    world.settle()
    assert [event.because for event in world.events(TimedOut)] == [Reason.TIMEOUT]
    assert outputs(world) == [b"tsrif", b"cba"]


def test_a_session_is_replaced_before_it_ends(world: World) -> None:
    sensor = world.start_sensor(session_seconds=60)
    for _ in range(8):
        world.infer(sensor, b"abc")
        world.broker.advance(30)
    assert outputs(world) == [b"cba"] * 8
    assert len(world.said_on(world.topics.session("agent-1"))) == 4
    assert world.noted("session-lost") == []


def test_a_session_outlives_the_renewal_of_its_passport(world: World) -> None:
    sensor = world.start_sensor()
    for _ in range(5):
        world.infer(sensor, b"abc")
        world.broker.advance(world.lease_seconds)
    assert outputs(world) == [b"cba"] * 5
    assert len(world.said_on(world.topics.session("agent-1"))) == 1


def test_a_session_whose_counter_is_used_up_is_replaced(world: World) -> None:
    sensor = world.start_sensor()
    world.infer(sensor, b"first")
    world.settle()
    sensor._sessions.all[0].channel.next_sequence = MAX_SEQUENCE + 1
    world.infer(sensor, b"abc")
    world.settle()
    assert outputs(world) == [b"tsrif", b"cba"]
    assert len(world.said_on(world.topics.session("agent-1"))) == 2


@pytest.mark.parametrize("reason", [Reason.BUSY, Reason.INTERNAL])
def test_a_busy_enclave_is_asked_again_in_the_same_session(
    world: World, monkeypatch: pytest.MonkeyPatch, reason: Reason
) -> None:
    refuse_requests(monkeypatch, reason, times=2)
    sensor = world.start_sensor(retry_seconds=2)
    world.infer(sensor, b"abc")
    world.broker.advance(6)
    assert outputs(world) == [b"cba"]
    assert len(world.said_on(world.topics.session("agent-1"))) == 1
    assert world.events(RequestRefused) == []


ELSEWHERE = [Reason.NOT_ATTESTED, Reason.LEASE_EXPIRED, Reason.MODEL_UNKNOWN, Reason.SESSION_LIMIT]


@pytest.mark.parametrize("reason", ELSEWHERE)
def test_an_enclave_that_cannot_is_left_for_another_session(
    world: World, monkeypatch: pytest.MonkeyPatch, reason: Reason
) -> None:
    refuse_requests(monkeypatch, reason, times=1)
    sensor = world.start_sensor(retry_seconds=2)
    world.infer(sensor, b"abc")
    world.broker.advance(6)
    assert outputs(world) == [b"cba"]
    assert len(world.said_on(world.topics.session("agent-1"))) == 2


def test_a_refusal_that_never_ends_is_told_with_the_timeout(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_requests(monkeypatch, Reason.NOT_ATTESTED, times=10_000)
    sensor = world.start_sensor(retry_seconds=2, request_seconds=60)
    request = world.infer(sensor, b"abc")
    world.broker.advance(70)
    assert world.events(TimedOut) == [TimedOut(request, Reason.NOT_ATTESTED)]
    assert len(world.said_on(world.topics.session("agent-1"))) < 30


def test_too_many_sessions_at_an_enclave_are_waited_out() -> None:
    world = World(limits=EnclaveLimits(sessions=1)).start_all()
    for name in ("sensor-1", "sensor-2"):
        sensor = world.start_sensor(name, session_seconds=60, request_seconds=300, retry_seconds=2)
        world.infer(sensor, name.encode())
        world.settle()
    assert len(world.events(Answered)) == 1
    world.broker.advance(120)
    assert len(world.events(Answered)) == 2
    assert len(world.said_on(world.topics.session("agent-1"))) < 30


def refuse_requests(monkeypatch: pytest.MonkeyPatch, reason: Reason, times: int) -> None:
    """The enclave refuses so many requests, and computes the next."""
    left, genuine = iter(range(times)), Computing._entitled

    def entitled(computing: Computing, asked: Asked, now: float) -> Any:
        if next(left, None) is not None:
            raise AppraisalError("not now", reason=reason)
        return genuine(computing, asked, now)

    monkeypatch.setattr(Computing, "_entitled", entitled)


class TestOneShot:
    """A sensor that keeps no session: every request is complete in itself."""

    def test_it_is_answered_without_an_accept(self, world: World) -> None:
        sensor = world.start_sensor(one_shot=True)
        for _ in range(3):
            world.infer(sensor, b"abc")
        world.settle()
        assert outputs(world) == [b"cba"] * 3
        assert len(world.said_on(world.topics.session("agent-1"))) == 3
        assert world.said_on(world.topics.request("agent-1")) == []
        assert sensor._sessions.all == ()

    def test_a_lost_one_is_sent_again_the_same_and_computed_once(self, world: World, module: Counted) -> None:
        sensor = world.start_sensor(one_shot=True, retry_seconds=2)
        world.settle()
        world.broker.intercept = dropping(1, to(sensor._inbox_topic))
        world.infer(sensor, b"abc")
        world.broker.advance(3)
        assert len(set(world.said_on(world.topics.session("agent-1")))) == 1
        assert (outputs(world), module.runs) == ([b"cba"], 1)

    def test_a_silent_agent_is_left_for_another(self, world: World) -> None:
        world.start_agent("agent-2")
        world.settle()
        sensor = world.start_sensor(one_shot=True, retry_seconds=2)
        world.settle()
        chosen = sensor._agents.choose(0, world.broker.now).agent
        world.broker.intercept = dropping(1000, to(world.topics.session(chosen)))
        world.infer(sensor, b"def")
        world.broker.advance(6)
        assert outputs(world) == [b"fed"]

    def test_a_restarted_enclave_is_asked_with_its_new_key(self, world: World) -> None:
        sensor = world.start_sensor(one_shot=True)
        world.settle()
        world.broker.crash(AGENT)
        world.infer(sensor, b"abc")
        world.settle()
        world.restart_agent()
        assert outputs(world) == [b"cba"]

    def test_a_final_refusal_ends_it(self, world: World) -> None:
        sensor = world.start_sensor(one_shot=True)
        world.infer(sensor, b"trap")
        world.settle()
        assert [event.refusal.reason for event in world.events(RequestRefused)] == [Reason.GUEST_TRAP]

    @pytest.mark.parametrize("reason", [Reason.BUSY, Reason.NOT_ATTESTED])
    def test_another_refusal_is_tried_again_in_a_new_one(
        self, world: World, monkeypatch: pytest.MonkeyPatch, reason: Reason
    ) -> None:
        refuse_requests(monkeypatch, reason, times=1)
        sensor = world.start_sensor(one_shot=True, retry_seconds=2)
        world.infer(sensor, b"abc")
        world.broker.advance(6)
        assert outputs(world) == [b"cba"]
        assert len(set(world.said_on(world.topics.session("agent-1")))) == 2
