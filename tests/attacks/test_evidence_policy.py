"""Attacks on the appraisal (P5, P6, P9, P13): wrong or revoked code, debuggers, simulation passed off as hardware."""

from collections.abc import Callable

import pytest

from protocol.party import Delivery
from schemas.kinds import Role, Tier
from schemas.policy import AppraisalPolicy, ReferenceValues, Tiers
from schemas.reason import Reason
from schemas.status import RevocationKind
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
    challenged,
    noted,
    passport_in,
    published,
    simulated_evidence,
)
from verifier.policy import policy_id
from verifier.verifier import Verifier

Revoked = Callable[[FakeEnclave], tuple[RevocationKind, bytes]]

REVOKED: dict[str, Revoked] = {
    "chip": lambda enclave: ("chip", enclave.chip),
    "measurement": lambda enclave: ("measurement", MEASUREMENT),
    "key": lambda enclave: ("key", enclave.signing.public.thumbprint),
    "credential": lambda enclave: (
        "credential",
        enclave.fleet.trust().identify_untrusted(enclave.enrolment, NOW, Role.AGENT).identifier,
    ),
}


def test_an_unknown_measurement(verifier: Verifier, fleet: Fleet, enclave: FakeEnclave) -> None:
    challenge = challenged(verifier, enclave)
    tee = enclave.tee(challenge, enclave.claims(challenge), b"\x66" * 32)
    refusal = assert_refused(
        verifier.receive(enclave.answer(challenge, tee=tee), NOW), fleet, Reason.MEASUREMENT_UNKNOWN
    )
    assert (refusal.claim, refusal.found) == ("tee.measurement", "66" * 8)
    assert refusal.expected == "aa" * 8
    assert refusal.policy == f"{policy_id(accepting_policy())} reference_values.measurements"


def test_a_configuration_that_is_not_a_reference_value(fleet: Fleet, enclave: FakeEnclave) -> None:
    values = ReferenceValues(measurements=(MEASUREMENT.hex(),), configurations=("ee" * 32,))
    verifier = fleet.verifier(accepting_policy(reference_values=values))
    events = verifier.receive(enclave.answer(challenged(verifier, enclave)), NOW)
    refusal = assert_refused(events, fleet, Reason.MEASUREMENT_UNKNOWN)
    assert (refusal.claim, refusal.found) == ("claims.configuration", CONFIGURATION.hex()[:16])


def test_a_debugged_enclave(verifier: Verifier, fleet: Fleet, enclave: FakeEnclave) -> None:
    """All else is right; the host can read the enclave's memory."""
    challenge = challenged(verifier, enclave)
    tee = simulated_evidence(enclave.chip_key, enclave.report_data(challenge, enclave.claims(challenge)), debug=True)
    refusal = assert_refused(verifier.receive(enclave.answer(challenge, tee=tee), NOW), fleet, Reason.DEBUG_ENABLED)
    assert (refusal.expected, refusal.found) == ("off", "on")


def test_debugging_passes_only_where_the_policy_says_so(fleet: Fleet, enclave: FakeEnclave) -> None:
    verifier = fleet.verifier(accepting_policy(allow_debug=True))
    challenge = challenged(verifier, enclave)
    tee = simulated_evidence(enclave.chip_key, enclave.report_data(challenge, enclave.claims(challenge)), debug=True)
    passport = passport_in(verifier.receive(enclave.answer(challenge, tee=tee), NOW), fleet)
    assert passport.result.submodules["tee"].vector.runtime_opaque is None


@pytest.mark.parametrize(
    "policy",
    [
        AppraisalPolicy(reference_values=ReferenceValues(measurements=(MEASUREMENT.hex(),))),
        accepting_policy(tiers=Tiers(accept=())),
    ],
    ids=["default tiers", "no tiers"],
)
def test_simulation_under_a_policy_that_does_not_name_it(
    fleet: Fleet, enclave: FakeEnclave, policy: AppraisalPolicy
) -> None:
    verifier = fleet.verifier(policy)
    events = verifier.receive(enclave.answer(challenged(verifier, enclave)), NOW)
    refusal = assert_refused(events, fleet, Reason.TIER_NOT_ACCEPTED)
    assert (refusal.claim, refusal.expected, refusal.found) == ("tee.tier", "none", "simulated")
    assert refusal.policy is not None
    assert refusal.policy.endswith(" tiers.accept")


def test_the_default_policy_affirms_nobody(fleet: Fleet, enclave: FakeEnclave) -> None:
    verifier = fleet.verifier(AppraisalPolicy())
    events = verifier.receive(enclave.answer(challenged(verifier, enclave)), NOW)
    assert_refused(events, fleet, Reason.MEASUREMENT_UNKNOWN)


