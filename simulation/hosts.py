"""The machine around a party: its clock, its disk's failures, and a witness of every step.

A host is a party to the broker. What a step of the real party raises besides what a machine can suffer escapes.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from broker.batches import takes_many
from protocol.errors import StoreError
from protocol.party import Delivery, Event, Party, Publication
from simulation.disks import PowerCutError
from simulation.ledger import ENDS


class HostDownError(Exception):
    """The party's process has ended: its machine lost power, or its disk failed."""

    def __init__(self, client_id: str, why: str) -> None:
        super().__init__(f"{client_id}: {why}")
        self.client_id, self.why = client_id, why


class Witness(Protocol):
    """Is shown every step of every host."""

    def stepped(self, host: "Host", now: float, deliveries: Sequence[Delivery], events: Sequence[Event]) -> None:
        """The party was called at its own time `now`, and this is what it wants done."""


class Host:
    """One run of a party, from its start to its end. `party` is the real one."""

    def __init__(self, party: Any, role: str, name: str, offset: float, witness: Witness) -> None:
        """`offset`: how far its clock is ahead, in whole seconds, so that nothing is lost in rounding."""
        self.party, self.role, self.name = party, role, name
        self._party: Party = party
        self._witness = witness
        self._offset = offset
        self.deaf_to: list[str] = []
        """Last topic levels of what never reaches it, whatever the broker tells others."""
        self.received: list[Delivery] = []
        self.said_later: Callable[[Sequence[Publication]], None] | None = None
        """Where what the party publishes goes while it is slow."""
        self._told: set[bytes] = set()
        self._told_before: set[bytes] = set()

    @property
    def offset(self) -> float:
        """A clock that is set back goes on from where it was: `broker.clock.SteadyClock`."""
        return self._offset

    def set_clock(self, offset: float) -> None:
        """Set the clock so far ahead of the true time, in whole seconds."""
        self._offset = max(self._offset, offset)

    @property
    def fragile(self) -> set[bytes]:
        """Requests whose end was told so lately that a crash now tells it again, as documented."""
        return self._told | self._told_before

    # The party, as the broker sees it

    @property
    def client_id(self) -> str:
        """The party's."""
        return self._party.client_id

    @property
    def deadline(self) -> float | None:
        """On the true clock."""
        due = self._party.deadline
        return None if due is None else due - self._offset

    def will(self, now: float) -> Publication | None:
        """The party's will."""
        found: list[Publication | None] = []

        def asked(at: float) -> Sequence[Event]:
            found.append(self._party.will(at))
            return []

        self._step(asked, now)
        return found[0]

    def connected(self, now: float) -> Sequence[Event]:
        """The party connects."""
        return self._step(self._party.connected, now)

    def receive(self, delivery: Delivery, now: float) -> Sequence[Event]:
        """The party takes one delivery, if it ever hears of it."""
        heard = self._heard((delivery,))
        return self._step(lambda at: self._party.receive(delivery, at), now, heard) if heard else []

    def expire(self, now: float) -> Sequence[Event]:
        """The party does what is due."""
        return self._step(self._party.expire, now)

    def leaving(self, now: float) -> Sequence[Event]:
        """The party leaves in order."""
        return self._step(self._party.leaving, now)

    def act(self, act: Callable[[Any, float], Sequence[Event]], now: float) -> Sequence[Event]:
        """Somebody asks something of the party."""
        return self._step(lambda at: act(self.party, at), now)

    def _heard(self, deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
        heard = [each for each in deliveries if each.topic.rsplit("/", 1)[-1] not in self.deaf_to]
        self.received += heard
        return heard

    def _step(
        self, call: Callable[[float], Sequence[Event]], now: float, deliveries: Sequence[Delivery] = ()
    ) -> Sequence[Event]:
        own = now + self._offset
        self._told_before, self._told = self._told, set()
        try:
            events = call(own)
        except PowerCutError:
            raise HostDownError(self.client_id, "the power went") from None
        except StoreError as error:
            raise HostDownError(self.client_id, str(error)) from None
        self._told_before = set()
        self._told = {event.request for event in events if isinstance(event, ENDS)}
        self._witness.stepped(self, own, deliveries, events)
        return events if self.said_later is None else self._slowed(events)

    def _slowed(self, events: Sequence[Event]) -> Sequence[Event]:
        said = [event for event in events if isinstance(event, Publication)]
        if said and self.said_later is not None:
            self.said_later(said)
        return [event for event in events if not isinstance(event, Publication)]

    def hurry(self) -> None:
        """The party says at once what it has to say."""
        self.said_later = None


class BatchHost(Host):
    """The machine around a party that takes all that waits for it at once (`protocol.party.BatchParty`)."""

    def receive_many(self, deliveries: Sequence[Delivery], now: float) -> Sequence[Event]:
        """The party takes those of them that it ever hears of, together."""
        heard = self._heard(deliveries)
        return self._step(lambda at: self.party.receive_many(heard, at), now, heard) if heard else []


def host_of(party: Any, role: str, name: str, offset: float, witness: Witness) -> Host:
    """The machine that fits a party."""
    return (BatchHost if takes_many(party) else Host)(party, role, name, offset, witness)
