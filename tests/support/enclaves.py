"""A fleet with a real verifier, and enclaves that say whatever a test tells them to, signed as it must be.

An enclave of this file is honest unless asked otherwise: `answer` takes every part that a liar could exchange.
"""

from collections.abc import Sequence
from random import Random
from typing import Any

from edge_agent.attester import SimulatedAttester
from protocol.attestation import Passport, open_attestation_result_untrusted, report_data
from protocol.envelope import Address, open_message_untrusted, sign_document, sign_message
from protocol.keys import KemPrivateKey, KemPublicKey, SigningKey, VerifyingKey
from protocol.messages import encode_message
from protocol.party import Delivery, Event, Noted, Publication, Store
from protocol.revocation import sign_revocations
from protocol.trust import Trust, confirmation, sign_credential
from schemas.attestation import (
    ENCLAVE_PROFILE,
    SIMULATED_MEDIA_TYPE,
    SIMULATED_PROFILE,
    AttestationRequest,
    Challenge,
    Credential,
    EnclaveClaims,
    Evidence,
    LoadedModel,
    SimulatedEvidence,
)
from schemas.kinds import Kind, Role, Tier
from schemas.policy import AppraisalPolicy, ReferenceValues, Tiers
from schemas.reason import Reason
from schemas.status import Refusal, Revocation, RevocationKind, RevocationList
from storage.store import MemoryStore
from verifier.verifier import Verifier

NOW = 1_800_000_000.0
DAY = 86_400
MEASUREMENT = bytes([0xAA]) * 32
CONFIGURATION = bytes([0xCC]) * 32


def accepting_policy(**changes: Any) -> AppraisalPolicy:
    """A policy that affirms the honest enclave of this file."""
    values = {
        "name": "test",
        "tiers": Tiers(accept=(Tier.SIMULATED,)),
        "reference_values": ReferenceValues(measurements=(MEASUREMENT.hex(),)),
        **changes,
    }
    return AppraisalPolicy(**values)


class Fleet:
    """An authority, what it signs, and the verifier `verifier-1`."""

    def __init__(self, name: str = "plant", seed: int = 1) -> None:
        self.name = name
        self.randomness = Random(seed).randbytes
        self.authority = SigningKey.generate(self.randomness)
        self.verifier_key = SigningKey.generate(self.randomness)
        self.verifier_credential = self.credential("verifier-1", Role.VERIFIER, self.verifier_key.public)
        self.topics = self.trust().topics

    def trust(self, store: Store | None = None) -> Trust:
        """What a party of this fleet is configured with."""
        return Trust(self.name, self.authority.public, store or MemoryStore())

    def credential(
        self,
        subject: str,
        role: Role,
        key: VerifyingKey | None = None,
        kem: KemPublicKey | None = None,
        **changes: Any,
    ) -> bytes:
        """A credential that the authority signs, from an hour before NOW to a day after."""
        values: dict[str, Any] = {
            "issuer": "authority",
            "subject": subject,
            "fleet": self.name,
            "not_before": int(NOW) - 3600,
            "issued": int(NOW) - 3600,
            "expires": int(NOW) + DAY,
            "identifier": self.randomness(16),
            "confirmation": None if key is None else confirmation(key, kem),
            "role": role,
            **changes,
        }
        return sign_credential(Credential(**values), self.authority)

    def enrol(self, agent: str, *chips: bytes, **changes: Any) -> bytes:
        """An agent's enrolment, for these chips."""
        return self.credential(agent, Role.AGENT, chips=chips, **changes)

    def revocations(self, sequence: int, *revoked: tuple[RevocationKind, bytes], end: float = NOW + DAY) -> bytes:
        """The signed list of all that is revoked."""
        entries = tuple(Revocation(kind=kind, identifier=each, time=int(NOW)) for kind, each in revoked)
        found = RevocationList(fleet=self.name, sequence=sequence, issued=int(NOW), expires=int(end), entries=entries)
        return sign_revocations(found, self.authority)

    def verifier(self, policy: AppraisalPolicy | None = None, store: Store | None = None) -> Verifier:
        """The verifier over a store of its own, or over one that it had before."""
        store = store or MemoryStore()
        return Verifier(
            self.trust(store),
            "verifier-1",
            self.verifier_key,
            self.verifier_credential,
            policy or accepting_policy(),
            store,
            self.randomness,
        )


