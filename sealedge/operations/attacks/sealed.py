"""Now: a fleet of sealedge over the attacker's broker. Its parties are those that the commands run, with files.

Verifier, publisher, agent, sensor and consumer have a link and a thread each; the enclave is a process of its own.
"""

import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Self

from edge_agent.host import EnclaveProcess
from protocol.errors import TransportError
from protocol.party import Event, Noted, Party, Publication
from protocol.trust import Trust
from publisher.package import ModelDescription, PackagedModel
from schemas.kinds import Role, Tier
from schemas.model import ModuleLimits, TensorSpec
from schemas.topics import FleetTopics
from sealedge.client.events import Answered, RequestRefused, ResultReceived, TimedOut
from sealedge.client.parties import consumer_from, opened_store, sensor_from
from sealedge.client.settings import ConsumerSettings, SensorSettings, load_settings
from sealedge.operations.attacks.actors import ANSWER_SECONDS, Actor, ShiftedClock, is_noted
from sealedge.operations.attacks.owned_broker import OwnedBroker
from sealedge.operations.enrol import enrol
from sealedge.operations.init import FleetPlan, create_fleet
from sealedge.operations.parties.agent import completed_agent
from sealedge.operations.parties.enclave import begin_enclave
from sealedge.operations.parties.publisher import build_publisher, package_model
from sealedge.operations.parties.verifier import build_verifier
from sealedge.operations.settings import AgentSettings, PublisherSettings, VerifierSettings
from storage.store import MemoryStore

MODEL, AGENT, SENSOR, CONSUMER = "scan", "bedside-1", "ward-7", "oncology"
MALLORY, TRUDY, ROGUE, PADDED = "mallory", "trudy", "rogue", "ward-9"
"""A sensor, a consumer and a publisher with good credentials and bad intentions; and a sensor that pads."""

SPARE: Final = tuple(f"spare-{number}" for number in range(12))
"""Agents that are enrolled and do not run: each is attacked once."""

LIMITS: Final = ModuleLimits(memory_bytes=2**20, milliseconds=1000, output_bytes=4096)
Ended = Answered | RequestRefused | TimedOut


