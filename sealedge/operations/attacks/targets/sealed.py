"""Now: a fleet of sealedge over the attacker's broker, and what happens in it."""

import os
import time
from contextlib import ExitStack
from typing import Any, Final, Self

from protocol.errors import TransportError
from protocol.party import Event, Noted, Publication
from protocol.trust import Trust
from publisher.package import ModelDescription, PackagedModel
from schemas.kinds import Role, Tier
from schemas.model import ModuleLimits, TensorSpec
from sealedge.client.events import Answered, RequestRefused, ResultReceived, TimedOut
from sealedge.operations.attacks.targets.actors import ANSWER_SECONDS, Actor, is_noted
from sealedge.operations.attacks.targets.fleet_parties import FleetParties
from sealedge.operations.attacks.targets.names import (
    AGENT,
    CONSUMER,
    MALLORY,
    MODEL,
    PADDED,
    ROGUE,
    SENSOR,
    SPARE,
    TRUDY,
)
from sealedge.operations.attacks.targets.owned_broker import OwnedBroker
from sealedge.operations.enrol import enrol
from sealedge.operations.init import FleetPlan, create_fleet
from sealedge.operations.parties.publisher import package_model
from storage.store import MemoryStore

LIMITS: Final = ModuleLimits(memory_bytes=2**20, milliseconds=1000, output_bytes=4096)
Ended = Answered | RequestRefused | TimedOut


class Sealed(FleetParties):
    """A fleet in service, for a `with` block: attested, with `module` loaded."""

    def __init__(self, broker: OwnedBroker, module: bytes, name: str = "clinic") -> None:
        super().__init__(broker, name)
        self.module = module
        self.below = self.topics.everything.removesuffix("#")
        self._closing = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as closing:
            self.fleet = create_fleet(
                self.broker.folder / self.name, self._plan(), now=time.time(), randomness=os.urandom
            )
            for role, name in ((Role.CONSUMER, TRUDY), (Role.PUBLISHER, ROGUE)):
                enrol(self.fleet, role, name, now=time.time(), randomness=os.urandom)
            closing.callback(self._end)
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

    def _end(self) -> None:
        for name in reversed(list(self._actors)):
            self.stop(name)
        self.broker.clear({each.topic for each in self.said() if each.retain})

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
            settings = self.publisher_settings()
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

    def start_agent_anew(self) -> Actor:
        """Start the agent that was stopped, and wait until it serves."""
        agent = self.start("agent")
        self.wait_for_model()
        # rumqttd keeps no order between topics: the sensor may hear of the old enclave's end after the new one's
        # passport, and would wait for the next one. Started anew, it reads what is retained.
        self.restart("sensor")
        return agent

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