class FakeEnclave:
    """An enclave of `fleet`, enrolled as `agent` on a chip of its own."""

    def __init__(
        self, fleet: Fleet, agent: str = "agent-1", chip_key: SigningKey | None = None, enrolment: bytes | None = None
    ) -> None:
        self.fleet, self.agent, self.topics = fleet, agent, fleet.topics
        self.chip_key = chip_key or SigningKey.generate(fleet.randomness)
        self.chip = self.chip_key.public.thumbprint
        self.enrolment = enrolment or fleet.enrol(agent, self.chip)
        self.models: tuple[LoadedModel, ...] = ()
        self.restart()

    def restart(self) -> None:
        """New keys and a new boot identifier, as after every start."""
        self.signing = SigningKey.generate(self.fleet.randomness)
        self.kem = KemPrivateKey.generate(self.fleet.randomness)
        self.boot = self.fleet.randomness(16)

    def request(self, now: float = NOW, purpose: str = "boot", **changes: Any) -> Delivery:
        """An attestation request; `changes` replace fields of the message, `credential` what travels beside it."""
        credential = changes.pop("credential", self.enrolment)
        key = changes.pop("key", self.signing)
        topic = changes.pop("topic", self.topics.attest(self.agent))
        values = {
            "fleet": self.fleet.name,
            "agent": self.agent,
            "confirmation": confirmation(self.signing.public, self.kem.public),
            "boot": self.boot,
            "issued": int(now),
            "purpose": purpose,
            **changes,
        }
        message = AttestationRequest(**values)
        return Delivery(topic, sign_message(Kind.ATTESTATION_REQUEST, message, key, Address(topic, ""), credential))

    def claims(self, challenge: Challenge, now: float = NOW, **changes: Any) -> EnclaveClaims:
        """The claims that answer a challenge."""
        values = {
            "agent": self.agent,
            "fleet": self.fleet.name,
            "issued": int(now),
            "confirmation": confirmation(self.signing.public, self.kem.public),
            "nonce": challenge.nonce,
            "profile": ENCLAVE_PROFILE,
            "configuration": CONFIGURATION,
            "models": self.models,
            "boot": self.boot,
            **changes,
        }
        return EnclaveClaims(**values)

    def tee(self, challenge: Challenge, claims: EnclaveClaims, measurement: bytes = MEASUREMENT) -> bytes:
        """What the machine's TEE signs over those claims."""
        return SimulatedAttester(self.chip_key, measurement).collect(self.report_data(challenge, claims))

    def report_data(self, challenge: Challenge, claims: EnclaveClaims) -> bytes:
        """The honest binding of claims and keys to a challenge."""
        return report_data(challenge, encode_message(claims), self.signing.public, self.kem.public)

    def answer(
        self,
        challenge: Challenge,
        now: float = NOW,
        *,
        claims: EnclaveClaims | None = None,
        tee: bytes | None = None,
        media_type: str = SIMULATED_MEDIA_TYPE,
        enrolment: bytes | None = None,
        key: SigningKey | None = None,
        address: Address | None = None,
        topic: str | None = None,
    ) -> Delivery:
        """The evidence message; honest in every part that is not given."""
        claims = claims or self.claims(challenge, now)
        evidence = Evidence(
            claims=encode_message(claims),
            wrapped=(media_type, self.tee(challenge, claims) if tee is None else tee),
            enrolment=enrolment or self.enrolment,
        )
        topic = topic or self.topics.evidence(self.agent)
        address = address or Address(topic, challenge.verifier, challenge.nonce)
        payload = sign_message(Kind.EVIDENCE, evidence, key or self.signing, address)
        return Delivery(topic, payload, correlation=challenge.nonce)


