"""Attacks on freshness (P4, P7, P8): replays, chosen nonces, restarts, expired challenges, clocks that lie."""

import pytest

from protocol.attestation import PassportBook
from protocol.errors import FreshnessError
from protocol.party import Delivery
from schemas.reason import Reason
from storage.store import MemoryStore, SqliteStore
from tests.support.enclaves import (
    NOW,
    FakeEnclave,
    Fleet,
    assert_refused,
    assert_serves_others,
    attested,
    challenge_in,
    challenged,
    passport_in,
    published,
)
from verifier.verifier import Verifier


def test_an_answered_nonce_answered_again_with_new_keys(verifier: Verifier, fleet: Fleet, enclave: FakeEnclave) -> None:
    """The machine is genuine and answers one nonce twice, with other keys the second time."""
    challenge = challenged(verifier, enclave)
    verifier.receive(enclave.answer(challenge), NOW)
    enclave.restart()
    assert_refused(verifier.receive(enclave.answer(challenge), NOW), fleet, Reason.NONCE_UNKNOWN)


def test_replayed_evidence_extends_no_lease(verifier: Verifier, fleet: Fleet, enclave: FakeEnclave) -> None:
    """The recorded message gives what it gave: the same bytes, the same end. Once that has come, nothing."""
    recorded = enclave.answer(challenged(verifier, enclave))
    first = passport_in(verifier.receive(recorded, NOW), fleet)
    for later in (NOW + 1, NOW + 299):
        events = verifier.receive(recorded, later)
        assert passport_in(events, fleet, now=later).document == first.document
        assert published(events, fleet.topics.result("agent-1"))[0].expiry == int(NOW + 300 - later)
    assert_refused(verifier.receive(recorded, NOW + 300), fleet, Reason.NONCE_UNKNOWN)


def test_replayed_evidence_of_an_earlier_lease(verifier: Verifier, fleet: Fleet, enclave: FakeEnclave) -> None:
    """An old passport, of keys that the enclave has left behind, does not come back over a newer one."""
    old = enclave.answer(challenged(verifier, enclave))
    verifier.receive(old, NOW)
    enclave.restart()
    attested(verifier, enclave, NOW + 2)
    assert_refused(verifier.receive(old, NOW + 3), fleet, Reason.NONCE_UNKNOWN)


def test_a_failed_answer_uses_the_nonce_up(verifier: Verifier, fleet: Fleet, enclave: FakeEnclave) -> None:
    """Nobody may try answers until one fits."""
    challenge = challenged(verifier, enclave)
    wrong = enclave.answer(challenge, tee=enclave.tee(challenge, enclave.claims(challenge), bytes(32)))
    assert_refused(verifier.receive(wrong, NOW), fleet, Reason.MEASUREMENT_UNKNOWN)
    assert_refused(verifier.receive(enclave.answer(challenge), NOW + 1), fleet, Reason.NONCE_UNKNOWN)


@pytest.mark.parametrize("nonce", [bytes(32), b"\xff" * 32])
def test_a_nonce_that_the_prover_chose(verifier: Verifier, fleet: Fleet, enclave: FakeEnclave, nonce: bytes) -> None:
    """Everything is consistent and bound to the nonce; only the verifier never sent it."""
    chosen = challenged(verifier, enclave).model_copy(update={"nonce": nonce})
    assert_refused(verifier.receive(enclave.answer(chosen), NOW), fleet, Reason.NONCE_UNKNOWN)


def test_a_challenge_that_the_prover_signed_over(verifier: Verifier, fleet: Fleet, enclave: FakeEnclave) -> None:
    """The claims name an open nonce, the TEE's evidence a chosen one."""
    challenge = challenged(verifier, enclave)
    chosen = challenge.model_copy(update={"nonce": bytes(32)})
    tee = enclave.tee(chosen, enclave.claims(challenge))
    assert_refused(verifier.receive(enclave.answer(challenge, tee=tee), NOW), fleet, Reason.BINDING_MISMATCH)


def test_another_agent_s_open_nonce_is_neither_usable_nor_used_up(
    verifier: Verifier, fleet: Fleet, enclave: FakeEnclave
) -> None:
    attacker = FakeEnclave(fleet, "agent-2")
    challenge = challenged(verifier, enclave)
    stolen = challenge.model_copy(update={"agent": "agent-2"})
    assert_refused(verifier.receive(attacker.answer(stolen), NOW), fleet, Reason.NONCE_UNKNOWN, "agent-2")
    assert passport_in(verifier.receive(enclave.answer(challenge), NOW), fleet).agent == "agent-1"


def test_a_consumed_nonce_stays_consumed_over_a_restart(fleet: Fleet, store: MemoryStore, enclave: FakeEnclave) -> None:
    before = fleet.verifier(store=store)
    challenge = challenged(before, enclave)
    before.receive(enclave.answer(challenge), NOW)
    enclave.restart()
    after = fleet.verifier(store=store.crash())
    after.connected(NOW + 1)
    assert_refused(after.receive(enclave.answer(challenge), NOW + 1), fleet, Reason.NONCE_UNKNOWN)
    assert_serves_others(after, fleet, NOW + 1)


