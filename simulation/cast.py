"""The parties of a world, made from their holders as `sealedge run` makes them: real ones, with the store handed in."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from edge_agent.agent import Agent
from edge_agent.chunks import ChunkCache
from edge_agent.enclave.boundary import HostedEnclave
from edge_agent.enclave.configuration import EnclaveConfiguration, EnclaveLimits, Measured
from edge_agent.enclave.enclave import Enclave
from edge_agent.enclave.loading import Loaded
from edge_agent.enclave.workers import one_by_one
from edge_agent.enclave_client import EnclaveCrashedError
from edge_agent.fetching import ChunkFetcher
from edge_agent.model_cache import ModelCache
from protocol.messages import digest
from protocol.party import Store
from publisher.policy import ReleasePolicy
from publisher.publisher import Publisher
from schemas.kinds import Role
from schemas.model import ModuleLimits
from schemas.policy import AppraisalPolicy, ReferenceValues, Tiers
from sealedge.client.consumer import ConsumerParty
from sealedge.client.sensor import SensorParty
from simulation.disks import Disk
from simulation.fleet import ACCEPTED, MEASUREMENT, MODEL, STRICT, Fleet
from verifier.verifier import Verifier

Computed = Callable[["Boot", bytes, bytes], bytes]
"""Is asked to run a module: in which enclave, which module, on which input."""


@dataclass(eq=False)
class Boot:
    """One enclave from its start to its end. `kems` are the thumbprints of the KEM keys it has shown."""

    agent: str
    number: int
    enclave: Enclave = field(repr=False)
    kems: set[bytes] = field(default_factory=set)

    @property
    def key(self) -> bytes:
        """The thumbprint of its signing key."""
        return self.enclave.key.public.thumbprint


class Crashable:
    """An enclave in a process of its own, as far as the host can tell: it may be gone at any call."""

    def __init__(self, enclave: Enclave) -> None:
        self._enclave = enclave
        self.dies = False

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._enclave, name)
        if not callable(found):
            return found
        if self.dies:
            return self._die
        return found

    def _die(self, *_: Any, **__: Any) -> Any:
        raise EnclaveCrashedError("the enclave's process was killed")


class CrampedCache(ChunkCache):
    """Chunks on a disk that may be full."""

    def __init__(self, folder: Path, disk: Disk) -> None:
        super().__init__(folder)
        self._disk = disk

    def write_untrusted(self, name: bytes, payload: bytes, keep: Any = ()) -> None:
        """As `ChunkCache`, unless the disk is full."""
        self._disk.refuse_if_full()
        super().write_untrusted(name, payload, keep)


def verifier_of(fleet: Fleet, store: Store) -> Verifier:
    """The verifier. A strict one does not accept the simulated tier."""
    holder, shape = fleet.holder(Role.VERIFIER, "verifier"), fleet.shape
    policy = AppraisalPolicy(
        name="plant",
        tiers=Tiers(accept=STRICT if shape.strict == "verifier" else ACCEPTED),
        reference_values=ReferenceValues(measurements=(MEASUREMENT.hex(),)),
        lease_seconds=shape.lease_seconds,
        challenge_seconds=shape.challenge_seconds,
    )
    trust = fleet.trust(store)
    return Verifier(trust, holder.name, holder.signing, holder.credential, policy, store, holder.randomness)


def publisher_of(fleet: Fleet, store: Store) -> Publisher:
    """The publisher."""
    holder, shape = fleet.holder(Role.PUBLISHER, "publisher"), fleet.shape
    policy = ReleasePolicy(key_lease_seconds=shape.key_lease_seconds, request_seconds=shape.key_request_seconds)
    trust = fleet.trust(store)
    return Publisher(trust, holder.name, holder.signing, holder.credential, policy, store, holder.randomness)


def sensor_of(fleet: Fleet, name: str, store: Store) -> SensorParty:
    """A sensor: its results go to all consumers, over the model's topic or one's inbox, and to itself."""
    holder, shape = fleet.holder(Role.SENSOR, name), fleet.shape
    consumers = [fleet.holder(Role.CONSUMER, f"consumer-{each + 1}") for each in range(shape.consumers)]
    alone = fleet.topics.inbox(Role.CONSUMER, "consumer-1") if shape.consumers == 1 else fleet.topics.results(MODEL)
    return SensorParty(
        fleet.trust(store),
        name,
        holder.signing,
        holder.credential,
        MODEL,
        store,
        holder.randomness,
        tiers=STRICT if shape.strict == "sensor" else ACCEPTED,
        recipients=tuple(each.credential for each in consumers),
        deliver_to=alone if consumers else None,
        return_result=shape.return_result or not consumers,
        request_seconds=shape.request_seconds,
        session_seconds=shape.session_seconds,
        in_flight=shape.in_flight,
        retry_seconds=shape.retry_seconds,
        pad_to=256 if shape.padded else 0,
        one_shot=shape.one_shot,
    )


def consumer_of(fleet: Fleet, name: str, store: Store) -> ConsumerParty:
    """A consumer of the model's results."""
    holder = fleet.holder(Role.CONSUMER, name)
    trust = fleet.trust(store)
    return ConsumerParty(trust, name, holder.signing, holder.kem, store, tiers=ACCEPTED, models=(MODEL,))


def agent_of(fleet: Fleet, name: str, boots: list[Boot], compute: Computed) -> Agent:
    """An agent; each enclave that it starts is put behind `boots`."""
    folder, holder = fleet.folder, fleet.holder(Role.AGENT, name)
    cache = CrampedCache(folder / name, holder.disk)
    kept = ModelCache(folder / f"{name}-models") if fleet.shape.keeps_models else None
    start = partial(enclave_of, fleet, name, boots, compute)
    return Agent(start, fleet.attester(name), ChunkFetcher(fleet.topics, cache), models=kept)


def enclave_of(fleet: Fleet, name: str, boots: list[Boot], compute: Computed) -> HostedEnclave:
    """The next enclave of an agent."""
    holder, shape = fleet.holder(Role.AGENT, name), fleet.shape
    attester = fleet.attester(name)
    configuration = EnclaveConfiguration(
        measured=Measured(
            fleet=fleet.topics.fleet,
            authority=fleet.authority.key.public.to_cose_key(),
            models=(MODEL,),
            limits=EnclaveLimits(cached_replies=shape.cached_replies),
        ),
        agent=name,
        enrolment=holder.credential,
        revocations=fleet.lists[0],
        sealing_key=attester.sealing_key(name.encode()) if shape.keeps_models else None,
    )

    def load(module: bytes, _limits: ModuleLimits, machine_code: bytes | None) -> Loaded:
        return Loaded(lambda data: compute(boot, module, data), machine_code or digest(module))

    enclave = Enclave(configuration, load, holder.randomness, lambda: "engine 1", workers=one_by_one)
    boot = Boot(name, len(boots), enclave)
    boots.append(boot)
    wrapped: Any = Crashable(enclave)
    found: HostedEnclave = wrapped
    return found
