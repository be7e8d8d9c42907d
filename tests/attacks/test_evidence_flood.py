"""Attacks by quantity: floods of requests and of bad evidence stay bounded, and keep nobody from a passport."""

from protocol.party import Delivery, Event
from schemas.kinds import Role
from storage.store import MemoryStore
from tests.support.enclaves import (
    NOW,
    FakeEnclave,
    Fleet,
    assert_serves_others,
    attested,
    challenge_in,
    challenged,
    noted,
    passport_in,
    published,
)
from verifier.nonces import BUCKET, NonceMemory
from verifier.records import MAX_OPEN_CHALLENGES


def test_a_flood_of_requests_in_one_second(fleet: Fleet, enclave: FakeEnclave) -> None:
    """Same agent, same moment, another purpose each time: the worst that one enrolment can do."""
    store = MemoryStore()
    verifier = fleet.verifier(store=store)
    events: list[Event] = []
    for number in range(200):
        events += verifier.receive(enclave.request(purpose=f"purpose-{number}"), NOW)
    # Four new challenges, one of them sent once more, one refusal; the rest is counted and not answered.
    assert len(published(events, fleet.topics.challenge("agent-1"))) == MAX_OPEN_CHALLENGES + 1
    assert len(published(events, fleet.topics.inbox(Role.AGENT, "agent-1"))) == 1
    assert len(NonceMemory(store).unanswered("agent-1", NOW)) == MAX_OPEN_CHALLENGES
    assert len(list(store.items(BUCKET))) == 1
    assert verifier.board.refused["busy"] == 200 - MAX_OPEN_CHALLENGES - 1
    assert_serves_others(verifier, fleet)


def test_a_lasting_flood_keeps_the_enclave_from_nothing(fleet: Fleet, enclave: FakeEnclave) -> None:
    """Whoever asks, the challenge is for the agent: its enclave answers whichever comes."""
    verifier = fleet.verifier()
    thief = FakeEnclave(fleet, "agent-1", enrolment=enclave.enrolment)
    answered, sent = 0, 0
    for tick in range(300):
        now = NOW + tick / 2
        events = verifier.receive(thief.request(now, f"purpose-{tick % 7}"), now)
        challenges = published(events, fleet.topics.challenge("agent-1"))
        sent += len(challenges)
        if challenges and tick % 50 < 4:
            challenge = challenge_in(events, fleet)
            passport_in(verifier.receive(enclave.answer(challenge, now), now), fleet, now=now)
            answered += 1
    assert answered >= 6
    assert sent <= 150 + 2 * MAX_OPEN_CHALLENGES + answered


def test_a_flood_does_not_stop_renewals(fleet: Fleet, enclave: FakeEnclave) -> None:
    verifier = fleet.verifier()
    attested(verifier, enclave)
    for number in range(20):
        verifier.receive(enclave.request(NOW + 149, purpose=f"purpose-{number}"), NOW + 149)
    challenge = challenge_in(verifier.expire(NOW + 150), fleet)
    passport = passport_in(verifier.receive(enclave.answer(challenge, NOW + 151), NOW + 151), fleet, now=NOW + 151)
    assert passport.result.expires == NOW + 451


def test_a_flood_in_the_very_second_of_a_renewal_puts_it_off_and_no_more(fleet: Fleet, enclave: FakeEnclave) -> None:
    verifier = fleet.verifier()
    attested(verifier, enclave)
    for number in range(20):
        verifier.receive(enclave.request(NOW + 150, purpose=f"purpose-{number}"), NOW + 150)
    assert published(verifier.expire(NOW + 150), fleet.topics.challenge("agent-1")) == []
    assert verifier.deadline is not None
    assert published(verifier.expire(NOW + 187), fleet.topics.challenge("agent-1")) == []
    challenge = challenge_in(verifier.expire(NOW + 187.5), fleet)
    assert passport_in(verifier.receive(enclave.answer(challenge, NOW + 188), NOW + 188), fleet, now=NOW + 188)


def test_a_flood_of_bad_evidence_is_counted_and_hardly_answered(fleet: Fleet, enclave: FakeEnclave) -> None:
    verifier = fleet.verifier()
    answer = enclave.answer(challenged(verifier, enclave))
    replies = []
    for number in range(500):
        now = NOW + number / 100
        events = verifier.receive(Delivery(answer.topic, answer.payload[:-1]), now)
        replies += published(events, fleet.topics.inbox(Role.AGENT, "agent-1"))
    assert len(replies) == 5
    assert verifier.board.refused["malformed"] == 500
    # An answer to an open nonce is heard in the middle of it, and so is its refusal.
    assert passport_in(verifier.receive(answer, NOW + 5), fleet, now=NOW + 5)


def test_a_refusal_that_answers_a_nonce_is_sent_in_the_middle_of_a_flood(fleet: Fleet, enclave: FakeEnclave) -> None:
    verifier = fleet.verifier()
    challenge = challenged(verifier, enclave)
    assert published(
        verifier.receive(Delivery(fleet.topics.evidence("agent-1"), b"x"), NOW),
        fleet.topics.inbox(Role.AGENT, "agent-1"),
    )
    impostor = FakeEnclave(fleet, "agent-1", enrolment=enclave.enrolment)
    events = verifier.receive(impostor.answer(challenge), NOW)
    (refusal,) = published(events, fleet.topics.inbox(Role.AGENT, "agent-1"))
    assert refusal.correlation == challenge.nonce


def test_requests_in_the_name_of_many_agents_need_many_enrolments(fleet: Fleet, enclave: FakeEnclave) -> None:
    store = MemoryStore()
    verifier = fleet.verifier(store=store)
    for number in range(50):
        events = verifier.receive(
            enclave.request(agent=f"ghost-{number}", topic=fleet.topics.attest(f"ghost-{number}")), NOW
        )
        assert noted(events, "refused")
    assert list(store.items(BUCKET)) == []


def test_the_status_is_not_published_for_every_refusal(fleet: Fleet, enclave: FakeEnclave) -> None:
    verifier = fleet.verifier()
    verifier.connected(NOW)
    status = fleet.topics.status(Role.VERIFIER, "verifier-1")
    events = [
        event for _ in range(100) for event in verifier.receive(Delivery(fleet.topics.evidence("agent-1"), b"x"), NOW)
    ]
    assert published(events, status) == []
    assert len(published(verifier.expire(NOW + 1), status)) == 1
