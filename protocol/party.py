"""What every party is: a state machine without I/O.

A party is handed deliveries and the time; it hands back events. It never reads a clock, opens a socket, sleeps
or draws randomness of its own. The runner (`broker.link`) and the in-memory broker (`broker.memory`) drive any
party in the same five steps: receive, step, persist, publish, acknowledge.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

Randomness = Callable[[int], bytes]
"""Returns the given number of unpredictable bytes; `os.urandom` outside tests."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One MQTT message as it arrived: untrusted in every field."""

    topic: str
    payload: bytes
    response_topic: str | None = None
    correlation: bytes | None = None
    retained: bool = False


class Event:
    """Something a party wants done, or says happened. Events are past participles or nouns, never verbs."""


@dataclass(frozen=True, slots=True)
class Publication(Event):
    """A message to publish; `expiry` in whole seconds (MQTT 5 §3.3.2.3.3)."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False
    expiry: int | None = None
    response_topic: str | None = None
    correlation: bytes | None = None
    content_type: str | None = None


@dataclass(frozen=True, slots=True)
class Subscription(Event):
    """A topic filter to subscribe to, now and after every reconnect. `wanted=False` ends it."""

    topic_filter: str
    qos: int = 1
    wanted: bool = True


@dataclass(frozen=True, slots=True)
class Noted(Event):
    """Something worth showing a person: `what` is one of a small fixed vocabulary, `detail` holds no secret."""

    what: str
    detail: dict[str, str | int | float | bool | None] = field(default_factory=dict)


class Party(Protocol):
    """A party on the bus. `now` is seconds since the epoch and never goes back (the runner sees to it)."""

    @property
    def client_id(self) -> str:
        """The MQTT client identifier."""

    @property
    def deadline(self) -> float | None:
        """When `expire` wants to be called next, or None."""

    def will(self, now: float) -> Publication | None:
        """What the broker shall publish if this party vanishes; asked before each connect."""

    def connected(self, now: float) -> Sequence[Event]:
        """Called after each connect: subscriptions, birth, whatever was waiting."""

    def receive(self, delivery: Delivery, now: float) -> Sequence[Event]:
        """Take one delivery. Never raises for what the network sent: it refuses, counts and says why."""

    def expire(self, now: float) -> Sequence[Event]:
        """Do what is due at `now`."""

    def leaving(self, now: float) -> Sequence[Event]:
        """Called once before an orderly disconnect: finish what is in flight, publish the death."""


class BatchParty(Party, Protocol):
    """A party that may be handed all that waits for it at once, because it can do more with that than with each."""

    def receive_many(self, deliveries: Sequence[Delivery], now: float) -> Sequence[Event]:
        """Take deliveries in the order in which they came; raises as little as `receive`."""


class Store(Protocol):
    """Durable state, handed in. Buckets of byte strings; a write has happened when the call returns.

    `transaction` groups writes: all of them survive a crash, or none. Raises `StoreError` alone.
    """

    def read(self, bucket: str, key: bytes) -> bytes | None:
        """The value, or None."""

    def write(self, bucket: str, key: bytes, value: bytes) -> None:
        """Insert or replace."""

    def delete(self, bucket: str, key: bytes) -> None:
        """Remove; no error where there is nothing."""

    def items(self, bucket: str) -> Iterator[tuple[bytes, bytes]]:
        """All pairs of a bucket in insertion order of their keys."""

    def transaction(self) -> AbstractContextManager[None]:
        """All writes inside survive together, or none does."""