def test_a_nonce_stays_consumed_if_the_verifier_dies_while_it_appraises(
    fleet: Fleet, store: MemoryStore, enclave: FakeEnclave, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = fleet.verifier(store=store)
    evidence = enclave.answer(challenged(before, enclave))

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr("verifier.verifier.authenticate_untrusted", die)
        with pytest.raises(KeyboardInterrupt):
            before.receive(evidence, NOW)
    after = fleet.verifier(store=store.crash())
    assert_refused(after.receive(evidence, NOW), fleet, Reason.NONCE_UNKNOWN)


def test_an_open_nonce_stays_open_over_a_restart(fleet: Fleet, store: MemoryStore, enclave: FakeEnclave) -> None:
    challenge = challenged(fleet.verifier(store=store), enclave)
    after = fleet.verifier(store=store.crash())
    after.connected(NOW + 5)
    assert passport_in(after.receive(enclave.answer(challenge, NOW + 5), NOW + 5), fleet, now=NOW + 5)


def test_nonces_on_a_disk_survive_too(fleet: Fleet, enclave: FakeEnclave, tmp_path: object) -> None:
    path = f"{tmp_path}/verifier.db"
    with SqliteStore(path) as disk:
        before = fleet.verifier(store=disk)
        used, unused = challenged(before, enclave), challenged(before, enclave, purpose="model-loaded")
        attacked = enclave.answer(used)
        before.receive(attacked, NOW)
    enclave.restart()
    with SqliteStore(path) as disk:
        after = fleet.verifier(store=disk)
        assert_refused(after.receive(enclave.answer(used), NOW), fleet, Reason.NONCE_UNKNOWN)
        assert passport_in(after.receive(enclave.answer(unused), NOW), fleet)


@pytest.mark.parametrize("late", [60, 61, 3600])
def test_an_expired_challenge(verifier: Verifier, fleet: Fleet, enclave: FakeEnclave, late: int) -> None:
    challenge = challenged(verifier, enclave)
    now = NOW + late
    assert_refused(verifier.receive(enclave.answer(challenge, now), now), fleet, Reason.EXPIRED)
    assert_refused(verifier.receive(enclave.answer(challenge, now), now + 1), fleet, Reason.NONCE_UNKNOWN)


def test_an_expired_challenge_after_a_restart(fleet: Fleet, store: MemoryStore, enclave: FakeEnclave) -> None:
    challenge = challenged(fleet.verifier(store=store), enclave)
    after = fleet.verifier(store=store.crash())
    after.connected(NOW + 60)
    events = after.receive(enclave.answer(challenge, NOW + 60), NOW + 60)
    assert_refused(events, fleet, Reason.NONCE_UNKNOWN)


@pytest.mark.parametrize(("offset", "reason"), [(-3600, Reason.EXPIRED), (3600, Reason.NOT_YET_VALID)])
def test_an_enclave_whose_clock_lies(
    verifier: Verifier, fleet: Fleet, enclave: FakeEnclave, offset: int, reason: Reason
) -> None:
    challenge = challenged(verifier, enclave)
    claims = enclave.claims(challenge, issued=int(NOW) + offset)
    refusal = assert_refused(verifier.receive(enclave.answer(challenge, claims=claims), NOW), fleet, reason)
    assert refusal.claim == "claims.issued"


@pytest.mark.parametrize(("offset", "reason"), [(-61, Reason.EXPIRED), (61, Reason.NOT_YET_VALID)])
def test_a_recorded_or_postdated_attestation_request(
    verifier: Verifier, fleet: Fleet, enclave: FakeEnclave, offset: int, reason: Reason
) -> None:
    events = verifier.receive(enclave.request(NOW + offset), NOW)
    assert_refused(events, fleet, reason)
    assert published(events, fleet.topics.challenge("agent-1")) == []


def test_a_stale_retained_result_is_refused_by_whoever_saw_a_newer_one(
    verifier: Verifier, fleet: Fleet, enclave: FakeEnclave
) -> None:
    old, new = attested(verifier, enclave), attested(verifier, enclave, NOW + 2)
    held = MemoryStore()
    PassportBook(fleet.trust(), held).accept_untrusted(new.document, "agent-1", NOW + 3)
    with pytest.raises(FreshnessError) as caught:
        PassportBook(fleet.trust(), held.crash()).accept_untrusted(old.document, "agent-1", NOW + 3)
    assert caught.value.reason is Reason.STALE


def test_results_never_repeat_a_sequence_number(fleet: Fleet, store: MemoryStore, enclave: FakeEnclave) -> None:
    """Not within one millisecond, not after a restart, not after the clock was set back."""
    seen = []
    for now in (NOW, NOW, NOW - 30, NOW + 0.0001):
        verifier = fleet.verifier(store=store)
        seen.append(attested(verifier, enclave, now).result.sequence)
        store = store.crash()
    assert seen == sorted(set(seen))


def test_a_retained_copy_of_a_request_earns_nothing_when_the_verifier_returns(
    verifier: Verifier, fleet: Fleet, enclave: FakeEnclave
) -> None:
    old = enclave.request()
    retained = Delivery(old.topic, old.payload, retained=True)
    assert_refused(verifier.receive(retained, NOW + 3600), fleet, Reason.EXPIRED)


def test_a_renewal_cannot_be_answered_by_recorded_evidence(
    verifier: Verifier, fleet: Fleet, enclave: FakeEnclave
) -> None:
    recorded = enclave.answer(challenged(verifier, enclave))
    first = passport_in(verifier.receive(recorded, NOW), fleet)
    challenge = challenge_in(verifier.expire(NOW + 150), fleet)
    again = Delivery(recorded.topic, recorded.payload, correlation=challenge.nonce)
    events = verifier.receive(again, NOW + 151)
    assert passport_in(events, fleet, now=NOW + 151).result.expires == first.result.expires