@pytest.mark.parametrize("media_type", ["application/vnd.sev-snp", "", "x" * 256])
def test_simulated_evidence_under_the_name_of_hardware(
    verifier: Verifier, fleet: Fleet, enclave: FakeEnclave, media_type: str
) -> None:
    challenge = challenged(verifier, enclave)
    events = verifier.receive(enclave.answer(challenge, media_type=media_type), NOW)
    assert_refused(events, fleet, Reason.UNSUPPORTED)


def test_simulated_evidence_of_another_profile(verifier: Verifier, fleet: Fleet, enclave: FakeEnclave) -> None:
    challenge = challenged(verifier, enclave)
    bound = enclave.report_data(challenge, enclave.claims(challenge))
    tee = simulated_evidence(enclave.chip_key, bound, profile="tag:sealedge.dev,2027:sev-snp")
    assert_refused(verifier.receive(enclave.answer(challenge, tee=tee), NOW), fleet, Reason.UNSUPPORTED)


def test_claims_of_another_profile(verifier: Verifier, fleet: Fleet, enclave: FakeEnclave) -> None:
    challenge = challenged(verifier, enclave)
    claims = enclave.claims(challenge, profile="tag:sealedge.dev,2020:enclave#0")
    assert_refused(verifier.receive(enclave.answer(challenge, claims=claims), NOW), fleet, Reason.UNSUPPORTED)


def test_an_enrolment_that_has_ended(verifier: Verifier, fleet: Fleet, enclave: FakeEnclave) -> None:
    ended = fleet.enrol("agent-1", enclave.chip, expires=int(NOW))
    assert_refused(verifier.receive(enclave.request(credential=ended), NOW), fleet, Reason.EXPIRED)
    challenge = challenged(verifier, enclave, NOW + 2)
    events = verifier.receive(enclave.answer(challenge, NOW + 2, enrolment=ended), NOW + 2)
    assert_refused(events, fleet, Reason.EXPIRED)


@pytest.mark.parametrize("kind", REVOKED)
def test_revoked_things_get_no_passport(fleet: Fleet, enclave: FakeEnclave, kind: str) -> None:
    verifier = fleet.verifier()
    challenge = challenged(verifier, enclave)
    revocations = fleet.revocations(1, REVOKED[kind](enclave))
    verifier.receive(Delivery(fleet.topics.revocations, revocations), NOW)
    assert_refused(verifier.receive(enclave.answer(challenge), NOW), fleet, Reason.REVOKED)


@pytest.mark.parametrize("kind", ["key", "credential"])
def test_revoked_keys_and_enrolments_are_not_even_challenged(fleet: Fleet, enclave: FakeEnclave, kind: str) -> None:
    verifier = fleet.verifier()
    revocations = fleet.revocations(1, REVOKED[kind](enclave))
    verifier.receive(Delivery(fleet.topics.revocations, revocations), NOW)
    events = verifier.receive(enclave.request(), NOW)
    assert_refused(events, fleet, Reason.REVOKED)
    assert published(events, fleet.topics.challenge("agent-1")) == []


@pytest.mark.parametrize("kind", REVOKED)
def test_revocation_ends_the_lease_and_clears_the_retained_result(
    fleet: Fleet, enclave: FakeEnclave, kind: str
) -> None:
    store = MemoryStore()
    verifier = fleet.verifier(store=store)
    evidence = enclave.answer(challenged(verifier, enclave))
    verifier.receive(evidence, NOW)
    revocations = fleet.revocations(1, REVOKED[kind](enclave))
    events = verifier.receive(Delivery(fleet.topics.revocations, revocations), NOW + 1)
    (cleared,) = published(events, fleet.topics.result("agent-1"))
    assert (cleared.payload, cleared.retain) == (b"", True)
    (ended,) = noted(events, "lease-ended")
    assert ended["agent"] == "agent-1"
    assert ended["why"].startswith("revoked")
    # Neither the recorded evidence, nor a reconnect, nor the renewal brings it back; nor do they after a restart.
    for restarted in (False, True):
        again = fleet.verifier(store=store.crash()) if restarted else verifier
        assert_refused(again.receive(evidence, NOW + 5), fleet, Reason.NONCE_UNKNOWN)
        assert published(again.connected(NOW + 5), fleet.topics.result("agent-1")) == []
        assert published(again.expire(NOW + 200), fleet.topics.challenge("agent-1")) == []


def test_revocation_of_a_lease_that_has_ended_clears_nothing(fleet: Fleet, enclave: FakeEnclave) -> None:
    """The agent may have a newer result by another verifier on the same topic."""
    verifier = fleet.verifier()
    attested(verifier, enclave)
    revocations = fleet.revocations(1, ("chip", enclave.chip))
    events = verifier.receive(Delivery(fleet.topics.revocations, revocations), NOW + 300)
    assert published(events, fleet.topics.result("agent-1")) == []
    assert len(noted(events, "lease-ended")) == 1


