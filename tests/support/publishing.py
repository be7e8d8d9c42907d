"""A fleet in which a publisher can be tried: its authority, its verifier, and enclaves that ask for keys.

Nothing here is checked twice: an enclave of this file signs whatever a test tells it to.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from protocol.attestation import sign_attestation_result
from protocol.envelope import Address, open_message_untrusted, open_sealed_untrusted, sign_message
from protocol.keys import KemPrivateKey, SigningKey
from protocol.party import Delivery, Event, Noted, Publication, Store
from protocol.trust import confirmation
from publisher.package import ModelDescription, PackagedModel, package
from publisher.policy import ReleasePolicy
from publisher.publisher import Publisher
from schemas.attestation import (
    AFFIRMING,
    EAR_PROFILE,
    Appraisal,
    AttestationResult,
    VerifierIdentity,
)
from schemas.kinds import Kind, Role, Tier
from schemas.model import KeyGrant, KeyRequest, ModuleLimits, TensorSpec
from schemas.status import Refusal, RevocationKind
from tests.support import enclaves
from tests.support.enclaves import DAY, NOW

LATER = int(NOW) + DAY

DESCRIPTION = ModelDescription(
    name="scan",
    inputs=(TensorSpec(name="in", dtype="float32", shape=(30,)),),
    outputs=(TensorSpec(name="out", dtype="float32", shape=(1,), labels=("benign",)),),
    tiers=(Tier.SIMULATED,),
    limits=ModuleLimits(memory_bytes=2**24, milliseconds=1000, output_bytes=1024),
)


def module_of(*chunks: int, chunk_bytes: int = 64 * 1024) -> bytes:
    """Something with a module's first bytes whose n-th chunk is all of its own kind."""
    filled = b"".join(Random(each).randbytes(chunk_bytes) for each in chunks)
    return b"\0asm" + filled[4:]


@dataclass
class Enclave:
    """An enclave's keys; what it asks is up to the test."""

    fleet: "Fleet"
    agent: str
    signing: SigningKey
    kem: KemPrivateKey
    measurement: bytes = bytes([7]) * 32
    chip: bytes | None = bytes([9]) * 32
    usual: bytes = b""
    """The passport that `ask` shows where it is given no other."""

    def passport(self, *, key: SigningKey | None = None, credential: bytes | None = None, **changes: Any) -> bytes:
        """An attestation result for this enclave, as its verifier would sign it."""
        claims: dict[str, Any] = {
            "verifier": "verifier-1",
            "agent": self.agent,
            "fleet": self.fleet.name,
            "expires": int(NOW) + 300,
            "issued": int(NOW),
            "confirmation": confirmation(self.signing.public, self.kem.public),
            "nonce": bytes(32),
            "profile": EAR_PROFILE,
            "submodules": {"tee": Appraisal(status=AFFIRMING)},
            "status": AFFIRMING,
            "verifier_identity": VerifierIdentity(developer="test", build="1"),
            "tier": Tier.SIMULATED,
            "sequence": int(NOW * 1000),
            "measurement": self.measurement,
            "configuration": bytes(32),
            "models": (),
            "chip": self.chip,
            **changes,
        }
        signer = key or self.fleet.verifier_key
        return sign_attestation_result(
            AttestationResult(**claims), signer, credential or self.fleet.verifier_credential
        )

    def ask(
        self,
        model: PackagedModel,
        *,
        key: SigningKey | None = None,
        topic: str | None = None,
        recipient: str = "publisher-1",
        response_topic: str | None = "inbox",
        **changes: Any,
    ) -> Delivery:
        """A key request for this version, honest but for what is changed."""
        fields: dict[str, Any] = {
            "fleet": self.fleet.name,
            "agent": self.agent,
            "model": model.manifest.model,
            "version": model.manifest.version,
            "manifest": model.digest,
            "request": self.fleet.randomness(16),
            "issued": int(NOW),
            **changes,
        }
        if "attestation_result" not in fields:
            self.usual = self.usual or self.passport()
            fields["attestation_result"] = self.usual
        request = KeyRequest(**fields)
        topic = topic or self.fleet.topics.key(model.manifest.model)
        address = Address(topic, recipient, request.request)
        payload = sign_message(Kind.KEY_REQUEST, request, key or self.signing, address)
        inbox = self.fleet.topics.inbox(Role.AGENT, self.agent) if response_topic == "inbox" else response_topic
        return Delivery(topic, payload, inbox, request.request)

    def grant(self, publication: Publication) -> KeyGrant:
        """Open a key release as the enclave would."""
        address = Address(publication.topic, self.agent, publication.correlation or b"")
        key = self.fleet.publisher.public
        return open_sealed_untrusted(KeyGrant, publication.payload, Kind.KEY_RELEASE, key, [self.kem], address)

    def refusal(self, publication: Publication) -> Refusal:
        """Open a signed refusal as the enclave would."""
        address = Address(publication.topic, self.agent, publication.correlation or b"")
        key = self.fleet.publisher.public
        return open_message_untrusted(Refusal, publication.payload, Kind.REFUSAL, key, address)


class Fleet(enclaves.Fleet):
    """A fleet with the publisher `publisher-1`. Two of them with different seeds share nothing."""

    def __init__(self, name: str = "plant", seed: int = 1) -> None:
        super().__init__(name, seed)
        self.publisher = SigningKey.generate(self.randomness)
        self.publisher_credential = self.credential("publisher-1", Role.PUBLISHER, self.publisher.public)

    def enclave(self, agent: str = "agent-1", **changes: Any) -> Enclave:
        signing = SigningKey.generate(self.randomness)
        return Enclave(self, agent, signing, KemPrivateKey.generate(self.randomness), **changes)

    def package(
        self, store: Store, module: bytes = module_of(1), description: ModelDescription = DESCRIPTION, **changes: Any
    ) -> PackagedModel:
        arguments: dict[str, Any] = {
            "fleet": self.name,
            "publisher": "publisher-1",
            "store": store,
            "key": self.publisher,
            "credential": self.publisher_credential,
            "now": NOW,
            "randomness": self.randomness,
            **changes,
        }
        return package(module, description, **arguments)

    def run(self, store: Store, policy: ReleasePolicy | None = None) -> Publisher:
        """A publisher that is connected and holds a current revocation list."""
        publisher = self.publisher_party(store, policy)
        publisher.will(NOW)
        publisher.connected(NOW)
        publisher.receive(self.revoking(), NOW)
        return publisher

    def publisher_party(self, store: Store, policy: ReleasePolicy | None = None) -> Publisher:
        return Publisher(
            self.trust(store),
            "publisher-1",
            self.publisher,
            self.publisher_credential,
            policy or ReleasePolicy(),
            store,
            self.randomness,
        )

    def revoking(self, *entries: tuple[RevocationKind, bytes], sequence: int = 1, expires: int = LATER) -> Delivery:
        """The signed list of all that is revoked, as the broker retains it."""
        signed = self.revocations(sequence, *entries, end=expires)
        return Delivery(self.topics.revocations, signed, retained=True)


def published(events: Sequence[Event]) -> list[Publication]:
    return [event for event in events if isinstance(event, Publication)]


def noted(events: Sequence[Event], what: str) -> list[Noted]:
    return [event for event in events if isinstance(event, Noted) and event.what == what]


def reason_of(events: Sequence[Event]) -> str | None:
    """The reason of the one refusal that was noted, or None where nothing was refused."""
    refused = noted(events, "refused")
    assert len(refused) <= 1
    return str(refused[0].detail["reason"]) if refused else None
