"""One round of trials on a broker: names of its own, and clients that are gone at its end."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from broker.acl import doctor_topics
from broker.settings import ConnectionSettings
from protocol.errors import RemoteError, TransportError
from protocol.party import Randomness
from sealedge.operations.broker_conformance.client import Client
from sealedge.operations.broker_conformance.opening import Asked

SILENCE_SECONDS: Final = 0.5
"""How long nothing must come, where nothing may come."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found out; `found` says what happened, for people."""

    holds: bool
    found: str


@dataclass(frozen=True, slots=True)
class Trial:
    """An account on a broker, and a corner of the topics of its fleet that nobody else uses."""

    settings: ConnectionSettings
    fleet: str
    tag: str
    clients: list[Client] = field(default_factory=list)

    @classmethod
    @contextmanager
    def open(cls, settings: ConnectionSettings, fleet: str, randomness: Randomness) -> "Iterator[Trial]":
        """A round of trials; its clients' connections are closed at the end."""
        trial = cls(settings, fleet, randomness(6).hex())
        try:
            yield trial
        finally:
            for client in trial.clients:
                client.vanish()

    def topic(self, name: str) -> str:
        """A topic of this round alone."""
        return f"{doctor_topics(self.fleet)}/{self.tag}/{name}"

    def client(self, name: str, asked: Asked | None = None) -> Client:
        """Connect; the same name again is the same MQTT client. Raises `TransportError`, `MalformedError`."""
        client = Client(self.settings, f"doctor-{self.tag}-{name}", asked or Asked())
        self.clients.append(client)
        return client

    def listener(self, name: str, topic_filter: str, asked: Asked | None = None) -> Client:
        """Connect and subscribe. Raises `TransportError` where the broker grants no QoS 1."""
        client = self.client(name, asked)
        if not client.subscribe(topic_filter):
            raise TransportError(f"the broker refuses the subscription to {topic_filter}")
        return client

    def say(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish once with a client of its own. Raises `TransportError` where the broker does not take it."""
        client = self.client(f"say-{topic.removeprefix(self.topic('')).replace('/', '-')}")
        if not client.publish(topic, payload, retain=retain):
            raise TransportError(f"the broker does not take what is said on {topic}")
        client.leave()


def judged(try_out: Callable[[Trial], Verdict], trial: Trial) -> Verdict:
    """What the trial found; a broker that hangs up, stays silent or sends garbage in it has failed it."""
    try:
        return try_out(trial)
    except (TransportError, RemoteError) as error:
        return Verdict(False, str(error))


def is_silent(client: Client) -> bool:
    """Whether nothing comes, also where the broker has hung up."""
    with suppress(TransportError):
        return client.hear(SILENCE_SECONDS) is None
    return True


def wait(seconds: float) -> None:
    """Let something expire at the broker."""
    time.sleep(seconds)
