"""The parties of a fleet: those that the commands run, on their files, each with a link and a thread.

The enclave is a process of its own, as everywhere.
"""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from edge_agent.host import EnclaveProcess
from protocol.errors import TransportError
from protocol.party import Party
from schemas.kinds import Role
from schemas.topics import FleetTopics
from sealedge.client.parties import consumer_from, opened_store, sensor_from
from sealedge.client.settings import ConsumerSettings, SensorSettings, load_settings
from sealedge.operations.attacks.targets.actors import Actor, ShiftedClock
from sealedge.operations.attacks.targets.names import AGENT, CONSUMER, SENSOR
from sealedge.operations.attacks.targets.owned_broker import OwnedBroker
from sealedge.operations.fleet import Fleet, FleetFolder
from sealedge.operations.parties.agent import completed_agent
from sealedge.operations.parties.enclave import begin_enclave
from sealedge.operations.parties.publisher import build_publisher
from sealedge.operations.parties.verifier import build_verifier
from sealedge.operations.settings import AgentSettings, PublisherSettings, VerifierSettings


class FleetParties:
    """Verifier, publisher, agent, sensor and consumer by these names; `fleet` is made before the first of them."""

    fleet: Fleet

    def __init__(self, broker: OwnedBroker, name: str) -> None:
        self.broker, self.name = broker, name
        self.clock, self.host_clock = ShiftedClock(), ShiftedClock()
        self.topics = FleetTopics(name)
        self._actors: dict[str, Actor] = {}

    @property
    def folder(self) -> FleetFolder:
        """Where all their files are."""
        return self.fleet.folder

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

    def _verifier(self, closing: ExitStack) -> Party:
        settings = VerifierSettings.load(self.folder.settings(Role.VERIFIER, "verifier"))
        return build_verifier(settings, closing, now=self.clock())

    def _publisher(self, closing: ExitStack) -> Party:
        return build_publisher(self.publisher_settings(), closing, now=self.clock())

    def publisher_settings(self) -> PublisherSettings:
        """The publisher's, from its file."""
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
