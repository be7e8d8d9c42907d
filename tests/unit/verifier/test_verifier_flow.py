"""From request to passport to renewal to end, as an honest agent sees it."""

import pytest

from protocol.errors import StoreError
from protocol.party import Delivery, Subscription
from schemas.attestation import AFFIRMING, LoadedModel
from schemas.kinds import Role, Tier
from schemas.policy import ReferenceValues
from schemas.reason import Reason
from storage.store import MemoryStore
from tests.support.enclaves import (
    CONFIGURATION,
    MEASUREMENT,
    NOW,
    FakeEnclave,
    Fleet,
    accepting_policy,
    assert_refused,
    attested,
    challenge_in,
    challenged,
    noted,
    passport_in,
    published,
)
from verifier.policy import policy_id
from verifier.verdicts import Verdicts


def test_it_subscribes_to_what_agents_say_and_to_nothing_else(fleet: Fleet) -> None:
    events = fleet.verifier().connected(NOW)
    topics = fleet.topics
    filters = {event.topic_filter for event in events if isinstance(event, Subscription)}
    assert filters == {topics.revocations, topics.attest("+"), topics.evidence("+")}


def test_the_challenge_is_bound_to_its_agent_and_says_where_to_answer(fleet: Fleet, enclave: FakeEnclave) -> None:
    events = fleet.verifier().receive(enclave.request(), NOW)
    challenge = challenge_in(events, fleet)
    (publication,) = published(events, fleet.topics.challenge("agent-1"))
    assert (challenge.fleet, challenge.agent, challenge.verifier) == ("plant", "agent-1", "verifier-1")
    assert (challenge.purpose, challenge.expires - challenge.issued) == ("boot", 60)
    assert publication.correlation == challenge.nonce
    assert publication.response_topic == fleet.topics.evidence("agent-1")
    assert (publication.expiry, publication.retain) == (60, False)
    assert noted(events, "challenged") == [{"agent": "agent-1", "purpose": "boot", "seconds": 60}]


def test_honest_evidence_earns_a_passport_for_exactly_these_keys(fleet: Fleet, enclave: FakeEnclave) -> None:
    enclave.models = (LoadedModel(model="scan", version=3, digest=bytes(32)),)
    policy = accepting_policy(
        reference_values=ReferenceValues(measurements=(MEASUREMENT.hex(),), configurations=(CONFIGURATION.hex(),))
    )
    verifier = fleet.verifier(policy)
    challenge = challenged(verifier, enclave)
    events = verifier.receive(enclave.answer(challenge, NOW + 1), NOW + 1)
    passport = passport_in(events, fleet, now=NOW + 1)
    result = passport.result
    assert (passport.signing_key, passport.kem_key) == (enclave.signing.public, enclave.kem.public)
    assert (result.agent, result.verifier, result.fleet) == ("agent-1", "verifier-1", "plant")
    assert (result.tier, result.measurement, result.chip) == (Tier.SIMULATED, MEASUREMENT, enclave.chip)
    assert (result.configuration, result.models, result.nonce) == (CONFIGURATION, enclave.models, challenge.nonce)
    assert (result.issued, result.expires, result.status) == (NOW + 1, NOW + 301, AFFIRMING)
    assert result.sequence == (NOW + 1) * 1000
    (publication,) = published(events, fleet.topics.result("agent-1"))
    assert (publication.retain, publication.expiry) == (True, 300)
    tee, code = result.submodules["tee"], result.submodules["enclave"]
    assert tee.policies == code.policies == (policy_id(policy),)
    assert (code.vector.executables, code.vector.configuration) == (2, 2)
    # The simulated tier is recognised, and nothing is claimed of any hardware.
    assert tee.vector.model_dump(exclude_none=True) == {"instance_identity": 2}


def test_what_happened_is_noted_for_people_without_nonces_or_keys(fleet: Fleet, enclave: FakeEnclave) -> None:
    verifier = fleet.verifier()
    challenge = challenged(verifier, enclave)
    events = verifier.receive(enclave.answer(challenge), NOW)
    assert noted(events, "evidence-appraised") == [
        {"agent": "agent-1", "affirmed": True, "tier": "simulated", "measurement": "aa" * 8}
    ]
    (issued,) = noted(events, "attestation-result-issued")
    assert issued == {
        "agent": "agent-1",
        "tier": "simulated",
        "measurement": "aa" * 8,
        "sequence": NOW * 1000,
        "models": 0,
        "lease_seconds": 300,
    }
    shown = repr([event for event in events if not hasattr(event, "payload")])
    assert challenge.nonce.hex() not in shown
    assert enclave.kem.public.raw.hex() not in shown