def test_revocation_ends_no_other_lease(fleet: Fleet, enclave: FakeEnclave) -> None:
    verifier = fleet.verifier()
    attested(verifier, enclave)
    other = FakeEnclave(fleet, "agent-2")
    passport = attested(verifier, other)
    revocations = fleet.revocations(1, ("chip", enclave.chip))
    events = verifier.receive(Delivery(fleet.topics.revocations, revocations), NOW + 1)
    assert published(events, fleet.topics.result("agent-2")) == []
    assert passport_in(verifier.connected(NOW + 2), fleet, "agent-2", NOW + 2).document == passport.document


def test_a_revocation_that_came_while_the_verifier_was_dying(fleet: Fleet, enclave: FakeEnclave) -> None:
    """The list is stored, the lease is not ended yet: it is ended at the next connect."""
    store = MemoryStore()
    attested(fleet.verifier(store=store), enclave)
    fleet.trust(store).revocations.accept_untrusted(fleet.revocations(1, ("chip", enclave.chip)))
    events = fleet.verifier(store=store.crash()).connected(NOW + 1)
    (cleared,) = published(events, fleet.topics.result("agent-1"))
    assert cleared.payload == b""


def test_a_cleared_result_that_a_crash_kept_on_the_broker(fleet: Fleet, enclave: FakeEnclave) -> None:
    """The lease has ended in the store, the broker never heard: it hears when the revoked enclave tries again."""
    store = MemoryStore()
    verifier = fleet.verifier(store=store)
    attested(verifier, enclave)
    verifier.receive(Delivery(fleet.topics.revocations, fleet.revocations(1, ("chip", enclave.chip))), NOW)
    again = fleet.verifier(store=store.crash())
    events = again.receive(enclave.answer(challenged(again, enclave, NOW + 2), NOW + 2), NOW + 2)
    assert_refused(events, fleet, Reason.REVOKED)
    assert [each.payload for each in published(events, fleet.topics.result("agent-1"))] == [b""]


def test_revoked_evidence_does_not_end_the_honest_lease_of_the_same_agent(fleet: Fleet, enclave: FakeEnclave) -> None:
    """A chip of the agent's was lost and revoked; whoever holds it cannot take the other chip's passport away."""
    lost = FakeEnclave(fleet, "agent-1")
    lost.enrolment = enclave.enrolment = fleet.enrol("agent-1", enclave.chip, lost.chip)
    verifier = fleet.verifier()
    verifier.receive(Delivery(fleet.topics.revocations, fleet.revocations(1, ("chip", lost.chip))), NOW)
    attested(verifier, enclave)
    events = verifier.receive(lost.answer(challenged(verifier, lost, NOW + 2), NOW + 2), NOW + 2)
    assert_refused(events, fleet, Reason.REVOKED)
    assert published(events, fleet.topics.result("agent-1")) == []


@pytest.mark.parametrize("payload", [b"", b"\xff", b"forged"])
def test_a_forged_or_emptied_revocation_list_frees_nobody(fleet: Fleet, enclave: FakeEnclave, payload: bytes) -> None:
    verifier = fleet.verifier()
    topic = fleet.topics.revocations
    verifier.receive(Delivery(topic, fleet.revocations(7, ("chip", enclave.chip))), NOW)
    rival = Fleet("plant", seed=9)
    for attempt in (payload, fleet.revocations(6), rival.revocations(8)):
        verifier.receive(Delivery(topic, attempt), NOW)
    assert_refused(verifier.receive(enclave.answer(challenged(verifier, enclave)), NOW), fleet, Reason.REVOKED)


def test_a_failed_renewal_does_not_end_the_lease_that_still_runs(fleet: Fleet, enclave: FakeEnclave) -> None:
    """Or whoever can spoil one answer could end a lease that everybody relies on."""
    verifier = fleet.verifier()
    passport = attested(verifier, enclave)
    impostor = FakeEnclave(fleet, "agent-1", enrolment=enclave.enrolment)
    challenge = challenged(verifier, impostor, NOW + 2)
    assert_refused(verifier.receive(impostor.answer(challenge, NOW + 2), NOW + 2), fleet, Reason.CHIP_NOT_ALLOWED)
    assert passport_in(verifier.connected(NOW + 3), fleet, now=NOW + 3).document == passport.document


def test_the_tier_of_a_passport_is_the_appraiser_s_and_not_the_agent_s(
    verifier: Verifier, fleet: Fleet, enclave: FakeEnclave
) -> None:
    assert attested(verifier, enclave).result.tier is Tier.SIMULATED
