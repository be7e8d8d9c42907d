"""A whole fleet over the in-memory broker: real parties, real cryptography, virtual time, no processes.

The module of the fleet is handed in as a Python function, so that a test says what is computed; the enclave's
runtime has tests of its own.
"""

import shutil
import tempfile
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from broker.memory import MemoryBroker
from edge_agent.agent import Agent
from edge_agent.attester.simulated import SimulatedAttester
from edge_agent.chunks import ChunkCache
from edge_agent.enclave.configuration import EnclaveConfiguration, EnclaveLimits, Measured
from edge_agent.enclave.enclave import Enclave
from edge_agent.enclave.loading import Loaded
from edge_agent.enclave.workers import Workers, one_by_one
from edge_agent.fetching import ChunkFetcher
from edge_agent.model_cache import ModelCache
from protocol.errors import EnclaveError
from protocol.kem_keys import KemPrivateKey
from protocol.keys import SigningKey
from protocol.messages import digest
from protocol.party import Delivery, Event, Noted, Publication
from protocol.trust import Trust
from publisher.package import ModelDescription, package
from publisher.policy import ReleasePolicy
from publisher.publisher import Publisher
from schemas.kinds import Role, Tier
from schemas.model import ModuleLimits, TensorSpec
from schemas.policy import AppraisalPolicy, ReferenceValues, Tiers
from schemas.status import Revocation, RevocationKind
from schemas.topics import FleetTopics
from sealedge.client.consumer import ConsumerParty
from sealedge.client.sensor import SensorParty
from sealedge.operations.authority import Authority
from storage.store import MemoryStore
from verifier.verifier import Verifier

FLEET, MODEL = "clinic", "scan"
MEASUREMENT = b"m" * 32
START = 1_800_000_000.0
SIMULATED = (Tier.SIMULATED,)

E_ = TypeVar("E_", bound=Event)


@dataclass
class Holder:
    """A party's keys and credential, made once and kept over restarts."""

    name: str
    signing: SigningKey
    kem: KemPrivateKey
    credential: bytes
    store: MemoryStore = field(default_factory=MemoryStore)