def test_the_lease_ends_with_the_enrolment(fleet: Fleet, enclave: FakeEnclave) -> None:
    enclave.enrolment = fleet.enrol("agent-1", enclave.chip, expires=int(NOW) + 40)
    verifier = fleet.verifier()
    assert attested(verifier, enclave).result.expires == NOW + 40
    assert verifier.deadline is not None
    assert verifier.deadline <= NOW + 20


def test_a_lease_is_renewed_from_its_half_on_and_each_eighth_until_it_ends(fleet: Fleet, enclave: FakeEnclave) -> None:
    verifier = fleet.verifier(accepting_policy(lease_seconds=80))
    verifier.connected(NOW)
    attested(verifier, enclave)
    challenges, ended, now = [], [], NOW
    while now < NOW + 100:
        now += 1
        events = verifier.expire(now)
        challenges += [now - NOW for _ in published(events, fleet.topics.challenge("agent-1"))]
        ended += [(now - NOW, detail["agent"]) for detail in noted(events, "lease-ended")]
    assert challenges == [40, 50, 60, 70]
    assert ended == [(80, "agent-1")]


def test_an_answered_renewal_begins_a_new_lease_with_a_higher_sequence(fleet: Fleet, enclave: FakeEnclave) -> None:
    verifier = fleet.verifier()
    first = attested(verifier, enclave)
    challenge = challenge_in(verifier.expire(NOW + 150), fleet)
    assert challenge.purpose == "renewal"
    second = passport_in(verifier.receive(enclave.answer(challenge, NOW + 151), NOW + 151), fleet, now=NOW + 151)
    assert second.result.sequence > first.result.sequence
    assert second.result.expires == NOW + 451
    assert published(verifier.expire(NOW + 250), fleet.topics.challenge("agent-1")) == []
    assert challenge_in(verifier.expire(NOW + 301), fleet).purpose == "renewal"


def test_deadlines_are_reported_and_always_met_by_progress(fleet: Fleet, enclave: FakeEnclave) -> None:
    verifier = fleet.verifier()
    verifier.connected(NOW)
    attested(verifier, enclave)
    for _ in range(100):
        due = verifier.deadline
        if due is None:
            return
        verifier.expire(due)
        assert verifier.deadline is None or verifier.deadline > due
    pytest.fail("the deadlines never end")


def test_sequence_numbers_never_go_back_whatever_the_clock_does(fleet: Fleet, enclave: FakeEnclave) -> None:
    store = MemoryStore()
    late = attested(fleet.verifier(store=store), enclave, NOW + 1000)
    early = attested(fleet.verifier(store=store), enclave, NOW)
    assert early.result.sequence == late.result.sequence + 1


def test_a_restart_forgets_no_lease_and_no_renewal(fleet: Fleet, enclave: FakeEnclave) -> None:
    store = MemoryStore()
    passport = attested(fleet.verifier(store=store), enclave)
    again = fleet.verifier(store=store.crash())
    events = again.connected(NOW + 10)
    assert passport_in(events, fleet, now=NOW + 10).document == passport.document
    assert published(events, fleet.topics.result("agent-1"))[0].expiry == 290
    assert challenge_in(again.expire(NOW + 150), fleet).purpose == "renewal"


def test_a_restart_after_the_end_of_a_lease_publishes_nothing_of_it(fleet: Fleet, enclave: FakeEnclave) -> None:
    store = MemoryStore()
    attested(fleet.verifier(store=store), enclave)
    again = fleet.verifier(store=store.crash())
    assert published(again.connected(NOW + 300), fleet.topics.result("agent-1")) == []
    assert noted(again.expire(NOW + 300), "lease-ended") != []


def test_two_purposes_are_challenged_at_once(fleet: Fleet, enclave: FakeEnclave) -> None:
    verifier = fleet.verifier()
    boot = challenged(verifier, enclave)
    loaded = challenged(verifier, enclave, purpose="model-loaded")
    assert boot.nonce != loaded.nonce
    assert_refused(verifier.receive(enclave.request(NOW + 0.5), NOW + 0.5), fleet, Reason.BUSY)


