"""An MQTT 5 broker in memory that drives many parties from one seed and one virtual clock.

Honest by default: QoS 1, retained messages, wills, message expiry, wildcard and shared subscriptions, and sessions
that outlive their parties. `faults`, `intercept`, `deliver` and `replay` make it hostile; `tap` makes it curious.
What waits for one party keeps its order; which party is served next, and with how much, is drawn from the seed.
An exception that escapes a party escapes from here too: in a test a bug is loud.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice, takewhile
from typing import TypeVar

from broker.batches import receive_many, takes_many
from broker.faults import FAULTLESS, Faults
from broker.routing import Intercept, Routing, Tap
from broker.session import Session, Waiting
from protocol.errors import ProtocolMisuseError, TransportError
from protocol.party import Delivery, Event, Party, Publication, Subscription
from schemas.reason import Reason

START = 1_800_000_000.0
"""Where the virtual clock starts, in seconds since the epoch."""

P = TypeVar("P", bound=Party)


class MemoryBroker(Routing):
    """Every party that was started, what waits for it, what is retained, and the time.

    Parties are named by themselves or by their client identifier. `noted` holds every event that was neither a
    publication nor a subscription, with the client identifier it came from; `now` is the virtual clock in seconds.
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        now: float = START,
        faults: Faults = FAULTLESS,
        intercept: Intercept | None = None,
        tap: Tap | None = None,
        will_delay: float = 0.0,
        most_together: int = 1,
    ) -> None:
        """`most_together`: so many deliveries at most are handed at once to a party that offers `receive_many`."""
        super().__init__(seed, now)
        self.faults = faults
        self.intercept = intercept
        self.tap = tap
        self.will_delay = will_delay
        self.most_together = most_together
        self.noted: list[tuple[str, Event]] = []

    # Parties come and go

    def start(self, party: Party) -> None:
        """Connect a party, to the session its client identifier had before, if any.

        A party that still runs under that identifier crashes first (session taken over, MQTT 5 §3.1.4).
        """
        session = self._sessions.setdefault(party.client_id, Session(party.client_id))
        if session.party is not None:
            self.crash(party.client_id)
        session.party = party
        self._connect(session)

    def leave(self, party: Party | str) -> None:
        """Let a party leave in order: its last events happen, its will does not."""
        session = self._session(party)
        self._perform(session, self._running(session).leaving(self.now))
        session.will = None
        self._vanish(session)
        session.end()

    def crash(self, party: Party | str, *, before_acknowledging: bool = False) -> None:
        """End a party without a word: its will is published, its session waits for another `start`.

        `before_acknowledging`: crash later, at its next delivery. The party has handled and stored it, but what it
        published is lost and the delivery comes again after the restart.
        """
        session = self._session(party)
        if before_acknowledging:
            session.dies_before_acknowledging = True
            return
        self._vanish(session)
        session.end()

    def cut(self, party: Party | str) -> None:
        """Cut the network of a party that goes on running: what it publishes waits, in order."""
        self._vanish(self._session(party))

    def mend(self, party: Party | str) -> None:
        """Connect a party again whose network was cut."""
        session = self._session(party)
        self._running(session)
        if not session.online:
            self._connect(session)

    def is_online(self, party: Party | str) -> bool:
        """Whether the party runs and its network is up."""
        return self._session(party).online

    def waiting(self, party: Party | str) -> Sequence[Delivery]:
        """What waits in the inbox of a party, first to last."""
        return [waiting.delivery for waiting in self._session(party).inbox]

    # What tests, people and attackers do

    def submit(self, party: P, act: Callable[[P, float], Sequence[Event]]) -> None:
        """Call `act(party, now)` and do what its events ask: how a person makes a party begin something."""
        self._perform(self._session(party), act(party, self.now))

    def deliver(self, party: Party | str, delivery: Delivery, *, qos: int = 1) -> None:
        """Put any delivery into the inbox of one party, subscribed or not, past every fault."""
        self._session(party).inbox.append(Waiting(delivery, qos, None))

    # Time and steps

    def step(self) -> bool:
        """Deliver one message, or one burst, to one party and do what it asks. False when nothing waits anywhere."""
        ready = [session for session in self._sessions.values() if session.online and session.inbox]
        if not ready:
            return False
        self._serve(self._random.choice(ready))
        return True

    def run(self, limit_steps: int = 100_000) -> None:
        """Deliver until nothing waits, without moving the clock.

        Raises:
            TransportError: the parties still talk after `limit_steps` deliveries.
        """
        for _ in range(limit_steps):
            if not self.step():
                return
        raise TransportError(f"the parties still talk after {limit_steps} deliveries", reason=Reason.TIMEOUT)

    def run_until(self, condition: Callable[[], bool], limit_steps: int = 10_000) -> None:
        """Deliver, and let time jump to the next deadline whenever nothing waits, until `condition()` holds.

        Raises:
            TransportError: it does not hold after `limit_steps` deliveries and jumps, or nothing is left to happen.
        """
        for _ in range(limit_steps):
            if condition():
                return
            if self.step():
                continue
            due = self._next_due()
            if due is None:
                break
            self._reach(due)
        if not condition():
            raise TransportError("the condition was not reached", reason=Reason.TIMEOUT)

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass: every deadline, delay and will on the way happens at its own time."""
        end = self.now + seconds
        self.run()
        while (due := self._next_due()) is not None and due <= end:
            self._reach(due)
            self.run()
        self.now = end

    # Inside

    def _session(self, party: Party | str) -> Session:
        client_id = party if isinstance(party, str) else party.client_id
        if client_id not in self._sessions:
            raise ProtocolMisuseError(f"no party {client_id!r} was ever started here")
        return self._sessions[client_id]

    @staticmethod
    def _running(session: Session) -> Party:
        if session.party is None:
            raise ProtocolMisuseError(f"the party {session.client_id!r} does not run")
        return session.party

    def _connect(self, session: Session) -> None:
        party = self._running(session)
        session.connects += 1
        session.will = party.will(self.now)
        session.online = True
        waiting = tuple(session.outbox)
        session.outbox.clear()
        self._perform(session, waiting)
        self._perform(session, party.connected(self.now))

    def _vanish(self, session: Session) -> None:
        """What the broker does when a network connection breaks (MQTT 5 §3.1.2.5, §4.1)."""
        if not session.online:
            return
        session.online = False
        session.forget_unreliable()
        will, session.will = session.will, None
        if will is not None:
            self._schedule.add(self.now + self.will_delay, self._publish_will(session, will))
            self._schedule.happen(self.now)

    def _publish_will(self, session: Session, will: Publication) -> Callable[[], None]:
        connects = session.connects

        def publish() -> None:
            # A client that came back within the will delay keeps its will to itself (MQTT 5 §3.1.3.2.2).
            if session.connects == connects:
                self._accept(session.client_id, will)

        return publish

    def _serve(self, session: Session) -> None:
        """Receive, step, publish, acknowledge: one delivery, or a burst of them."""
        waiting = session.inbox[0]
        if waiting.expires_at is not None and self.now >= waiting.expires_at:
            session.inbox.popleft()
            return
        party = self._running(session)
        burst = self._burst(session) if takes_many(party) else []
        events = receive_many(party, burst, self.now) if len(burst) > 1 else party.receive(waiting.delivery, self.now)
        if session.dies_before_acknowledging:
            self.crash(session.client_id)
            return
        # Popped before the events: what they publish may be reordered to the head of this same inbox.
        for _ in range(max(1, len(burst))):
            session.inbox.popleft()
        self._perform(session, events)

    def _burst(self, session: Session) -> list[Delivery]:
        """What is handed over at once: of what waits, as much as is drawn and is still worth something."""
        if self.most_together == 1:
            return []
        first = list(islice(session.inbox, self._random.randint(1, self.most_together)))
        return [
            each.delivery
            for each in takewhile(lambda each: each.expires_at is None or self.now < each.expires_at, first)
        ]

    def _perform(self, session: Session, events: Iterable[Event]) -> None:
        for event in events:
            if not isinstance(event, Publication | Subscription):
                self.noted.append((session.client_id, event))
            elif not session.online:
                session.outbox.append(event)
            elif isinstance(event, Publication):
                self._accept(session.client_id, event)
            else:
                self._subscribe(session, event)

    def _next_due(self) -> float | None:
        deadlines = [session.party.deadline for session in self._sessions.values() if session.party is not None]
        return min((due for due in (self._schedule.next_due, *deadlines) if due is not None), default=None)

    def _reach(self, due: float) -> None:
        """Move the clock to `due` and do what is due: delayed deliveries and wills, then deadlines."""
        self.now = max(self.now, due)
        self._schedule.happen(self.now)
        for session in tuple(self._sessions.values()):
            deadline = None if session.party is None else session.party.deadline
            if deadline is not None and deadline <= self.now:
                self._expire(session, deadline)

    def _expire(self, session: Session, deadline: float) -> None:
        party = self._running(session)
        events = party.expire(self.now)
        if not events and party.deadline == deadline:
            raise ProtocolMisuseError(f"{session.client_id!r} did nothing at its deadline and keeps it")
        self._perform(session, events)
