"""The publisher on the bus: chunks before manifests, only what changed, one answer a request."""

import pytest

from broker.memory import MemoryBroker
from protocol.delivery import decrypt_chunks_untrusted, open_index_untrusted
from protocol.errors import ConfigurationError, StoreError
from protocol.manifests import ManifestBook
from protocol.party import Delivery, Event, Publication, Subscription
from publisher.policy import ReleasePolicy
from publisher.shelf import CHUNKS
from schemas.kinds import Role
from storage.store import MemoryStore
from tests.support.publishing import (
    DESCRIPTION,
    LATER,
    NOW,
    Fleet,
    module_of,
    noted,
    published,
    reason_of,
)

FLEET = Fleet(seed=7)
TOPICS = FLEET.topics


def chunk_topics(names: tuple[bytes, ...], model: str = "scan") -> list[str]:
    return [TOPICS.chunk(model, name) for name in names]


def retained_topics(events: list[Event]) -> list[str]:
    return [each.topic for each in published(events) if each.retain and "/model/" in each.topic]


# Publishing


def test_on_connect_all_chunks_go_out_before_the_manifest() -> None:
    store = MemoryStore()
    packaged = FLEET.package(store, module_of(1, 2, 3))
    party = FLEET.publisher_party(store)
    party.will(NOW)
    events = party.connected(NOW)
    assert retained_topics(events) == [*chunk_topics(packaged.manifest.chunks), TOPICS.manifest("scan")]
    assert Subscription(TOPICS.key("scan")) in events
    (said,) = noted(events, "model-published")
    assert (said.detail["version"], said.detail["chunks"], said.detail["unchanged"]) == (1, 3, 0)
    assert said.detail["bytes"] == sum(len(payload) for _, payload in store.items(CHUNKS))


def test_every_manifest_that_is_seen_has_its_chunks_retained() -> None:
    store, complete = MemoryStore(), []

    def watch(_: str | None, publication: Publication) -> None:
        if publication.topic == TOPICS.manifest("scan"):
            newest = packaged[-1].manifest
            complete.append(all(broker.retained.find(topic, NOW) for topic in chunk_topics(newest.chunks)))

    broker = MemoryBroker(tap=watch)
    packaged = [FLEET.package(store, module_of(1, 2))]
    party = FLEET.publisher_party(store)
    broker.start(party)
    for kinds in ((1, 3), (4, 3), (5,)):
        packaged.append(FLEET.package(store, module_of(*kinds)))
        broker.submit(party, lambda each, now: each.publish("scan", now))
    assert complete == [True] * 4
    left = {each.topic for each in broker.retained.matching(TOPICS.everything, NOW) if "/chunk/" in each.topic}
    assert left == set(chunk_topics(packaged[-1].manifest.chunks))


@pytest.mark.slow
def test_a_new_version_moves_only_what_changed_and_clears_what_is_gone() -> None:
    store = MemoryStore()
    first = FLEET.package(store, module_of(1, 2, 3, 4))
    party = FLEET.run(store)
    second = FLEET.package(store, module_of(1, 2, 9, 4))
    events = party.publish("scan", NOW)
    changed, gone = second.manifest.chunks[2], first.manifest.chunks[2]
    assert retained_topics(events) == [*chunk_topics((changed,)), TOPICS.manifest("scan"), *chunk_topics((gone,))]
    assert published(events)[-1] == Publication(TOPICS.chunk("scan", gone), b"", retain=True)
    (said,) = noted(events, "model-published")
    assert (said.detail["chunks"], said.detail["unchanged"]) == (1, 3)


def test_what_is_published_already_gives_no_events() -> None:
    store = MemoryStore()
    FLEET.package(store)
    party = FLEET.run(store)
    FLEET.package(store)
    assert party.publish("scan", NOW) == []