def test_the_same_evidence_delivered_twice_is_answered_with_the_same_bytes(fleet: Fleet, enclave: FakeEnclave) -> None:
    store = MemoryStore()
    verifier = fleet.verifier(store=store)
    evidence = enclave.answer(challenged(verifier, enclave))
    first = passport_in(verifier.receive(evidence, NOW), fleet)
    # What was published was lost with the crash, and the broker delivers the unacknowledged evidence again.
    again = fleet.verifier(store=store.crash())
    second = passport_in(again.receive(evidence, NOW + 1), fleet, now=NOW + 1)
    assert second.document == first.document


def test_refused_evidence_delivered_twice_is_refused_for_the_same_cause(fleet: Fleet, enclave: FakeEnclave) -> None:
    store = MemoryStore()
    verifier = fleet.verifier(accepting_policy(reference_values=ReferenceValues()), store)
    evidence = enclave.answer(challenged(verifier, enclave))
    first = assert_refused(verifier.receive(evidence, NOW), fleet, Reason.MEASUREMENT_UNKNOWN)
    again = fleet.verifier(store=store.crash())
    assert assert_refused(again.receive(evidence, NOW), fleet, Reason.MEASUREMENT_UNKNOWN) == first


def test_newest_evidence_and_its_trace_are_kept_for_the_operator(fleet: Fleet, enclave: FakeEnclave) -> None:
    store = MemoryStore()
    verifier = fleet.verifier(accepting_policy(reference_values=ReferenceValues()), store)
    evidence = enclave.answer(challenged(verifier, enclave))
    verifier.receive(evidence, NOW)
    (kept,) = Verdicts(store.crash())
    assert kept.evidence == evidence.payload
    assert kept.reason is Reason.MEASUREMENT_UNKNOWN
    assert kept.deciding is not None
    assert "reference_values.measurements" in kept.deciding.policy
    assert [line.claim for line in kept.trace if not line.holds] == ["tee.measurement"]


def test_on_connect_the_newest_revocation_list_is_published(fleet: Fleet) -> None:
    store, newest = MemoryStore(), fleet.revocations(4)
    fleet.verifier(store=store).receive(Delivery(fleet.topics.revocations, newest), NOW)
    (found,) = published(fleet.verifier(store=store.crash()).connected(NOW), fleet.topics.revocations)
    assert (found.payload, found.retain) == (newest, True)


def test_a_newer_revocation_list_is_put_back_over_an_older_one(fleet: Fleet) -> None:
    verifier = fleet.verifier()
    verifier.receive(Delivery(fleet.topics.revocations, fleet.revocations(4)), NOW)
    newer = fleet.revocations(5)
    events = verifier.receive(Delivery(fleet.topics.revocations, newer), NOW)
    assert [each.payload for each in published(events, fleet.topics.revocations)] == [newer]
    # Its own publication comes back to it, and goes round no further.
    assert verifier.receive(Delivery(fleet.topics.revocations, newer), NOW) == []


def test_a_store_that_fails_stops_the_verifier_before_anything_is_sent(fleet: Fleet, enclave: FakeEnclave) -> None:
    store = MemoryStore()
    verifier = fleet.verifier(store=store)
    store.crash()
    with pytest.raises(StoreError):
        verifier.receive(enclave.request(), NOW)


def test_a_damaged_record_stops_the_verifier_rather_than_make_it_forget(fleet: Fleet, enclave: FakeEnclave) -> None:
    store = MemoryStore()
    store.write("verifier-challenges", b"agent-1", b"\xff")
    with pytest.raises(StoreError):
        fleet.verifier(store=store).receive(enclave.request(), NOW)
    store.write("verifier-leases", b"agent-1", b"\xff")
    with pytest.raises(StoreError):
        fleet.verifier(store=store)


def test_a_passport_outlives_its_lease_for_nobody(fleet: Fleet, enclave: FakeEnclave) -> None:
    passport = attested(fleet.verifier(), enclave)
    passport.check_live(NOW + 299.9)
    with pytest.raises(Exception, match="lease has ended"):
        passport.check_live(NOW + 300)


def test_the_status_shows_policy_and_leases(fleet: Fleet, enclave: FakeEnclave) -> None:
    verifier = fleet.verifier()
    attested(verifier, enclave)
    (status,) = published(verifier.connected(NOW), fleet.topics.status(Role.VERIFIER, "verifier-1"))
    assert b'"leases": 1' in status.payload
    assert policy_id(accepting_policy()).encode() in status.payload
