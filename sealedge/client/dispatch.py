"""Getting requests to an enclave: one session at a time, a bounded number in flight, and another try when it is silent.

waiting ─> in flight ─────────────────────> ended
   ^          │ no answer in time: sealed again under a new sequence number
   └──────────┘ session lost: again in another session, perhaps with another agent
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from protocol.attestation import Passport
from protocol.errors import FreshnessError, ProtocolMisuseError, RemoteError
from protocol.messages import encode_message
from protocol.padding import MAX_MULTIPLE, padded
from protocol.party import Event, Noted, Publication
from protocol.trust import Trust
from schemas.kinds import Kind, Role
from schemas.reason import Reason
from schemas.session import InferenceRequest
from sealedge.client.agents import Agents
from sealedge.client.outbox import Entry, Outbox
from sealedge.client.session import SensorSession, SessionOpener

TRIES = 2
"""How often a session is asked before its silence counts as a failure of its agent."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast and how patiently. Times in seconds; `pad_to` in bytes, 0 for no padding.

    Raises:
        ProtocolMisuseError: a number that makes no sense.
    """

    in_flight: int = 32
    retry_seconds: float = 5.0
    pad_to: int = 0
    one_shot: bool = False

    def __post_init__(self) -> None:
        if self.in_flight < 1 or not self.retry_seconds > 0:
            raise ProtocolMisuseError("at least one request in flight, and some time before it is sent again")
        if not 0 <= self.pad_to <= MAX_MULTIPLE:
            raise ProtocolMisuseError(f"requests are padded to a multiple of at most {MAX_MULTIPLE} bytes")


@dataclass(slots=True)
class _Flight:
    """A request that was sent and is not answered."""

    session: SensorSession
    first_sent: float
    retry_at: float


class Dispatch:
    """Decides what is sent, when, and in which session. `obstacle` is why nothing moves, where that is known."""

    def __init__(
        self, trust: Trust, name: str, opener: SessionOpener, agents: Agents, outbox: Outbox, pace: Pace
    ) -> None:
        self._trust, self._opener, self._agents = trust, opener, agents
        self._outbox, self._pace = outbox, pace
        self._inbox = trust.topics.inbox(Role.SENSOR, name)
        self._waiting: OrderedDict[bytes, None] = OrderedDict.fromkeys(outbox)
        self._flights: dict[bytes, _Flight] = {}
        self._sessions: OrderedDict[bytes, SensorSession] = OrderedDict()
        self._current: SensorSession | None = None
        self._chance_at: float | None = None
        self.minimum_version = 0
        self.obstacle: Reason | None = None

    # What is asked of it

    def enqueue(self, request: bytes) -> None:
        """A new request waits in the outbox."""
        self._waiting[request] = None

    def pump(self, now: float) -> list[Event]:
        """Send what may be sent now, and has time left; open a session if there is none."""
        self._chance_at = None
        send = self._send_one_shot if self._pace.one_shot else self._send_in_session
        events: list[Event] = []
        while self._waiting and len(self._flights) < self._capacity:
            entry = self._outbox.entry(next(iter(self._waiting)))
            if now >= entry.expires:
                self._waiting.pop(entry.request)
                continue
            sent = send(entry, now)
            if sent is None:
                break
            events.append(sent)
        if self._waiting and not self._pace.one_shot and self._current is None:
            events += self._open(now)
        return events

    def expire(self, now: float) -> list[Event]:
        """Ask again where nobody answered in time, then `pump`."""
        events = self._ask_again(now)
        for request, flight in [(r, f) for r, f in self._flights.items() if f.retry_at <= now]:
            if request in self._flights:
                events += self._retry(request, flight, now)
        return [*events, *self.pump(now)]

    @property
    def deadline(self) -> float | None:
        """When `expire` has something to do."""
        due = [flight.retry_at for flight in self._flights.values()]
        if self._current is not None and self._current.accepted is None:
            due.append(self._current.resend_at)
        if self._chance_at is not None and self._waiting:
            due.append(self._chance_at)
        return min(due, default=None)

    def session(self, identifier: bytes) -> SensorSession | None:
        """A session of which answers may still come."""
        return self._sessions.get(identifier)

    def session_of(self, request: bytes) -> SensorSession | None:
        """The session in which this request was sent last."""
        flight = self._flights.get(request)
        return None if flight is None else flight.session

    def end(self, request: bytes) -> None:
        """This request is sent no more."""
        self._waiting.pop(request, None)
        flight = self._flights.pop(request, None)
        if flight is not None and self._pace.one_shot:
            self._sessions.pop(flight.session.identifier, None)

    def postpone(self, request: bytes, until: float) -> None:
        """The enclave asked for patience."""
        flight = self._flights.get(request)
        if flight is not None:
            flight.retry_at = until

    def time_out(self, request: bytes, patience: float, now: float) -> list[Event]:
        """This request has expired. A session that was silent for `patience` seconds on it is lost."""
        flight = self._flights.get(request)
        self.end(request)
        if flight is None or now - max(flight.session.heard_at, flight.first_sent) < patience:
            return []
        return self.lose(flight.session, Reason.TIMEOUT, now)

    def lose(self, session: SensorSession, why: Reason, now: float, wait: float = 0.0) -> list[Event]:
        """This session will not do, and its agent failed: whatever was sent in it waits again, for another one."""
        self._agents.failed(session.agent, now, wait)
        return self._drop(session, why)

    def lose_those_of(self, agent: str, why: Reason) -> list[Event]:
        """The enclave is not there any more: it was started anew, has gone, or is revoked."""
        lost = [session for session in self._sessions.values() if session.agent == agent]
        return [event for session in lost for event in self._drop(session, why)]

    def lose_those_before(self, passport: Passport) -> list[Event]:
        """The enclave of this passport has taken the place of an earlier one, whose sessions died with it."""
        lost = [
            session
            for session in self._sessions.values()
            if session.agent == passport.agent and session.passport.signing_key != passport.signing_key
        ]
        return [event for session in lost for event in self._drop(session, Reason.SESSION_UNKNOWN)]

    def _drop(self, session: SensorSession, why: Reason) -> list[Event]:
        self.obstacle = why
        self._sessions.pop(session.identifier, None)
        if self._current is session:
            self._current = None
        self._wait_again(request for request, flight in self._flights.items() if flight.session is session)
        return [Noted("session-lost", {"agent": session.agent, "why": why})]

    @property
    def sessions(self) -> tuple[SensorSession, ...]:
        """All sessions of which answers may still come."""
        return tuple(self._sessions.values())

    # Sending

    @property
    def _capacity(self) -> int:
        """How many requests may be in flight."""
        return self._pace.in_flight if self._current is None else min(self._pace.in_flight, self._current.window)

    def _send_in_session(self, entry: Entry, now: float) -> Publication | None:
        session = self._usable(now)
        if session is None or session.accepted is None:
            return None
        request = entry.request
        topic = self._trust.topics.request(session.agent)
        plaintext = encode_message(self._message(entry))
        try:
            payload = session.channel.seal(Kind.REQUEST, plaintext, topic, session.agent, request)
        except FreshnessError:
            self._current = None
            return None
        self._sent(request, session, now)
        return Publication(
            topic,
            payload,
            expiry=max(1, int(entry.expires - now)),
            response_topic=self._inbox,
            correlation=request,
        )

    def _send_one_shot(self, entry: Entry, now: float) -> Publication | None:
        session = self._new_session(now, self._message(entry))
        if session is None:
            return None
        self._sent(entry.request, session, now)
        return session.opening

    def _sent(self, request: bytes, session: SensorSession, now: float) -> None:
        self._waiting.pop(request, None)
        flight = self._flights.get(request)
        first_sent = flight.first_sent if flight is not None and flight.session is session else now
        self._flights[request] = _Flight(session, first_sent, now + self._pace.retry_seconds)

    def _message(self, entry: Entry) -> InferenceRequest:
        """The same for every try: an enclave that sees it twice sees the same request."""
        message = InferenceRequest(
            request=entry.request, input=entry.input, issued=entry.created, expires=entry.expires
        )
        return padded(message, self._pace.pad_to)

    # Asking again

    def _ask_again(self, now: float) -> list[Event]:
        """The opening is sent again, the same bytes; then its agent has failed."""
        session = self._current
        if session is None or session.accepted is not None or now < session.resend_at:
            return []
        ended = self._ended(session, now)
        if ended is not None or session.resent + 1 >= TRIES:
            return self.lose(session, ended or Reason.TIMEOUT, now)
        session.resent, session.resend_at = session.resent + 1, now + self._pace.retry_seconds
        return [session.opening]

    def _retry(self, request: bytes, flight: _Flight, now: float) -> list[Event]:
        session = flight.session
        silent = now - max(session.heard_at, flight.first_sent)
        ended = self._ended(session, now)
        if ended is not None or silent >= TRIES * self._pace.retry_seconds:
            return self.lose(session, ended or Reason.TIMEOUT, now)
        if self._pace.one_shot:
            self._sent(request, session, now)
            return [session.opening]
        again = self._send_in_session(self._outbox.entry(request), now)
        if again is None:
            self._wait_again([request])
            return []
        return [again]

    def _wait_again(self, requests: Iterable[bytes]) -> None:
        for request in reversed(list(requests)):
            del self._flights[request]
            self._waiting[request] = None
            self._waiting.move_to_end(request, last=False)

    # Sessions

    def _usable(self, now: float) -> SensorSession | None:
        """The current session, if something may be sent in it at this moment (P3). Otherwise it is retired."""
        session = self._current
        if session is None:
            return None
        if now >= session.renew_at or self._ended(session, now) is not None:
            self._current = None
        return self._current

    def _ended(self, session: SensorSession, now: float) -> Reason | None:
        """Why this very enclave may not be trusted any more, or None: its passport is live and not revoked."""
        try:
            passport = self._agents.live(session.agent, now)
        except RemoteError as error:
            return error.reason
        return None if passport.signing_key == session.passport.signing_key else Reason.SESSION_UNKNOWN

    def _open(self, now: float) -> list[Event]:
        self._current = self._new_session(now)
        return [] if self._current is None else [self._current.opening]

    def _new_session(self, now: float, request: InferenceRequest | None = None) -> SensorSession | None:
        """A session with the best agent there is, or None: `obstacle` says why."""
        try:
            self._trust.revocations.check_live(now)
            passport = self._agents.choose(self.minimum_version, now)
        except RemoteError as error:
            # That agents are spared for a while says less than what they failed for.
            if self.obstacle is None or error.reason is not Reason.BUSY:
                self.obstacle = error.reason
            self._chance_at = self._agents.next_chance(now)
            return None
        session = self._opener.open(passport, self.minimum_version, now, self._pace.retry_seconds, request)
        self._sessions[session.identifier] = session
        while len(self._sessions) > 2 * self._pace.in_flight:
            self._sessions.popitem(last=False)
        return session
