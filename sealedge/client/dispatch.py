"""Getting requests to an enclave: one session at a time, a bounded number in flight, and another try when it is silent.

waiting ─> in flight ─────────────────────> ended
   ^          │ no answer in time: sealed again under a new sequence number
   └──────────┘ session lost: again in another session, perhaps with another agent
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from protocol.errors import FreshnessError
from protocol.messages import encode_message
from protocol.padding import padded
from protocol.party import Event, Noted, Publication
from protocol.trust import Trust
from schemas.kinds import Kind, Role
from schemas.reason import Reason
from schemas.session import InferenceRequest
from sealedge.client.agents import Agents
from sealedge.client.outbox import Entry, Outbox
from sealedge.client.pace import Pace
from sealedge.client.session import SensorSession
from sealedge.client.sessions import Sessions

TRIES = 2
"""How often a session is asked before its silence counts as a failure of its agent."""


@dataclass(slots=True)
class _Flight:
    """A request that was sent and is not answered."""

    session: SensorSession
    first_sent: float
    retry_at: float


class Dispatch:
    """Decides what is sent, when, and in which session."""

    def __init__(self, trust: Trust, name: str, sessions: Sessions, agents: Agents, outbox: Outbox, pace: Pace) -> None:
        self._trust, self._sessions, self._agents = trust, sessions, agents
        self._outbox, self._pace = outbox, pace
        self._inbox = trust.topics.inbox(Role.SENSOR, name)
        self._waiting: OrderedDict[bytes, None] = OrderedDict.fromkeys(outbox)
        self._flights: dict[bytes, _Flight] = {}
        self.one_by_one = True
        """Whether a request waits for the end of the one before: the model carries state, or nobody knows yet."""

    # What is asked of it

    def enqueue(self, request: bytes) -> None:
        """A new request waits in the outbox."""
        self._waiting[request] = None

    def pump(self, now: float) -> list[Event]:
        """Send what may be sent now, and has time left; open a session if there is none."""
        self._sessions.chance_at = None
        events: list[Event] = []
        while self._waiting and len(self._flights) < self._capacity and self._is_ready(now):
            entry = self._outbox.entry(next(iter(self._waiting)))
            if now >= entry.expires:
                self._waiting.pop(entry.request)
                continue
            sent = self._send_one_shot(entry, now) if self._pace.one_shot else self._send_in_session(entry, now)
            if sent is None:
                break
            events.append(sent)
        if self._waiting and not self._pace.one_shot and self._sessions.current is None:
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
        opening = self._sessions.current
        if opening is not None and opening.accepted is None:
            due.append(opening.resend_at)
        if self._sessions.chance_at is not None and self._waiting:
            due.append(self._sessions.chance_at)
        return min(due, default=None)

    def session_of(self, request: bytes) -> SensorSession | None:
        """The session in which this request was sent last."""
        flight = self._flights.get(request)
        return None if flight is None else flight.session

    def end(self, request: bytes) -> None:
        """This request is sent no more."""
        self._waiting.pop(request, None)
        flight = self._flights.pop(request, None)
        if flight is not None and self._pace.one_shot:
            self._sessions.forget(flight.session)

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

    def drop(self, sessions: Iterable[SensorSession], why: Reason) -> list[Event]:
        """Their enclave is not there any more, started anew or revoked: that is no failure of its agent."""
        return [event for session in sessions for event in self._drop(session, why)]

    def _drop(self, session: SensorSession, why: Reason) -> list[Event]:
        self._sessions.obstacle = why
        self._sessions.forget(session)
        self._wait_again(request for request, flight in self._flights.items() if flight.session is session)
        return [Noted("session-lost", {"agent": session.agent, "why": why})]

    # Sending

    @property
    def _capacity(self) -> int:
        """How many requests may be in flight."""
        session = self._sessions.current
        if self.one_by_one and not self._pace.one_shot:
            return 1
        return self._pace.in_flight if session is None else min(self._pace.in_flight, session.window)

    def _is_ready(self, now: float) -> bool:
        """Whether something may be sent now: at any time in a one-shot, otherwise in a session that was accepted."""
        session = self._sessions.usable(now)
        return self._pace.one_shot or (session is not None and session.accepted is not None)

    def _send_in_session(self, entry: Entry, now: float) -> Publication | None:
        session = self._sessions.usable(now)
        if session is None or session.accepted is None:
            return None
        request = entry.request
        topic = self._trust.topics.request(session.agent)
        plaintext = encode_message(self._message(entry))
        try:
            payload = session.channel.seal(Kind.REQUEST, plaintext, topic, session.agent, request)
        except FreshnessError:
            self._sessions.current = None
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
        session = self._sessions.open(now, self._message(entry))
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

    def _open(self, now: float) -> list[Event]:
        session = self._sessions.current = self._sessions.open(now)
        return [] if session is None else [session.opening]

    # Asking again

    def _ask_again(self, now: float) -> list[Event]:
        """The opening is sent again, the same bytes; then its agent has failed."""
        session = self._sessions.current
        if session is None or session.accepted is not None or now < session.resend_at:
            return []
        ended = self._sessions.ended(session, now)
        if ended is not None or session.resent + 1 >= TRIES:
            return self.lose(session, ended or Reason.TIMEOUT, now)
        session.resent, session.resend_at = session.resent + 1, now + self._pace.retry_seconds
        return [session.opening]

    def _retry(self, request: bytes, flight: _Flight, now: float) -> list[Event]:
        session = flight.session
        silent = now - max(session.heard_at, flight.first_sent)
        ended = self._sessions.ended(session, now)
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
