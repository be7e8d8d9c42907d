"""Attacks on what evidence is bound to (P2, P5): another machine's, another agent's, another fleet's, other keys."""

import pytest

from edge_agent.attester import SimulatedAttester
from protocol.attestation import report_data
from protocol.envelope import Address
from protocol.keys import KemPrivateKey, SigningKey
from protocol.messages import encode_message
from protocol.party import Delivery
from protocol.trust import confirmation
from schemas.attestation import LoadedModel
from schemas.kinds import Role
from schemas.reason import Reason
from tests.support.enclaves import (
    MEASUREMENT,
    NOW,
    FakeEnclave,
    Fleet,
    assert_refused,
    attested,
    challenged,
    published,
    simulated_evidence,
)
from verifier.verifier import Verifier


@pytest.fixture
def victim(fleet: Fleet) -> FakeEnclave:
    return FakeEnclave(fleet, "agent-1")


@pytest.fixture
def other(fleet: Fleet) -> FakeEnclave:
    """Another enrolled agent of the same fleet, on its own chip, under the attacker's thumb."""
    return FakeEnclave(fleet, "agent-2")


def test_relayed_evidence_of_another_agent(
    verifier: Verifier, fleet: Fleet, victim: FakeEnclave, other: FakeEnclave
) -> None:
    """An honest machine's whole message, moved to the topic of an agent that has no such machine."""
    answer = other.answer(challenged(verifier, other))
    challenged(verifier, victim)
    moved = Delivery(fleet.topics.evidence("agent-1"), answer.payload, correlation=answer.correlation)
    assert_refused(verifier.receive(moved, NOW), fleet, Reason.NONCE_UNKNOWN)
    # And the one that it was stolen from can still use its nonce.
    assert len(published(verifier.receive(answer, NOW), fleet.topics.result("agent-2"))) == 1


def test_relayed_tee_evidence_inside_an_own_message(
    verifier: Verifier, fleet: Fleet, victim: FakeEnclave, other: FakeEnclave
) -> None:
    """A genuine TEE's signature over its own answer does not vouch for somebody else's keys."""
    theirs = challenged(verifier, other)
    stolen = other.tee(theirs, other.claims(theirs))
    challenge = challenged(verifier, victim)
    events = verifier.receive(victim.answer(challenge, tee=stolen), NOW)
    assert_refused(events, fleet, Reason.BINDING_MISMATCH)


def test_the_challenge_of_one_agent_answered_by_a_genuine_enclave_of_another(
    verifier: Verifier, fleet: Fleet, victim: FakeEnclave, other: FakeEnclave
) -> None:
    """The machine answers a nonce that was meant for another, truthfully: it says who it is, and that is refused."""
    challenge = challenged(verifier, victim)
    answer = other.answer(challenge, topic=fleet.topics.evidence("agent-1"), enrolment=victim.enrolment)
    assert_refused(verifier.receive(answer, NOW), fleet, Reason.MISADDRESSED)


def test_any_genuine_machine_is_not_enough(verifier: Verifier, fleet: Fleet, victim: FakeEnclave) -> None:
    """Right measurement, right claims, a real chip of the fleet, but not one of this agent's."""
    impostor = FakeEnclave(fleet, "agent-1", enrolment=victim.enrolment)
    refusal = assert_refused(
        verifier.receive(impostor.answer(challenged(verifier, impostor)), NOW), fleet, Reason.CHIP_NOT_ALLOWED
    )
    assert (refusal.claim, refusal.policy) == ("tee.chip", "enrolment")
    assert refusal.expected == victim.chip.hex()[:16]
    assert refusal.found == impostor.chip.hex()[:16]


def test_an_enrolment_without_chips_allows_none(verifier: Verifier, fleet: Fleet) -> None:
    enclave = FakeEnclave(fleet, "agent-1", enrolment=fleet.credential("agent-1", Role.AGENT))
    events = verifier.receive(enclave.answer(challenged(verifier, enclave)), NOW)
    assert_refused(events, fleet, Reason.CHIP_NOT_ALLOWED)


def test_the_enrolment_of_another_agent_lends_its_chips_to_nobody(
    verifier: Verifier, fleet: Fleet, victim: FakeEnclave, other: FakeEnclave
) -> None:
    challenge = challenged(verifier, victim)
    liar = FakeEnclave(fleet, "agent-1", chip_key=other.chip_key, enrolment=other.enrolment)
    assert_refused(verifier.receive(liar.answer(challenge), NOW), fleet, Reason.MISADDRESSED)


def test_a_sensor_s_credential_is_no_enrolment(verifier: Verifier, fleet: Fleet, victim: FakeEnclave) -> None:
    credential = fleet.credential("agent-1", Role.SENSOR, victim.signing.public, chips=(victim.chip,))
    challenge = challenged(verifier, victim)
    events = verifier.receive(victim.answer(challenge, enrolment=credential), NOW)
    assert_refused(events, fleet, Reason.ROLE_NOT_ALLOWED)


