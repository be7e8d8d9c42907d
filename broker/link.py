"""Drives any party over MQTT 5: receive, step, persist, publish, acknowledge, all in one thread.

A delivery is acknowledged once what it caused was sent, so that Receive Maximum is real back-pressure; deliveries that
a party takes together, each behind its share. Publications keep their order over reconnects; what the broker has not
acknowledged is sent again.
"""

import random
import select
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from broker.batches import takes_many
from broker.clock import Clock, SteadyClock
from broker.connection import Connection
from broker.heartbeat import Heartbeat
from broker.notes import Note, noted
from broker.records import Answered, Arrived, Discarded, Lost, Opened, Record, Refused, Returned, Taken
from broker.retrying import Retrying
from broker.settings import ConnectionSettings
from broker.stepping import Listener, Stepping
from broker.submissions import Act, Submissions
from protocol.party import Party

LONGEST_SLEEP = 1.0
SHORTEST_SLEEP = 0.001
QUEUED_SECONDS = 0.3
"""How long a resumed session is listened to before it is ended, on a broker that sends nothing retained into it."""

CLOSING_SECONDS = 1.0

MOST_TOGETHER = 64
"""Deliveries that are handed to a party in one step, where it offers `receive_many`."""


class Link:
    """One party and its broker.

    `listener` is called in the loop's thread with every event that is neither a publication nor a subscription, and
    with what the link notes itself (`broker.notes`). `strict` lets exceptions of the party escape from `run`.

    Raises:
        ConfigurationError: the settings name a password or TLS file, or a heartbeat file, that cannot be used.
    """

    def __init__(
        self,
        party: Party,
        settings: ConnectionSettings,
        *,
        clock: Clock | None = None,
        listener: Listener | None = None,
        strict: bool = False,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._connection = Connection(party.client_id, settings)
        self._stepping = Stepping(party, self._connection, settings, clock or SteadyClock(), listener, strict=strict)
        self._submissions = Submissions()
        self._retrying = Retrying(settings, jitter)
        self._heartbeat = None if settings.heartbeat_file is None else Heartbeat(settings.heartbeat_file)
        self._party = party
        self._most_together = MOST_TOGETHER if takes_many(party) else 1
        self._next_attempt = 0.0
        self._greeted = False
        self._begin_anew_at: float | None = None
        self._answer_due: float | None = None
        self._leave_until: float | None = None
        self._stops = 0

    @property
    def failures(self) -> int:
        """How many exceptions escaped the party or the listener; each is a bug."""
        return self._stepping.failures

    def submit(self, act: Act) -> "Future[None]":
        """Call `act(party, now)` in the loop's thread and do what the events it returns ask. Safe from any thread.

        The future is done when the events are queued for sending; it raises what `act` raised, or TransportError
        where the link stopped first.
        """
        return self._submissions.add(act)

    def stop(self) -> None:
        """Leave in order; a second call leaves at once. Safe from any thread and from a signal handler."""
        self._stops += 1
        self._submissions.wake()

    def run(self) -> None:
        """Serve until `stop`; may be called once.

        Raises:
            TransportError: the broker refused too often, lacks what is needed, or was out of reach too often.
            StoreError: the party's. What it was stepping through is not acknowledged: the broker delivers it again.
        """
        try:
            while not self._is_finished():
                self._turn()
            self._close()
        finally:
            self._connection.abort()
            self._submissions.close()

    def _turn(self) -> None:
        self._begin_anew_if_due()
        self._connect_if_due()
        self._wait()
        while (submission := self._submissions.take()) is not None:
            self._call(*submission)
        self._handle_records()
        self._expire()
        self._stepping.flush()
        if self._heartbeat is not None and self._connection.is_open:
            self._heartbeat.beat()
        if self._stops and self._leave_until is None:
            self._leave_until = time.monotonic() + self._settings.flush_timeout
            self._stepping.step("leaving", self._party.leaving)
            self._stepping.flush()

    # The network

    def _connect_if_due(self) -> None:
        at = time.monotonic()
        if self._connection.endpoint is None:
            if at >= self._next_attempt and not self._connection.incoming:
                self._answer_due = at + self._settings.connect_timeout
                self._connection.open(self._stepping.will(), clean_start=self._begin_anew_at is not None)
        elif self._answer_due is not None and at >= self._answer_due:
            self._connection.abort()
            self._connection.incoming.append(Lost("the broker does not answer"))

    def _wait(self) -> None:
        """Sleep until something can be read or written, somebody calls, or something is due; then read and write."""
        endpoint, woken = self._connection.endpoint, self._submissions.socket
        readers = [woken] if endpoint is None else [woken, endpoint]
        writers = [endpoint] if endpoint is not None and self._connection.wants_write else []
        ready, writable, _ = select.select(readers, writers, [], self._sleep())
        if woken in ready:
            self._submissions.slept()
        if endpoint is not None:
            readable = endpoint in ready or self._connection.has_pending
            self._connection.pump(readable=readable, writable=bool(writable))

    def _sleep(self) -> float:
        """For how many seconds there is surely nothing to do."""
        if self._connection.incoming or self._connection.has_pending:
            return 0.0
        waiting_for = self._next_attempt if self._connection.endpoint is None else self._answer_due
        dues = [due for due in (waiting_for, self._leave_until, self._begin_anew_at) if due is not None]
        left = [LONGEST_SLEEP, *(due - time.monotonic() for due in dues)]
        deadline = self._party.deadline
        if deadline is not None and self._leave_until is None:
            left.append(deadline - self._stepping.now)
        # A party whose deadline stays in the past must not eat the processor.
        return max(SHORTEST_SLEEP, min(left))

    def _handle_records(self) -> None:
        incoming = self._connection.incoming
        while incoming:
            arrived = self._arrived()
            if arrived:
                self._receive(arrived)
            else:
                self._handle(incoming.popleft())

    def _arrived(self) -> list[Arrived]:
        """The deliveries that wait before any other record: one, or as many as the party takes together."""
        incoming = self._connection.incoming
        found: list[Arrived] = []
        while incoming and len(found) < self._most_together and isinstance(first := incoming[0], Arrived):
            found.append(first)
            incoming.popleft()
        return found

    def _handle(self, record: Record) -> None:
        match record:
            case Arrived():
                self._receive([record])
            case Taken() | Answered():
                self._answered(record)
            case Discarded():
                self._stepping.tell(record.note)
                if record.packet_identifier is not None:
                    self._stepping.outbox.acknowledge(record.packet_identifier)
                self._stepping.flush()
            case Opened():
                self._opened(record)
            case Returned():
                self._stepping.outbox.put_back(record.publications, self._stepping.now)
            case Refused():
                self._connection.abort()
                self._disconnected(str(record.refusal.error), self._retrying.refused(record.refusal))
            case Lost():
                self._disconnected(record.why, self._retrying.lost(record.why, time.monotonic()))

    def _opened(self, record: Opened) -> None:
        self._answer_due = None
        self._retrying.opened(time.monotonic())
        withheld = record.session_present and record.limits.is_rumqttd and not self._greeted
        self._begin_anew_at = time.monotonic() + QUEUED_SECONDS if withheld else None
        self._greeted = True
        if self._leave_until is None:
            self._stepping.greet()
        # Told last: whoever waits for it may rely on the subscriptions, which are sent by now.
        address = str(self._settings.address)
        self._stepping.tell(noted(Note.CONNECTED, broker=address, session_present=record.session_present))

    def _begin_anew_if_due(self) -> None:
        """A party that was just started, and whose old session the broker keeps but sends nothing retained into.

        What was queued in that session has come by now. Ending it brings what is retained, which the party lacks.
        """
        if self._begin_anew_at is None or self._leave_until is not None or not self._connection.is_open:
            return
        if time.monotonic() >= self._begin_anew_at and not self._stepping.unsent:
            self._connection.close()
            self._connection.abort()
            self._next_attempt = 0.0

    def _disconnected(self, why: str, wait: float) -> None:
        self._answer_due = None
        self._next_attempt = time.monotonic() + wait
        self._stepping.outbox.forget_acknowledgements()
        self._stepping.tell(noted(Note.DISCONNECTED, why=why, retry_seconds=round(wait, 3)))

    def _answered(self, record: Taken | Answered) -> None:
        if record.failure is None:
            return
        if isinstance(record, Taken):
            topic = record.publication.topic
            self._stepping.tell(noted(Note.PUBLICATION_REFUSED, topic=topic, why=record.failure))
        else:
            topic_filter = record.topic_filter
            self._stepping.tell(noted(Note.SUBSCRIPTION_REFUSED, topic_filter=topic_filter, why=record.failure))

    # The party

    def _receive(self, records: Sequence[Arrived]) -> None:
        if self._leave_until is not None:
            # Not acknowledged: the broker keeps them for the next start.
            return
        self._stepping.receive(records)
        self._stepping.flush()

    def _expire(self) -> None:
        deadline = self._party.deadline
        if deadline is not None and self._leave_until is None and self._stepping.now >= deadline:
            self._stepping.step("expire", self._party.expire)

    def _call(self, act: Act, future: "Future[None]") -> None:
        try:
            self._stepping.perform(act(self._party, self._stepping.now))
        except Exception as error:
            # Whoever submitted the call learns it from the future.
            future.set_exception(error)
        else:
            self._stepping.flush()
            future.set_result(None)

    # Leaving

    def _is_finished(self) -> bool:
        if self._leave_until is None:
            return False
        return self._stops > 1 or not self._stepping.unsent or time.monotonic() >= self._leave_until

    def _close(self) -> None:
        """Say goodbye, so that the broker forgets the will."""
        if self._stepping.unsent:
            self._stepping.tell(noted(Note.LEFT_UNSENT, publications=self._stepping.unsent))
        if not self._connection.is_open:
            return
        self._connection.close()
        until = time.monotonic() + CLOSING_SECONDS
        while (endpoint := self._connection.endpoint) is not None and time.monotonic() < until:
            _, writable, _ = select.select([], [endpoint], [], CLOSING_SECONDS)
            self._connection.pump(readable=False, writable=bool(writable))
