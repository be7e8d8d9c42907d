"""The nonce memory: every history of issuing, answering, waiting and crashing keeps its promises."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from protocol.errors import FreshnessError, ProtocolMisuseError, StoreError
from schemas.attestation import Challenge
from schemas.reason import Reason
from storage.store import MemoryStore
from tests.support.examples import examples
from verifier.nonces import BUCKET, NonceMemory
from verifier.records import MAX_OPEN_CHALLENGES

AGENTS = ("agent-1", "agent-2")


def challenge(number: int, agent: str = "agent-1", issued: int = 1000, seconds: int = 60) -> Challenge:
    return Challenge(
        fleet="plant",
        agent=agent,
        verifier="verifier-1",
        nonce=number.to_bytes(32, "big"),
        issued=issued,
        expires=issued + seconds,
        purpose="boot",
        algorithms=(-9,),
        formats=("a/b",),
    )


def reason_of(memory: NonceMemory, agent: str, number: int, now: float) -> Reason:
    with pytest.raises(FreshnessError) as caught:
        memory.consume(agent, number.to_bytes(32, "big"), now)
    return caught.value.reason


def test_a_nonce_is_good_once() -> None:
    memory = NonceMemory(MemoryStore())
    memory.remember(challenge(1), 1000)
    assert memory.consume("agent-1", challenge(1).nonce, 1059.9) == challenge(1)
    assert reason_of(memory, "agent-1", 1, 1000) is Reason.NONCE_UNKNOWN


def test_it_ends_on_the_second_and_is_used_up_by_trying() -> None:
    memory = NonceMemory(MemoryStore())
    memory.remember(challenge(1), 1000)
    assert reason_of(memory, "agent-1", 1, 1060) is Reason.EXPIRED
    assert reason_of(memory, "agent-1", 1, 1000) is Reason.NONCE_UNKNOWN


def test_agents_have_their_own_places() -> None:
    memory = NonceMemory(MemoryStore())
    for number in range(MAX_OPEN_CHALLENGES):
        memory.remember(challenge(number), 1000)
    with pytest.raises(ProtocolMisuseError):
        memory.remember(challenge(9), 1000)
    memory.remember(challenge(9, "agent-2"), 1000)
    assert reason_of(memory, "agent-2", 0, 1000) is Reason.NONCE_UNKNOWN
    assert len(memory.unanswered("agent-1", 1000)) == MAX_OPEN_CHALLENGES


def test_ended_challenges_make_room() -> None:
    memory = NonceMemory(MemoryStore())
    for number in range(MAX_OPEN_CHALLENGES):
        memory.remember(challenge(number), 1000)
    memory.remember(challenge(9, issued=1060), 1060)
    assert [each.nonce[-1] for each in memory.unanswered("agent-1", 1060)] == [9]


def test_expire_forgets_what_has_ended_and_nothing_else() -> None:
    store = MemoryStore()
    memory = NonceMemory(store)
    memory.remember(challenge(1), 1000)
    memory.remember(challenge(2, issued=1030), 1030)
    memory.remember(challenge(3, "agent-2"), 1000)
    assert memory.expire(1060) == 2
    assert [key for key, _ in store.items(BUCKET)] == [b"agent-1"]
    assert memory.consume("agent-1", challenge(2).nonce, 1061).issued == 1030


def test_a_damaged_record_is_an_error_of_the_store() -> None:
    store = MemoryStore()
    store.write(BUCKET, b"agent-1", b"\xa1\x01\x05")
    with pytest.raises(StoreError) as caught:
        NonceMemory(store).consume("agent-1", bytes(32), 1000)
    assert "OpenChallenges" in caught.value.diagnostics


class NonceHistory(RuleBasedStateMachine):
    """Against a model that never forgets: what was answered, what was sent, when it ends."""

    def __init__(self) -> None:
        super().__init__()
        self.store = MemoryStore()
        self.memory = NonceMemory(self.store)
        self.now, self.count = 1000, 0
        self.sent: dict[int, Challenge] = {}
        self.answered: set[int] = set()

    @rule(agent=st.sampled_from(AGENTS), seconds=st.integers(1, 100))
    def issue(self, agent: str, seconds: int) -> None:
        made = challenge(self.count, agent, self.now, seconds)
        if len(self.memory.unanswered(agent, self.now)) < MAX_OPEN_CHALLENGES:
            self.memory.remember(made, self.now)
            self.sent[self.count] = made
        self.count += 1

    @rule(agent=st.sampled_from(AGENTS), number=st.integers(0, 12))
    def answer(self, agent: str, number: int) -> None:
        mine = number in self.sent and self.sent[number].agent == agent
        may = mine and number not in self.answered and self.now < self.sent[number].expires
        try:
            assert self.memory.consume(agent, number.to_bytes(32, "big"), self.now) == self.sent[number]
            assert may
        except FreshnessError:
            assert not may
        if mine:
            self.answered.add(number)

    @rule(seconds=st.integers(1, 50))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule()
    def expire(self) -> None:
        self.memory.expire(self.now)

    @rule()
    def crash(self) -> None:
        self.store = self.store.crash()
        self.memory = NonceMemory(self.store)

    @invariant()
    def open_is_what_was_sent_and_not_answered(self) -> None:
        for agent in AGENTS:
            found = {each.nonce for each in self.memory.unanswered(agent, self.now)}
            assert len(found) <= MAX_OPEN_CHALLENGES
            assert found == {
                each.nonce
                for number, each in self.sent.items()
                if each.agent == agent and number not in self.answered and self.now < each.expires
            }


TestNonceHistory = NonceHistory.TestCase
TestNonceHistory.settings = settings(max_examples=examples(25), stateful_step_count=25, deadline=None)