def simulated_evidence(signer: SigningKey, bound: bytes, **changes: Any) -> bytes:
    """Simulated TEE evidence with any field changed, signed by `signer`."""
    values = {
        "chip": signer.public.thumbprint,
        "report_data": bound,
        "measurement": MEASUREMENT,
        "debug": False,
        "profile": SIMULATED_PROFILE,
        "chip_key": signer.public.to_cose_key(),
        **changes,
    }
    return sign_document(Kind.SIMULATED_EVIDENCE, SimulatedEvidence(**values), signer)


def published(events: Sequence[Event], topic: str) -> list[Publication]:
    """What the events publish on one topic."""
    return [event for event in events if isinstance(event, Publication) and event.topic == topic]


def noted(events: Sequence[Event], what: str) -> list[dict[str, Any]]:
    """The details of all that was noted under this word."""
    return [event.detail for event in events if isinstance(event, Noted) and event.what == what]


def challenge_in(events: Sequence[Event], fleet: Fleet, agent: str = "agent-1") -> Challenge:
    """The one challenge that the events publish, opened as its agent opens it."""
    (found,) = published(events, fleet.topics.challenge(agent))
    address = Address(found.topic, agent, found.correlation or b"")
    return open_message_untrusted(Challenge, found.payload, Kind.CHALLENGE, fleet.verifier_key.public, address)


def passport_in(events: Sequence[Event], fleet: Fleet, agent: str = "agent-1", now: float = NOW) -> Passport:
    """The one attestation result that the events publish, opened as a relying party opens it."""
    (found,) = published(events, fleet.topics.result(agent))
    assert found.retain
    return open_attestation_result_untrusted(found.payload, fleet.trust(), now)


def refusal_in(events: Sequence[Event], fleet: Fleet, agent: str = "agent-1") -> Refusal:
    """The one refusal that the events publish to an agent, opened as the agent opens it."""
    (found,) = published(events, fleet.topics.inbox(Role.AGENT, agent))
    address = Address(found.topic, agent, found.correlation or b"")
    return open_message_untrusted(Refusal, found.payload, Kind.REFUSAL, fleet.verifier_key.public, address)


def challenged(verifier: Verifier, enclave: FakeEnclave, now: float = NOW, purpose: str = "boot") -> Challenge:
    """Ask as this enclave, and return the challenge."""
    return challenge_in(verifier.receive(enclave.request(now, purpose), now), enclave.fleet, enclave.agent)


def attested(verifier: Verifier, enclave: FakeEnclave, now: float = NOW, purpose: str = "boot") -> Passport:
    """Let this enclave attest honestly, and return its passport."""
    challenge = challenged(verifier, enclave, now, purpose)
    return passport_in(verifier.receive(enclave.answer(challenge, now), now), enclave.fleet, enclave.agent, now)


def assert_refused(events: Sequence[Event], fleet: Fleet, reason: Reason, agent: str = "agent-1") -> Refusal:
    """The agent is told the reason, in a signed refusal; no result is published, nor cleared but for revocation."""
    refusal = refusal_in(events, fleet, agent)
    assert refusal.reason is reason
    results = [each.payload for each in published(events, fleet.topics.result(agent))]
    assert results in ([], [b""] if reason is Reason.REVOKED else [])
    assert [detail["reason"] for detail in noted(events, "refused")] == [reason]
    return refusal


def assert_serves_others(verifier: Verifier, fleet: Fleet, now: float = NOW) -> None:
    """An honest agent that nobody attacked gets its passport as if nothing had happened."""
    bystander = FakeEnclave(fleet, "bystander")
    assert attested(verifier, bystander, now).signing_key == bystander.signing.public