def test_swapped_signing_key(verifier: Verifier, fleet: Fleet, victim: FakeEnclave) -> None:
    """The host puts its own signing key into the claims, and signs the message with it."""
    challenge = challenged(verifier, victim)
    own = SigningKey.generate(fleet.randomness)
    honest = victim.claims(challenge)
    claims = victim.claims(challenge, confirmation=confirmation(own.public, victim.kem.public))
    events = verifier.receive(victim.answer(challenge, claims=claims, tee=victim.tee(challenge, honest), key=own), NOW)
    assert_refused(events, fleet, Reason.BINDING_MISMATCH)


def test_swapped_kem_key(verifier: Verifier, fleet: Fleet, victim: FakeEnclave) -> None:
    """The host puts in its own KEM key, so that every session would be sealed to it."""
    challenge = challenged(verifier, victim)
    own = KemPrivateKey.generate(fleet.randomness)
    tee = victim.tee(challenge, victim.claims(challenge))
    claims = victim.claims(challenge, confirmation=confirmation(victim.signing.public, own.public))
    events = verifier.receive(victim.answer(challenge, claims=claims, tee=tee), NOW)
    assert_refused(events, fleet, Reason.BINDING_MISMATCH)


def test_keys_that_are_claimed_and_not_in_the_report_data(
    verifier: Verifier, fleet: Fleet, victim: FakeEnclave
) -> None:
    """The claims are bound, the keys beside them are others: a hash over the claims alone would let this pass."""
    challenge = challenged(verifier, victim)
    claims = victim.claims(challenge)
    own = SigningKey.generate(fleet.randomness)
    bound = report_data(challenge, encode_message(claims), own.public, victim.kem.public)
    tee = SimulatedAttester(victim.chip_key, MEASUREMENT).collect(bound)
    events = verifier.receive(victim.answer(challenge, claims=claims, tee=tee), NOW)
    assert_refused(events, fleet, Reason.BINDING_MISMATCH)


def test_a_message_signed_by_another_key_than_it_claims(verifier: Verifier, fleet: Fleet, victim: FakeEnclave) -> None:
    challenge = challenged(verifier, victim)
    own = SigningKey.generate(fleet.randomness)
    assert_refused(verifier.receive(victim.answer(challenge, key=own), NOW), fleet, Reason.UNKNOWN_SIGNER)


def test_an_enclave_without_a_kem_key(verifier: Verifier, fleet: Fleet, victim: FakeEnclave) -> None:
    challenge = challenged(verifier, victim)
    claims = victim.claims(challenge, confirmation=confirmation(victim.signing.public))
    events = verifier.receive(victim.answer(challenge, claims=claims), NOW)
    assert_refused(events, fleet, Reason.BINDING_MISMATCH)