def test_a_model_first_packaged_while_it_runs_is_served_from_then_on() -> None:
    store = MemoryStore()
    party = FLEET.run(store)
    packaged = FLEET.package(store)
    assert Subscription(TOPICS.key("scan")) in party.publish("scan", NOW)
    enclave = FLEET.enclave()
    assert noted(party.receive(enclave.ask(packaged), NOW), "key-released")


def test_a_model_that_was_never_packaged_is_named() -> None:
    with pytest.raises(ConfigurationError, match="no model other"):
        FLEET.run(MemoryStore()).publish("other", NOW)


def test_stale_chunks_are_cleared_at_two_connects_and_then_forgotten() -> None:
    store = MemoryStore()
    first = FLEET.package(store, module_of(1))
    FLEET.package(store, module_of(2))
    (gone,) = chunk_topics(first.manifest.chunks)
    party = FLEET.publisher_party(store)
    cleared = [gone in [each.topic for each in published(party.connected(NOW))] for _ in range(3)]
    assert cleared == [True, True, False]


def test_a_model_packaged_but_not_published_keeps_the_chunks_of_the_version_before() -> None:
    store = MemoryStore()
    other = DESCRIPTION.model_copy(update={"name": "other"})
    first = FLEET.package(store, module_of(1))
    FLEET.package(store, module_of(1), other)
    party = FLEET.run(store)
    FLEET.package(store, module_of(2))
    FLEET.package(store, module_of(2), other)
    topics = [each.topic for each in published(party.publish("other", NOW))]
    assert chunk_topics(first.manifest.chunks)[0] not in topics


def test_a_version_packaged_between_two_connects_is_served_after_the_second() -> None:
    store = MemoryStore()
    old = FLEET.package(store, module_of(1))
    party = FLEET.run(store)
    new = FLEET.package(store, module_of(2))
    party.will(NOW)
    party.connected(NOW)
    enclave = FLEET.enclave()
    assert reason_of(party.receive(enclave.ask(old), NOW)) == "stale"
    assert noted(party.receive(enclave.ask(new), NOW), "key-released")


def test_until_it_is_published_the_version_before_is_released() -> None:
    store = MemoryStore()
    old = FLEET.package(store, module_of(1))
    party, enclave = FLEET.run(store), FLEET.enclave()
    FLEET.package(store, module_of(2))
    (answer,) = published(party.receive(enclave.ask(old), NOW))
    assert open_index_untrusted(old.manifest, enclave.grant(answer).content_key)


def test_a_manifest_that_everybody_would_refuse_is_withheld_and_says_why() -> None:
    fleet, store = Fleet(), MemoryStore()
    ending = fleet.credential("publisher-1", Role.PUBLISHER, fleet.publisher.public, expires=int(NOW) + 10)
    fleet.package(store, module_of(1, 2), credential=ending)
    party = fleet.publisher_party(store)
    events = party.connected(NOW + 10)
    assert retained_topics(events) == []
    assert "expired" in str(noted(events, "model-withheld")[0].detail["why"])
    renewed = fleet.package(store, module_of(1, 2))
    assert retained_topics(party.publish("scan", NOW + 10)) == [
        *chunk_topics(renewed.manifest.chunks),
        TOPICS.manifest("scan"),
    ]


@pytest.mark.parametrize("change", [{"publisher": "publisher-2"}, {"fleet": "elsewhere"}])
def test_a_store_of_another_publisher_is_refused(change: dict[str, str]) -> None:
    store = MemoryStore()
    FLEET.package(store, **change)
    with pytest.raises(ConfigurationError, match="another publisher"):
        FLEET.publisher_party(store)


def test_a_damaged_chunk_is_not_published() -> None:
    store = MemoryStore()
    packaged = FLEET.package(store)
    store.write(CHUNKS, packaged.manifest.chunks[0], b"other bytes")
    with pytest.raises(StoreError, match="package the model again"):
        FLEET.publisher_party(store).connected(NOW)


# Lending keys


