"""Steps a party and does what its events ask, over one connection: receive, step, persist, publish, acknowledge."""

import logging
import time
import traceback
from collections.abc import Callable, Sequence

from broker.batches import receive_many
from broker.connection import Connection
from broker.notes import Note, noted
from broker.outbox import Acknowledgement, Outbox
from broker.records import Arrived
from broker.settings import ConnectionSettings
from broker.topic_filter import is_valid_filter
from protocol.errors import StoreError
from protocol.party import Event, Party, Publication, Subscription

Listener = Callable[[Event], None]

logger = logging.getLogger("sealedge.broker")


class Stepping:
    """`failures` counts the exceptions that escaped the party or the listener: each of them is a bug.

    With `strict`, they escape from here, too. So does a party's `StoreError`, always: it is no bug, and whoever went
    on would acknowledge what was never written. `now` never goes back, whatever the clock does.
    """

    def __init__(
        self,
        party: Party,
        connection: Connection,
        settings: ConnectionSettings,
        clock: Callable[[], float],
        listener: Listener | None,
        *,
        strict: bool,
    ) -> None:
        self.party = party
        self.outbox = Outbox(settings.max_outbox_messages, settings.max_outbox_bytes, self.tell)
        self.failures = 0
        self._connection = connection
        self._clock = clock
        self._listener = listener
        self._strict = strict
        self._last = clock()
        self._wanted: dict[str, Subscription] = {}
        self._asked: set[str] = set()

    @property
    def now(self) -> float:
        """Seconds since the epoch."""
        self._last = max(self._last, self._clock())
        return self._last

    def step(self, during: str, act: Callable[[float], Sequence[Event]]) -> None:
        """Call the party and do what it asks; what escapes it is logged and counted, and others are served on."""
        try:
            self.perform(act(self.now))
        except StoreError:
            raise
        except Exception as error:
            self._failed(during, error)

    def receive(self, records: Sequence[Arrived]) -> None:
        """Hand over what arrived, and acknowledge it. What is worth nothing any more is not handed over, but noted.

        The sender chose the Message Expiry Interval, and nothing protects it: it only ever saves work.
        """
        at = time.monotonic()
        before = self.outbox.numbered
        fresh = [each for each in records if each.useless_at is None or at < each.useless_at]
        if len(fresh) < len(records):
            self.tell(noted(Note.DELIVERY_EXPIRED, count=len(records) - len(fresh)))
        deliveries = [each.delivery for each in fresh]
        if len(deliveries) == 1:
            self.step("receive", lambda now: self.party.receive(deliveries[0], now))
        elif deliveries:
            self.step("receive", lambda now: receive_many(self.party, deliveries, now))
        self._acknowledge(records, before)

    def _acknowledge(self, records: Sequence[Arrived], before: int) -> None:
        """Acknowledge each behind its share of what all of them caused, so that none waits for a full window."""
        caused = self.outbox.numbered - before
        for number, each in enumerate(records, 1):
            if each.packet_identifier is not None:
                after = before + -(-caused * number // len(records)) if caused else 0
                self.outbox.acknowledge(each.packet_identifier, after)

    def will(self) -> Publication | None:
        """The party's will; none where asking for it fails."""
        try:
            return self.party.will(self.now)
        except StoreError:
            raise
        except Exception as error:
            self._failed("will", error)
            return None

    def perform(self, events: Sequence[Event]) -> None:
        """Queue publications, subscribe, and tell the rest to the listener."""
        for event in events:
            if isinstance(event, Publication):
                self.outbox.put(event, self.now)
            elif isinstance(event, Subscription):
                self._subscribe(event)
            else:
                self.tell(event)

    def tell(self, event: Event) -> None:
        """Hand an event to the listener."""
        if self._listener is None:
            return
        try:
            self._listener(event)
        except Exception as error:
            self._listener = None if self._strict else self._listener
            self._failed("listener", error)

    def greet(self) -> None:
        """After each connect: let the party say what it wants, then renew every older subscription."""
        self._asked.clear()
        self.step("connected", self.party.connected)
        for topic_filter, subscription in self._wanted.items():
            if topic_filter not in self._asked:
                self._connection.subscribe(subscription)

    def _subscribe(self, subscription: Subscription) -> None:
        topic_filter = subscription.topic_filter
        if not is_valid_filter(topic_filter) or subscription.qos not in (0, 1):
            self.tell(noted(Note.SUBSCRIPTION_REFUSED, topic_filter=topic_filter, why="it is no topic filter"))
            return
        if subscription.wanted:
            self._wanted[topic_filter] = subscription
        else:
            self._wanted.pop(topic_filter, None)
        self._asked.add(topic_filter)
        if self._connection.is_open:
            self._connection.subscribe(subscription)

    def flush(self) -> None:
        """Send what waits, in order, as far as the broker's limits allow."""
        while self._connection.is_open:
            item = self.outbox.take(self.now, room=self._connection.has_room)
            if item is None:
                return
            if isinstance(item, Acknowledgement):
                self._connection.acknowledge(item.packet_identifier)
                continue
            note = self._connection.publish(item)
            if note is not None:
                self.tell(note)

    @property
    def unsent(self) -> int:
        """How many publications were not sent, or not acknowledged by the broker."""
        return len(self.outbox) + self._connection.in_flight

    def _failed(self, during: str, error: Exception) -> None:
        self.failures += 1
        # Without the exception's own text: it may quote what it was given, a secret among it.
        where = "".join(traceback.format_tb(error.__traceback__))
        logger.error("%s escaped from %r in %s\n%s", type(error).__name__, self.party.client_id, during, where)
        if self._strict:
            raise error
        if during != "listener":
            self.tell(noted(Note.PARTY_FAILED, during=during, error=type(error).__name__))