@dataclass
class World:
    """A fleet. `start_*` make and connect a party; the same name again is a restart with the store it had."""

    seed: int = 0
    fleet: str = FLEET
    compute: Callable[[bytes], bytes] = lambda data: data[::-1]
    lease_seconds: int = 300
    limits: EnclaveLimits = field(default_factory=EnclaveLimits)
    keeps_models: bool = False
    """Whether the agents' TEEs have sealing keys, and their hosts keep what is sealed."""
    engine: str = "engine 1; amd64"
    workers: Workers = one_by_one
    broker: MemoryBroker = field(init=False)

    def __post_init__(self) -> None:
        random = Random(self.seed)
        self.randomness = random.randbytes
        self.published: list[Publication] = []
        self.broker = MemoryBroker(self.seed, now=START, tap=lambda _client, each: self.published.append(each))
        self.authority = Authority(self.fleet, SigningKey.generate(self.randomness))
        self.topics = FleetTopics(self.fleet)
        self.holders: dict[tuple[Role, str], Holder] = {}
        self.revocations = self.authority.revoke(1, [], now=START)
        self.revoked: list[Revocation] = []
        self.chips: dict[str, SigningKey] = {}
        self.folder = Path(tempfile.mkdtemp(prefix="sealedge-world-"))
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        self.parties: dict[str, Any] = {}
        self.compiled: list[bytes] = []

    # The parties

    def holder(self, role: Role, name: str) -> Holder:
        """The keys of a party; made on first use."""
        found = self.holders.get((role, name))
        if found is None:
            signing, kem = SigningKey.generate(self.randomness), KemPrivateKey.generate(self.randomness)
            credential = self.authority.vouch(
                role, name, signing.public, now=START, randomness=self.randomness, kem=kem.public
            )
            found = self.holders[role, name] = Holder(name, signing, kem, credential)
        return found

    def trust(self, store: MemoryStore) -> Trust:
        """The fleet's trust anchor, with the first revocation list."""
        trust = Trust(self.fleet, self.authority.key.public, store)
        if trust.revocations.sequence < 1:
            trust.revocations.accept_untrusted(self.revocations)
        return trust

    def start_verifier(self, name: str = "verifier", **policy: Any) -> Verifier:
        holder = self.holder(Role.VERIFIER, name)
        defaults: dict[str, Any] = {
            "name": "test",
            "tiers": Tiers(accept=SIMULATED),
            "reference_values": ReferenceValues(measurements=(MEASUREMENT.hex(),)),
            "lease_seconds": self.lease_seconds,
        }
        return self._start(
            Verifier(
                self.trust(holder.store),
                name,
                holder.signing,
                holder.credential,
                AppraisalPolicy(**{**defaults, **policy}),
                holder.store,
                self.randomness,
            )
        )

    def package(self, module: bytes = b"\0asm" + b"module" * 30_000, name: str = "publisher", **about: Any) -> Any:
        """Package a module as the newest version of MODEL."""
        holder = self.holder(Role.PUBLISHER, name)
        defaults: dict[str, Any] = {
            "name": MODEL,
            "inputs": (TensorSpec(name="in", dtype="uint8", shape=(8,)),),
            "outputs": (TensorSpec(name="out", dtype="uint8", shape=(8,)),),
            "tiers": SIMULATED,
            "limits": ModuleLimits(memory_bytes=2**20, milliseconds=1000, output_bytes=4096),
        }
        return package(
            module,
            ModelDescription(**{**defaults, **about}),
            fleet=self.fleet,
            publisher=name,
            store=holder.store,
            key=holder.signing,
            credential=holder.credential,
            now=self.broker.now,
            randomness=self.randomness,
        )

    def start_publisher(self, name: str = "publisher", **policy: Any) -> Publisher:
        holder = self.holder(Role.PUBLISHER, name)
        return self._start(
            Publisher(
                self.trust(holder.store),
                name,
                holder.signing,
                holder.credential,
                ReleasePolicy(**policy),
                holder.store,
                self.randomness,
            )
        )

    def configuration(self, name: str = "agent-1", chips: Sequence[bytes] | None = None) -> EnclaveConfiguration:
        """What an enclave of this fleet is started with."""
        chip = self.chip(name)
        enrolled = (chip.public.thumbprint,) if chips is None else chips
        return EnclaveConfiguration(
            measured=Measured(
                fleet=self.fleet,
                authority=self.authority.key.public.to_cose_key(),
                models=(MODEL,),
                limits=self.limits,
            ),
            agent=name,
            enrolment=self.authority.enrol(name, enrolled, now=START, randomness=self.randomness),
            revocations=self.revocations,
            sealing_key=self.sealing_key(name, chip) if self.keeps_models else None,
        )

    def enclave(self, name: str = "agent-1", chips: Sequence[bytes] | None = None) -> Enclave:
        """A new enclave, not connected."""
        configuration = self.configuration(name, chips)
        return Enclave(configuration, self._load, self.randomness, lambda: self.engine, workers=self.workers)

    def start_agent(self, name: str = "agent-1", chip: SigningKey | None = None) -> Agent:
        """An agent with its enclave in place. `chip` is another TEE than the enrolled one."""
        attester = SimulatedAttester(chip or self.chip(name), MEASUREMENT)
        fetcher = ChunkFetcher(self.topics, ChunkCache(self.folder / name))
        return self._start(Agent(lambda: self.enclave(name), attester, fetcher, models=self.kept(name)))

    def chip(self, name: str) -> SigningKey:
        """The chip key of an agent's TEE; made on first use."""
        return self.chips.setdefault(name, SigningKey.generate(self.randomness))

    def sealing_key(self, name: str, chip: SigningKey) -> bytes:
        """What an agent's TEE gives to its enclave."""
        return SimulatedAttester(chip, MEASUREMENT).sealing_key(name.encode())

    def kept(self, name: str = "agent-1") -> ModelCache | None:
        """Where an agent's host keeps what its enclave sealed."""
        return ModelCache(self.folder / f"{name}-models") if self.keeps_models else None

    def restart_agent(self, name: str = "agent-1") -> Agent:
        """The agent crashes and starts anew: another enclave, attested again, with the model loaded."""
        agent = self.start_agent(name)
        self.broker.advance(10)
        return agent

    def start_sensor(self, name: str = "sensor-1", **settings: Any) -> SensorParty:
        holder = self.holder(Role.SENSOR, name)
        return self._start(
            SensorParty(
                self.trust(holder.store),
                name,
                holder.signing,
                holder.credential,
                MODEL,
                holder.store,
                self.randomness,
                **{"tiers": SIMULATED, **settings},
            )
        )

    def start_consumer(self, name: str = "consumer-1", **settings: Any) -> ConsumerParty:
        holder = self.holder(Role.CONSUMER, name)
        return self._start(
            ConsumerParty(
                self.trust(holder.store),
                name,
                holder.signing,
                holder.kem,
                holder.store,
                **{"tiers": SIMULATED, "models": (MODEL,), **settings},
            )
        )

    def start_all(self) -> "World":
        """Verifier, publisher with one version, and one agent, attested and with the model loaded."""
        self.package()
        self.start_verifier()
        self.start_publisher()
        self.start_agent()
        self.settle()
        return self

    # What happens

    def settle(self) -> None:
        """Deliver until nothing waits."""
        self.broker.run()

    def infer(self, sensor: SensorParty, reading: bytes) -> bytes:
        """Ask the sensor for a reading's result. Returns the request id."""
        found: list[bytes] = []

        def ask(party: SensorParty, now: float) -> Sequence[Event]:
            request, events = party.request(reading, now)
            found.append(request)
            return events

        self.broker.submit(sensor, ask)
        return found[0]

    def revoke(self, kind: RevocationKind, identifier: bytes) -> None:
        """The authority revokes; the list is published, retained."""
        self.revoked.append(Revocation(kind=kind, identifier=identifier, time=int(self.broker.now)))
        self.revocations = self.authority.revoke(len(self.revoked) + 1, self.revoked, now=self.broker.now)
        self.broker.publish(Publication(self.topics.revocations, self.revocations, retain=True))

    def events(self, kind: type[E_]) -> list[E_]:
        """All events of a kind, in order."""
        return [event for _, event in self.broker.noted if isinstance(event, kind)]

    def noted(self, what: str) -> list[dict[str, Any]]:
        """The details of all that was noted under this word."""
        return [dict(event.detail) for event in self.events(Noted) if event.what == what]

    def refusals(self) -> list[str]:
        """The reasons of all refusals, in order."""
        return [str(detail["reason"]) for detail in self.noted("refused")]

    def said_on(self, topic: str) -> list[Publication]:
        """Everything published on a topic."""
        return [each for each in self.published if each.topic == topic]

    def redeliver(self, party: Any, publication: Publication, **changes: Any) -> None:
        """Put a recorded publication into a party's inbox again, as a hostile broker would."""
        fields: dict[str, Any] = {
            "topic": publication.topic,
            "payload": publication.payload,
            "response_topic": publication.response_topic,
            "correlation": publication.correlation,
        }
        self.broker.deliver(party, Delivery(**{**fields, **changes}))
        self.settle()

    def _load(self, module: bytes, _limits: ModuleLimits, machine_code: bytes | None) -> Loaded:
        """A runtime whose machine code is the module's digest, and which believes any other as wasmtime would."""
        if machine_code is None:
            self.compiled.append(module)
        return Loaded(self._compute, machine_code or digest(module))

    def _compute(self, data: bytes) -> bytes:
        if data == b"trap":
            raise EnclaveError("the module trapped")
        return self.compute(data)

    def _start(self, party: Any) -> Any:
        self.parties[party.client_id] = party
        self.broker.start(party)
        return party