def test_an_attested_enclave_is_lent_the_key_that_opens_the_model() -> None:
    store, module = MemoryStore(), module_of(1, 2)
    packaged = FLEET.package(store, module)
    party, enclave = FLEET.run(store), FLEET.enclave()
    asked = enclave.ask(packaged)
    events = party.receive(asked, NOW)
    (answer,) = published(events)
    grant = enclave.grant(answer)
    assert (answer.topic, answer.correlation) == (TOPICS.inbox("agent", "agent-1"), asked.correlation)
    assert (grant.model, grant.version, grant.manifest, grant.agent) == ("scan", 1, packaged.digest, "agent-1")
    index = open_index_untrusted(packaged.manifest, grant.content_key)
    chunks = [payload for _, payload in store.items(CHUNKS)]
    assert decrypt_chunks_untrusted(packaged.manifest, index, chunks) == module
    assert noted(events, "key-released")[0].detail == {
        "agent": "agent-1",
        "model": "scan",
        "version": 1,
        "tier": "simulated",
        "lease_seconds": 300,
    }


@pytest.mark.parametrize(("passport_seconds", "key_seconds", "lent"), [(300, 60, 60), (120, 300, 120)])
def test_the_lease_ends_with_the_policy_or_the_passport(passport_seconds: int, key_seconds: int, lent: int) -> None:
    store = MemoryStore()
    packaged = FLEET.package(store)
    party, enclave = FLEET.run(store, ReleasePolicy(key_lease_seconds=key_seconds)), FLEET.enclave()
    passport = enclave.passport(expires=int(NOW) + passport_seconds)
    (answer,) = published(party.receive(enclave.ask(packaged, attestation_result=passport), NOW))
    assert enclave.grant(answer).expires == int(NOW) + lent
    assert answer.expiry == lent


def test_a_duplicate_is_answered_with_the_same_bytes_and_prolongs_nothing() -> None:
    store = MemoryStore()
    party, enclave = FLEET.run(store), FLEET.enclave()
    asked = enclave.ask(FLEET.package(store))
    party.publish("scan", NOW)
    (first,) = published(party.receive(asked, NOW))
    (again,) = published(party.receive(asked, NOW + 100))
    assert again.payload == first.payload
    assert enclave.grant(again).expires == int(NOW) + 300
    assert again.expiry == 200
    assert (party.board.counts["released"], party.board.counts["repeated"]) == (1, 1)


def test_answers_are_kept_in_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("publisher.publisher.MAX_ANSWERS", 3)
    store = MemoryStore()
    packaged = FLEET.package(store)
    party, enclave = FLEET.run(store), FLEET.enclave()
    asked = [enclave.ask(packaged) for _ in range(5)]
    answers = [published(party.receive(each, NOW))[0] for each in asked]
    assert len(party._answers) == 3
    repeated = [published(party.receive(each, NOW))[0] for each in asked[2:]]
    assert repeated == answers[2:]
    assert published(party.receive(asked[0], NOW))[0].payload != answers[0].payload


def test_renewal_is_a_new_request_under_a_renewed_passport() -> None:
    store = MemoryStore()
    packaged = FLEET.package(store)
    party, enclave = FLEET.run(store), FLEET.enclave()
    party.receive(enclave.ask(packaged), NOW)
    renewed = enclave.passport(issued=int(NOW) + 150, expires=int(NOW) + 450, sequence=int(NOW * 1000) + 150_000)
    asked = enclave.ask(packaged, attestation_result=renewed, issued=int(NOW) + 150)
    (answer,) = published(party.receive(asked, NOW + 150))
    assert enclave.grant(answer).expires == int(NOW) + 450