class Sealed:
    """A fleet in service, for a `with` block: attested, with `module` loaded."""

    def __init__(self, broker: OwnedBroker, module: bytes, name: str = "clinic") -> None:
        self.broker, self.module, self.name = broker, module, name
        self.clock, self.host_clock = ShiftedClock(), ShiftedClock()
        self.topics = FleetTopics(name)
        self.below = self.topics.everything.removesuffix("#")
        self._closing = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as closing:
            self.fleet = create_fleet(
                self.broker.folder / self.name, self._plan(), now=time.time(), randomness=os.urandom
            )
            for role, name in ((Role.CONSUMER, TRUDY), (Role.PUBLISHER, ROGUE)):
                enrol(self.fleet, role, name, now=time.time(), randomness=os.urandom)
            self.folder = self.fleet.folder
            closing.callback(self._end)
            self._actors: dict[str, Actor] = {}
            self.package(self.module)
            agent = self.begin("agent")
            for name in ("verifier", "publisher", "consumer"):
                self.start(name)
            agent.start()
            self.start("sensor")
            self.wait_for_model()
            self._closing = closing.pop_all()
        return self

    def __exit__(self, *_about_the_block: object) -> None:
        self._closing.close()

    def _plan(self) -> FleetPlan:
        return FleetPlan(
            fleet=self.name,
            agents=(AGENT, *SPARE),
            sensors=(SENSOR, MALLORY, PADDED),
            consumers=(CONSUMER,),
            model=MODEL,
            broker=self.broker.url,
            tee=Tier.SIMULATED,
        )

    # The parties

    def begin(self, name: str) -> Actor:
        """A party that is not yet started: verifier, publisher, agent, sensor, consumer."""
        builder: Callable[[ExitStack], Party] = getattr(self, f"_{name}")
        clock = self._host_time if name == "agent" else self.clock
        found = self._actors[name] = Actor(builder, self.broker.account(f"{self.name}-{name}"), clock)
        return found

    def _host_time(self) -> float:
        """What the agent's host tells its enclave: the time, unless it lies (`host_clock`)."""
        return self.clock() + self.host_clock.ahead

    def start(self, name: str) -> Actor:
        """Start a party: the first time, or anew with what it has on its disk."""
        return self.begin(name).start()

    def stop(self, name: str) -> None:
        """Stop a party in order."""
        self._actors.pop(name).stop()

    def restart(self, name: str) -> Actor:
        """Stop and start a party."""
        self.stop(name)
        return self.start(name)

    def __getitem__(self, name: str) -> Actor:
        return self._actors[name]

    def client(self, name: str) -> str:
        """A party's client identifier on the broker."""
        return str(self[name].party.client_id)

    def _end(self) -> None:
        for name in reversed(list(self._actors)):
            self.stop(name)
        self.broker.clear({each.topic for each in self.said() if each.retain})

    def _verifier(self, closing: ExitStack) -> Party:
        settings = VerifierSettings.load(self.folder.settings(Role.VERIFIER, "verifier"))
        return build_verifier(settings, closing, now=self.clock())

    def _publisher(self, closing: ExitStack) -> Party:
        return build_publisher(self._publisher_settings(), closing, now=self.clock())

    def _publisher_settings(self) -> PublisherSettings:
        return PublisherSettings.load(self.folder.settings(Role.PUBLISHER, "publisher"))

    def _agent(self, closing: ExitStack) -> Party:
        settings = AgentSettings.load(self.folder.settings(Role.AGENT, AGENT))
        begun = begin_enclave(settings, closing, now=self.clock())
        self._place = begun.place
        return completed_agent(settings, begun)

    def _sensor(self, closing: ExitStack) -> Party:
        return self.sensor_party(closing, SENSOR)

    def start_sensor(self, name: str, **changes: Any) -> Actor:
        """Another sensor; `changes` are to its settings. It ends with the fleet."""
        account = self.broker.account(f"{self.name}-{name}")
        found = Actor(lambda closing: self.sensor_party(closing, name, **changes), account, self.clock)
        self._actors[name] = found
        return found.start()

    def start_consumer(self, name: str) -> Actor:
        """Another consumer of the fleet."""
        account = self.broker.account(f"{self.name}-{name}")
        found = Actor(lambda closing: self.consumer_party(closing, name), account, self.clock)
        self._actors[name] = found
        return found.start()

    def sensor_party(self, closing: ExitStack, name: str, **changes: Any) -> Party:
        """A sensor of the fleet."""
        settings = load_settings(SensorSettings, self.folder.settings(Role.SENSOR, name))
        with opened_store(settings) as store:
            closing.callback(store.close)
            return sensor_from(settings.model_copy(update={"retry_seconds": 1.0, **changes}), store)

    def _consumer(self, closing: ExitStack) -> Party:
        return self.consumer_party(closing, CONSUMER)

    def consumer_party(self, closing: ExitStack, name: str) -> Party:
        """A consumer of the fleet."""
        settings = load_settings(ConsumerSettings, self.folder.settings(Role.CONSUMER, name))
        with opened_store(settings) as store:
            closing.callback(store.close)
            return consumer_from(settings, store)

    @property
    def enclave_pid(self) -> int:
        """The enclave's process."""
        place = self._place
        if not isinstance(place, EnclaveProcess) or place.pid is None:
            raise TransportError("the enclave is no process")
        return place.pid

    @property
    def agent_folder(self) -> Path:
        """All that the agent has on its disk."""
        return self.folder.party(Role.AGENT, AGENT)

    def trust(self) -> Trust:
        """What anybody knows of the fleet: the authority's public key."""
        return Trust(self.name, self.fleet.authority.key.public, MemoryStore())

    # What happens

    def package(self, module: bytes) -> PackagedModel:
        """The publisher packages a module as the newest version."""
        self.packaged = self.broker.folder / f"{self.name}.wasm"
        self.packaged.write_bytes(module)
        tensor = TensorSpec(name="in", dtype="uint8", shape=(8,))
        description = ModelDescription(
            name=MODEL,
            inputs=(tensor,),
            outputs=(tensor.model_copy(update={"name": "out"}),),
            tiers=(Tier.SIMULATED,),
            limits=LIMITS,
        )
        with ExitStack() as closing:
            settings = self._publisher_settings()
            packaged = package_model(settings, self.packaged, description, closing, now=self.clock(), force=True)
        self.version = packaged.manifest.version
        return packaged

    def publish(self, module: bytes) -> PackagedModel:
        """Package a module, and let the publisher that runs say so."""
        packaged = self.package(module)
        self["publisher"].do(lambda party, now: party.publish(MODEL, now))
        return packaged

    def wait_for_model(self, mark: int = 0, seconds: float = 30.0) -> None:
        """Until the agent is attested with the model. Raises `TransportError`."""
        if self["agent"].wait(_attested_with_model, mark, seconds) is None:
            raise TransportError("the agent was not attested with the model")

    def update(self, module: bytes) -> PackagedModel:
        """Publish a module, and wait until the agent runs it."""
        mark = self["agent"].mark()
        packaged = self.publish(module)
        self.wait_for_model(mark)
        return packaged

    def request(self, reading: bytes, seconds: float = ANSWER_SECONDS, sensor: str = "sensor") -> bytes:
        """The sensor accepts a reading. Returns the request id."""
        found: list[bytes] = []

        def ask(party: Any, now: float) -> Any:
            name, events = party.request(reading, now, None, seconds)
            found.append(name)
            return events

        self[sensor].do(ask)
        return found[0]

    def ask(self, reading: bytes, seconds: float = ANSWER_SECONDS, sensor: str = "sensor") -> Ended | None:
        """The sensor asks; how it ended."""
        mark = self[sensor].mark()
        return self.ended(self.request(reading, seconds, sensor), mark, seconds + 2, sensor)

    def output(self, reading: bytes, seconds: float = ANSWER_SECONDS) -> bytes | None:
        """What the sensor is handed for a reading."""
        ended = self.ask(reading, seconds)
        return ended.output if isinstance(ended, Answered) else None

    def ended(
        self, request: bytes, mark: int = 0, seconds: float = ANSWER_SECONDS, sensor: str = "sensor"
    ) -> Ended | None:
        """How a request ended."""
        found = self[sensor].wait(lambda event: isinstance(event, Ended) and event.request == request, mark, seconds)
        return found if isinstance(found, Ended) else None

    def result(
        self, request: bytes, mark: int = 0, seconds: float = ANSWER_SECONDS, consumer: str = "consumer"
    ) -> ResultReceived | None:
        """What a consumer was handed for a request."""
        found = self[consumer].wait(
            lambda each: isinstance(each, ResultReceived) and each.request == request, mark, seconds
        )
        return found if isinstance(found, ResultReceived) else None

    def said(self, mark: int = 0) -> list[Publication]:
        """All that was said in this fleet, as the broker has it."""
        return [each for each in self.broker.since(mark) if each.topic.startswith(self.below)]

    def heard(self, mark: int = 0) -> bytes:
        """Every byte of that."""
        return self.broker.heard(mark, self.below)

    def recorded(self, topic: str, mark: int = 0) -> list[Publication]:
        """What the fleet's own parties said on a topic."""
        said = [each for each in self.broker.said[mark:] if each.client.startswith("sealedge-")]
        return [each.publication for each in said if each.publication.topic == topic and each.publication.payload]


def _attested_with_model(event: Event) -> bool:
    return isinstance(event, Noted) and is_noted(event, "attested") and int(event.detail["models"] or 0) > 0