@pytest.mark.parametrize(
    "changes",
    [
        {"models": (LoadedModel(model="scan", version=9, digest=bytes(32)),)},
        {"configuration": bytes(32)},
        {"boot": bytes(16)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_claims_changed_after_the_tee_signed(
    verifier: Verifier, fleet: Fleet, victim: FakeEnclave, changes: dict[str, object]
) -> None:
    challenge = challenged(verifier, victim)
    tee = victim.tee(challenge, victim.claims(challenge))
    events = verifier.receive(victim.answer(challenge, claims=victim.claims(challenge, **changes), tee=tee), NOW)
    assert_refused(events, fleet, Reason.BINDING_MISMATCH)


@pytest.mark.parametrize("field", ["purpose", "verifier", "nonce", "agent", "fleet"])
def test_report_data_made_for_another_challenge(
    verifier: Verifier, fleet: Fleet, victim: FakeEnclave, field: str
) -> None:
    """Evidence collected for another purpose, verifier, nonce, agent or fleet does not serve here."""
    challenge = challenged(verifier, victim)
    changed = challenge.model_copy(update={field: bytes(32) if field == "nonce" else "another"})
    tee = victim.tee(changed, victim.claims(challenge))
    assert_refused(verifier.receive(victim.answer(challenge, tee=tee), NOW), fleet, Reason.BINDING_MISMATCH)


def test_claims_of_another_fleet(verifier: Verifier, fleet: Fleet, victim: FakeEnclave) -> None:
    """An enclave that serves another fleet, on this agent's chip: bound to this nonce, but not of this fleet."""
    challenge = challenged(verifier, victim)
    events = verifier.receive(victim.answer(challenge, claims=victim.claims(challenge, fleet="rival")), NOW)
    refusal = assert_refused(events, fleet, Reason.MISADDRESSED)
    assert (refusal.claim, refusal.expected, refusal.found) == ("claims.fleet", "plant", "rival")


def test_evidence_and_enrolment_of_another_fleet(verifier: Verifier, fleet: Fleet, victim: FakeEnclave) -> None:
    rival = Fleet("rival", seed=2)
    stranger = FakeEnclave(rival, "agent-1")
    challenge = challenged(verifier, victim)
    answer = stranger.answer(challenge, topic=fleet.topics.evidence("agent-1"))
    # Signed by a rival authority: it is not even looked at what fleet it names.
    assert_refused(verifier.receive(answer, NOW), fleet, Reason.UNKNOWN_SIGNER)


def test_an_enrolment_for_another_fleet_by_the_same_authority(
    verifier: Verifier, fleet: Fleet, victim: FakeEnclave
) -> None:
    challenge = challenged(verifier, victim)
    foreign = fleet.enrol("agent-1", victim.chip, fleet="rival")
    events = verifier.receive(victim.answer(challenge, enrolment=foreign), NOW)
    assert_refused(events, fleet, Reason.MISADDRESSED)


@pytest.mark.parametrize(
    ("topic", "recipient"),
    [("sealedge/v1/plant/agent/agent-1/request", "verifier-1"), ("sealedge/v1/plant/agent/agent-1/evidence", "v-2")],
)
def test_a_message_said_elsewhere_or_to_another_verifier(
    verifier: Verifier, fleet: Fleet, victim: FakeEnclave, topic: str, recipient: str
) -> None:
    challenge = challenged(verifier, victim)
    address = Address(topic, recipient, challenge.nonce)
    answer = victim.answer(challenge, address=address, topic=fleet.topics.evidence("agent-1"))
    assert_refused(verifier.receive(answer, NOW), fleet, Reason.SIGNATURE_INVALID)


def test_a_chip_that_did_not_sign(verifier: Verifier, fleet: Fleet, victim: FakeEnclave) -> None:
    """The attacker's own chip key signs and names the victim's chip."""
    challenge = challenged(verifier, victim)
    bound = victim.report_data(challenge, victim.claims(challenge))
    forged = simulated_evidence(SigningKey.generate(fleet.randomness), bound, chip=victim.chip)
    events = verifier.receive(victim.answer(challenge, tee=forged), NOW)
    assert_refused(events, fleet, Reason.EVIDENCE_INVALID)


def test_a_chip_key_that_did_not_sign(verifier: Verifier, fleet: Fleet, victim: FakeEnclave) -> None:
    """The attacker's own key signs, and the victim's chip key stands inside."""
    challenge = challenged(verifier, victim)
    bound = victim.report_data(challenge, victim.claims(challenge))
    forged = simulated_evidence(
        SigningKey.generate(fleet.randomness),
        bound,
        chip=victim.chip,
        chip_key=victim.chip_key.public.to_cose_key(),
    )
    assert_refused(verifier.receive(victim.answer(challenge, tee=forged), NOW), fleet, Reason.UNKNOWN_SIGNER)


def test_a_request_in_another_agent_s_name_gives_no_passport(
    verifier: Verifier, fleet: Fleet, victim: FakeEnclave
) -> None:
    """The enrolment is no secret. Who asks with it gets a challenge, and no further without the chip."""
    thief = FakeEnclave(fleet, "agent-1", enrolment=victim.enrolment)
    challenge = challenged(verifier, thief)
    assert_refused(verifier.receive(thief.answer(challenge), NOW), fleet, Reason.CHIP_NOT_ALLOWED)
    assert attested(verifier, victim, NOW + 2).signing_key == victim.signing.public


def test_a_request_with_the_enrolment_of_another_agent(
    verifier: Verifier, fleet: Fleet, victim: FakeEnclave, other: FakeEnclave
) -> None:
    events = verifier.receive(victim.request(credential=other.enrolment), NOW)
    assert_refused(events, fleet, Reason.MISADDRESSED)
    assert published(events, fleet.topics.challenge("agent-1")) == []


def test_a_request_moved_to_another_agent_s_topic(
    verifier: Verifier, fleet: Fleet, victim: FakeEnclave, other: FakeEnclave
) -> None:
    request = other.request()
    events = verifier.receive(Delivery(fleet.topics.attest("agent-1"), request.payload), NOW)
    assert_refused(events, fleet, Reason.SIGNATURE_INVALID)
    assert published(events, fleet.topics.challenge("agent-1")) == []


@pytest.mark.parametrize("changes", [{"agent": "agent-2"}, {"fleet": "rival"}], ids=["agent", "fleet"])
def test_a_request_that_names_another_place_than_it_is_said_at(
    verifier: Verifier, fleet: Fleet, victim: FakeEnclave, changes: dict[str, str]
) -> None:
    events = verifier.receive(victim.request(**changes), NOW)
    assert_refused(events, fleet, Reason.MISADDRESSED)
    assert published(events, fleet.topics.challenge("agent-1")) == []


def test_a_request_without_an_enrolment(verifier: Verifier, fleet: Fleet, victim: FakeEnclave) -> None:
    events = verifier.receive(victim.request(credential=None), NOW)
    assert_refused(events, fleet, Reason.UNKNOWN_SIGNER)


def test_a_request_signed_by_another_key_than_it_names(verifier: Verifier, fleet: Fleet, victim: FakeEnclave) -> None:
    events = verifier.receive(victim.request(key=SigningKey.generate(fleet.randomness)), NOW)
    assert_refused(events, fleet, Reason.UNKNOWN_SIGNER)