def test_a_release_policy_narrows_agents_and_measurements() -> None:
    store = MemoryStore()
    packaged = FLEET.package(store)
    enclave, other = FLEET.enclave(), FLEET.enclave("agent-2", measurement=bytes([8]) * 32)
    policies = {
        "role-not-allowed": ReleasePolicy(agents=frozenset({"agent-1"})),
        "measurement-unknown": ReleasePolicy(measurements=frozenset({enclave.measurement.hex()})),
    }
    for reason, policy in policies.items():
        party = FLEET.run(store, policy)
        assert reason_of(party.receive(enclave.ask(packaged), NOW)) is None
        refused = party.receive(other.ask(packaged), NOW)
        assert reason_of(refused) == reason
        assert str(noted(refused, "refused")[0].detail["policy"]).startswith("release.")
    nobody = FLEET.run(store, ReleasePolicy(agents=frozenset()))
    assert reason_of(nobody.receive(enclave.ask(packaged), NOW)) == "role-not-allowed"


def test_a_refusal_is_signed_bound_to_the_request_and_says_why() -> None:
    store = MemoryStore()
    old = FLEET.package(store, module_of(1))
    FLEET.package(store, module_of(2))
    party, enclave = FLEET.run(store), FLEET.enclave()
    asked = enclave.ask(old)
    (answer,) = published(party.receive(asked, NOW))
    refusal = enclave.refusal(answer)
    assert answer.correlation == asked.correlation
    assert (refusal.reason, refusal.expected, refusal.found) == ("stale", "2", "1")


def test_without_a_current_revocation_list_nothing_is_released() -> None:
    store = MemoryStore()
    packaged = FLEET.package(store)
    party, enclave = FLEET.publisher_party(store), FLEET.enclave()
    party.connected(NOW)
    asked = enclave.ask(packaged)
    assert reason_of(party.receive(asked, NOW)) == "stale"
    party.receive(FLEET.revoking(), NOW)
    assert reason_of(party.receive(asked, NOW)) is None
    assert reason_of(party.receive(enclave.ask(packaged), LATER)) is not None


def test_a_topic_that_is_not_served_is_refused() -> None:
    party = FLEET.run(MemoryStore())
    for topic in (TOPICS.key("other"), TOPICS.manifest("scan"), "anything"):
        assert reason_of(party.receive(Delivery(topic, b"x"), NOW)) == "model-unknown"


def test_passports_that_ended_are_not_held() -> None:
    store = MemoryStore()
    packaged = FLEET.package(store)
    party = FLEET.run(store)
    for number in range(5):
        enclave = FLEET.enclave(f"agent-{number}")
        now = NOW + 400 * number
        passport = enclave.passport(issued=int(now), expires=int(now) + 300)
        events = party.receive(enclave.ask(packaged, issued=int(now), attestation_result=passport), now)
        assert noted(events, "key-released")
        assert len(list(party._passports)) == 1


def test_everybody_accepts_the_manifests_over_a_restart_with_the_same_store() -> None:
    store = MemoryStore()
    book = ManifestBook(FLEET.trust(), MemoryStore())
    for version in (1, 2, 3):
        FLEET.package(store, module_of(version))
        store = store.crash()
        manifests = [
            each for each in published(FLEET.publisher_party(store).connected(NOW)) if each.topic.endswith("manifest")
        ]
        accepted = book.accept_untrusted(manifests[0].payload, "scan", NOW)
        assert accepted is not None
        assert accepted.version == version


def test_the_status_counts_what_was_done_and_its_proof_is_signed() -> None:
    store = MemoryStore()
    packaged = FLEET.package(store)
    broker = MemoryBroker()
    party, enclave = FLEET.publisher_party(store), FLEET.enclave()
    broker.start(party)
    broker.deliver(party, FLEET.revoking())
    broker.deliver(party, enclave.ask(packaged))
    broker.advance(2)
    status = broker.retained.find(TOPICS.status(Role.PUBLISHER, "publisher-1"), broker.now)
    assert status is not None
    assert b'"released": 1' in status.payload
    assert b'"models": 1' in status.payload
