"""The desk at which every party receives: one place that bounds, routes, refuses, counts and reports.

A subclass says what it subscribes to and handles its own topics; whatever a handler raises as `RemoteError` or
`EnclaveError` becomes one counted refusal on the status topic, and the party goes on serving others (P12, P13).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from protocol.errors import EnclaveError, RemoteError, SealedgeError
from protocol.keys import SigningKey
from protocol.party import Delivery, Event, Noted, Publication, Subscription
from protocol.status import StatusBoard, prove_with, refusal_of
from protocol.trust import Trust
from schemas.kinds import Role, State

Handler = Callable[[Delivery, float], Sequence[Event]]


class Desk(ABC):
    """A party that holds its own signing key: verifier, publisher, sensor, consumer."""

    role: Role

    def __init__(self, trust: Trust, name: str, key: SigningKey) -> None:
        self.trust, self.name, self.key = trust, name, key
        self.topics = trust.topics
        self.board = StatusBoard(self.topics, self.role, name)
        self._prove = prove_with(key)

    @property
    def client_id(self) -> str:
        """Unique on the broker: fleet, role and name."""
        return f"sealedge-{self.trust.fleet}-{self.role}-{self.name}"

    @property
    def deadline(self) -> float | None:
        """The earliest of the party's own deadline and the next status."""
        due = [each for each in (self._deadline(), self.board.due_at) if each is not None]
        return min(due, default=None)

    def will(self, now: float) -> Publication | None:
        """The death that the broker publishes: state `lost`, with the sequence number of the birth that follows."""
        self.board.begin(now)
        return self._status(State.LOST, now)

    def connected(self, now: float) -> Sequence[Event]:
        """Subscribe, publish the birth, then whatever the party has waiting."""
        revocations = Subscription(self.topics.revocations)
        return [revocations, *self._subscriptions(), self._status(State.ONLINE, now), *self._connected(now)]

    def receive(self, delivery: Delivery, now: float) -> Sequence[Event]:
        """Take one delivery; a refusal is counted, noted and shown, never raised."""
        self.board.count("received")
        try:
            if delivery.topic == self.topics.revocations:
                return self._receive_revocations(delivery, now)
            return self._handle(delivery, now)
        except (RemoteError, EnclaveError) as error:
            return self._refuse(error, delivery, now)

    def expire(self, now: float) -> Sequence[Event]:
        """Do what is due, and publish the status if it changed."""
        events = list(self._due(now))
        due = self.board.due_at
        if due is not None and now >= due:
            events.append(self._status(State.ONLINE, now))
        return events

    def leaving(self, now: float) -> Sequence[Event]:
        """The orderly death."""
        return [*self._leaving(now), self._status(State.LEFT, now)]

    # What a party adds

    @abstractmethod
    def _subscriptions(self) -> Sequence[Subscription]:
        """Topic filters besides the revocations."""

    @abstractmethod
    def _handle(self, delivery: Delivery, now: float) -> Sequence[Event]:
        """Handle one delivery. May raise `RemoteError` or `EnclaveError`."""

    def _connected(self, now: float) -> Sequence[Event]:  # noqa: ARG002 - part of the interface
        return []

    def _due(self, now: float) -> Sequence[Event]:  # noqa: ARG002 - part of the interface
        return []

    def _deadline(self) -> float | None:
        return None

    def _leaving(self, now: float) -> Sequence[Event]:  # noqa: ARG002 - part of the interface
        return []

    def _revoked(self, now: float) -> Sequence[Event]:  # noqa: ARG002 - part of the interface
        """Called after a newer revocation list is in force: erase and end what it names."""
        return []

    def _refusal_reply(self, error: SealedgeError, delivery: Delivery, now: float) -> Sequence[Event]:  # noqa: ARG002
        """What the one who asked is told; nothing unless the party knows where an answer may go."""
        return []

    # What all parties share

    def _receive_revocations(self, delivery: Delivery, now: float) -> Sequence[Event]:
        if not self.trust.revocations.accept_untrusted(delivery.payload):
            return []
        sequence = self.trust.revocations.sequence
        return [Noted("revocations-accepted", {"sequence": sequence}), *self._revoked(now)]

    def _refuse(self, error: SealedgeError, delivery: Delivery, now: float) -> Sequence[Event]:
        refusal = refusal_of(error, now)
        self.board.refuse(refusal, delivery.topic)
        detail: dict[str, str | int | float | bool | None] = {
            "party": self.name,
            "topic": delivery.topic,
            "why": error.diagnostics,
            **refusal.model_dump(exclude_none=True, mode="json"),
        }
        return [Noted("refused", detail), *self._refusal_reply(error, delivery, now)]

    def _status(self, state: State, now: float) -> Publication:
        signed = self._prove(self.board.status(state, self.key.public.thumbprint, now))
        return self.board.publication(state, signed, now)
