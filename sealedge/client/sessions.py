"""The sessions of a sensor: the one in which it sends, and those of which answers may still come."""

from collections import OrderedDict

from protocol.attestation import Passport
from protocol.errors import RemoteError
from protocol.trust import Trust
from schemas.reason import Reason
from schemas.session import InferenceRequest
from sealedge.client.agents import Agents
from sealedge.client.pace import Pace
from sealedge.client.session import SensorSession, SessionOpener


class Sessions:
    """Opens sessions with the best agent there is, and says whether one may still be sent in (P3).

    `obstacle` is why there is none, where that is known; `chance_at` when an agent that is spared may be asked again.
    """

    def __init__(self, trust: Trust, opener: SessionOpener, agents: Agents, pace: Pace) -> None:
        self._trust, self._opener, self._agents, self._pace = trust, opener, agents, pace
        self._known: OrderedDict[bytes, SensorSession] = OrderedDict()
        self.current: SensorSession | None = None
        self.minimum_version = 0
        self.obstacle: Reason | None = None
        self.chance_at: float | None = None

    def open(self, now: float, request: InferenceRequest | None = None) -> SensorSession | None:
        """A new session, or a one-shot with `request`; None where no agent will do."""
        try:
            self._trust.revocations.check_live(now)
            passport = self._agents.choose(self.minimum_version, now)
        except RemoteError as error:
            # That agents are spared for a while says less than what they failed for.
            if self.obstacle is None or error.reason is not Reason.BUSY:
                self.obstacle = error.reason
            self.chance_at = self._agents.next_chance(now)
            return None
        session = self._opener.open(passport, self.minimum_version, now, self._pace.retry_seconds, request)
        self._known[session.identifier] = session
        while len(self._known) > 2 * self._pace.in_flight:
            self._known.popitem(last=False)
        return session

    def usable(self, now: float) -> SensorSession | None:
        """The current session, accepted or not, unless it is to be replaced."""
        session = self.current
        if session is not None and (now >= session.renew_at or self.ended(session, now) is not None):
            self.current = None
        return self.current

    def ended(self, session: SensorSession, now: float) -> Reason | None:
        """Why this very enclave may not be trusted any more, or None: its passport is live and not revoked."""
        try:
            passport = self._agents.live(session.agent, now)
        except RemoteError as error:
            return error.reason
        return None if passport.signing_key == session.passport.signing_key else Reason.SESSION_UNKNOWN

    def find(self, identifier: bytes) -> SensorSession | None:
        """A session of which answers may still come."""
        return self._known.get(identifier)

    def of(self, agent: str) -> list[SensorSession]:
        """All sessions with this agent."""
        return [session for session in self.all if session.agent == agent]

    def before(self, passport: Passport) -> list[SensorSession]:
        """Sessions with an earlier enclave of the same agent: they died with it."""
        return [each for each in self.of(passport.agent) if each.passport.signing_key != passport.signing_key]

    def forget(self, session: SensorSession) -> None:
        """Nothing is sent in this session any more, and no answer in it is believed."""
        self._known.pop(session.identifier, None)
        if self.current is session:
            self.current = None

    @property
    def all(self) -> tuple[SensorSession, ...]:
        """All sessions of which answers may still come, the oldest first."""
        return tuple(self._known.values())
