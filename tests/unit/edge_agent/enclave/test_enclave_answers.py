"""What an enclave keeps in memory for its senders: bounded over all sessions, and shared fairly."""

import pickle
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.enclave.answers import OVERHEAD, AnswerBudget, Answers
from edge_agent.enclave.configuration import EnclaveLimits
from edge_agent.enclave.enclave import Enclave
from protocol.party import Publication
from schemas.kinds import Kind, Role
from tests.support.raw_sensor import RawSensor
from tests.support.world import World

LIMIT = 10_000


def answer(size: int) -> tuple[Publication, ...]:
    return (Publication("t", bytes(size)),)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3 * LIMIT), st.booleans()), max_size=80))
def test_the_budget_holds_whatever_comes(steps: list[tuple[int, int, bool]]) -> None:
    budget, sessions, names = AnswerBudget(8, LIMIT), [Answers() for _ in range(5)], count()
    for session, size, ends in steps:
        if ends:
            budget.end(sessions[session])
        else:
            budget.remember(sessions[session], next(names).to_bytes(4, "big"), answer(size))
        held = [sum(OVERHEAD + len(each[0].payload) for each in one.kept.values()) for one in sessions]
        assert [one.size for one in sessions] == held
        assert budget.total == sum(held) <= LIMIT
        assert all(len(one.kept) <= 8 for one in sessions)
    for one in sessions:
        budget.end(one)
    assert budget.total == 0


def test_a_sender_with_large_results_does_not_push_out_others() -> None:
    budget, modest, greedy = AnswerBudget(4096, LIMIT), Answers(), Answers()
    budget.remember(modest, b"m", answer(100))
    for number in range(100):
        budget.remember(greedy, bytes([number]), answer(3000))
    assert modest.find(b"m") == answer(100)
    assert greedy.find(bytes([99])) == answer(3000)


def enclave_of(world: World) -> Enclave:
    agent = world.parties["sealedge-clinic-agent-agent-1"]
    found = agent._enclave
    assert isinstance(found, Enclave)
    return found


def test_all_sessions_together_keep_no_more_than_the_limit() -> None:
    world = World(limits=EnclaveLimits(cached_reply_bytes=2**16), compute=lambda _data: bytes(8_000)).start_all()
    for number in range(8):
        sensor = RawSensor(world, f"sensor-{number}")
        sensor.open()
        for _ in range(3):
            assert sensor.result(sensor.request(sensor.reading())).output == bytes(8_000)
    assert 2**15 < enclave_of(world)._answers.total <= 2**16


def test_nothing_large_or_secret_of_an_opening_is_kept() -> None:
    """A one-shot carries a whole reading and is remembered until it ends."""
    world = World(compute=lambda _data: b"small").start_all()
    sensor, consumer = RawSensor(world), world.holder(Role.CONSUMER, "consumer-1")
    reading, topic = sensor.reading(b"R" * 100_000), world.topics.results("scan")
    one_shot = sensor.opening(Kind.ONE_SHOT, request=reading, recipients=(consumer.credential,), deliver_to=topic)
    assert len(sensor.say(one_shot)) == 2
    [session] = enclave_of(world)._one_shots._open.values()
    assert sensor.say(one_shot) == list(next(iter(session.answers.kept.values())))
    kept = pickle.dumps((session.opening, session.terms))
    assert len(kept) < 5_000
    assert sensor.secret not in kept
    assert b"RRRR" not in kept


def test_what_a_session_kept_is_freed_at_its_end() -> None:
    world = World().start_all()
    sensor = RawSensor(world)
    sensor.open(expires=int(world.broker.now) + 20)
    sensor.say(sensor.request(sensor.reading()))
    enclave = enclave_of(world)
    assert enclave._answers.total > 0
    world.broker.advance(21)
    RawSensor(world, "sensor-2").open()
    assert enclave._answers.total == 0
    assert enclave._sessions._of_sender == {"sensor-2": 1}
