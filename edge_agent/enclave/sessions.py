"""Open sessions, within the enclave's limits."""

from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from edge_agent.enclave.answers import AnswerBudget, Answers
from edge_agent.enclave.loading import Carried, Running
from protocol.channel import WINDOW, Channel, ReplayWindow
from protocol.errors import AppraisalError, Finding, FreshnessError, RemoteError
from protocol.messages import digest
from protocol.party import Publication
from protocol.results import ResultSealer
from protocol.trust import Identity, Trust
from schemas.reason import Reason
from schemas.session import SessionOpen

MAX_SESSION_SECONDS = 86_400
"""A session is opened anew at least daily; its sensor is then identified again."""

MAX_REPLACED = 256
"""How many of its own sessions one sender may replace before they end: each replaced id is remembered till then."""


@dataclass(slots=True)
class Session:
    """One open session. Everything in it was authenticated when it was opened.

    `opening` is the digest of the message that opened it; `terms` lack what is not needed any more: the secret, the
    recipients' credentials, the request of a one-shot.
    """

    opening: bytes
    sender: Identity
    recipients: tuple[Identity, ...]
    terms: SessionOpen = field(repr=False)
    channel: Channel = field(repr=False)
    sealer: ResultSealer | None = field(repr=False)
    window: ReplayWindow = field(default_factory=ReplayWindow)
    accept: Publication | None = field(default=None, repr=False)
    answers: Answers = field(default_factory=Answers, repr=False)
    is_over: bool = False
    """Whether it has ended, was replaced or erased: nothing more is computed in it."""
    is_one_shot: bool = False
    delivered: int | None = None
    """Results that its recipients were sent; None where there are none, and in a one-shot."""
    carried: Carried | None = field(default=None, repr=False)
    carried_requests: deque[bytes] = field(default_factory=lambda: deque(maxlen=WINDOW), repr=False)
    """The last ones that went into the state, and the sequence number of the newest."""
    carried_sequence: int = -1

    @classmethod
    def opened(
        cls,
        opening: bytes,
        terms: SessionOpen,
        sender: Identity,
        recipients: tuple[Identity, ...],
        sealer: ResultSealer | None,
    ) -> "Session":
        """A session from its checked terms."""
        channel = Channel.of_enclave(terms.session, terms.secret)
        kept = terms.model_copy(update={"secret": b"", "recipients": (), "request": None})
        one_shot = terms.request is not None
        delivered = None if sealer is None or one_shot else 0
        return cls(
            digest(opening), sender, recipients, kept, channel, sealer, is_one_shot=one_shot, delivered=delivered
        )

    @property
    def model(self) -> str:
        """The model it is for."""
        return self.terms.model

    def check_standing(self, trust: Trust, now: float) -> None:
        """Raises unless the sender and every recipient hold a credential that runs and is not revoked."""
        for each in (self.sender, *self.recipients):
            trust.check_standing(each, now)

    def is_revoked(self, trust: Trust) -> bool:
        """Whether the list in force names the sender or a recipient."""
        try:
            for each in (self.sender, *self.recipients):
                trust.check_not_revoked(each)
        except RemoteError:
            return True
        return False


class SessionTable:
    """Sessions of an enclave, within its limits.

    With `replaces`, a sender that has as many as it may have gives up its own oldest: a sensor that starts again
    and again forgets its sessions, and must not lock itself out.
    """

    def __init__(self, limit: int, limit_per_sender: int, budget: AnswerBudget, *, replaces: bool = False) -> None:
        self._limit, self._limit_per_sender, self._budget = limit, limit_per_sender, budget
        self._replaces = replaces
        self._open: OrderedDict[bytes, Session] = OrderedDict()
        self._of_sender: Counter[str] = Counter()
        self._erased: dict[bytes, tuple[int, str]] = {}

    def find(self, session: bytes, now: float) -> Session:
        """The session. Raises `FreshnessError` (session-unknown) if it never was, has ended or was erased."""
        found = self._open.get(session)
        if found is None or now >= found.terms.expires:
            raise FreshnessError(
                "no such session here",
                reason=Reason.SESSION_UNKNOWN,
                finding=Finding("session", "an open one", session.hex()[:16]),
            )
        return found

    def known(self, session: bytes) -> Session | None:
        """The session of this id, or None. Raises `FreshnessError` (replayed) for one that was erased."""
        if session in self._erased:
            raise FreshnessError("this session was erased: open another", reason=Reason.REPLAYED)
        return self._open.get(session)

    def add(self, session: Session, now: float) -> None:
        """Raises `AppraisalError` (session-limit) where the enclave or this sender has too many."""
        self.drop_ended(now)
        sender = session.sender.name
        self._make_room_of(sender)
        if len(self._open) >= self._limit or self._of_sender[sender] >= self._limit_per_sender:
            raise AppraisalError(
                "too many open sessions",
                reason=Reason.SESSION_LIMIT,
                finding=Finding("sessions", f"< {self._limit_per_sender} of {sender}", str(self._of_sender[sender])),
            )
        self._open[session.terms.session] = session
        self._of_sender[sender] += 1

    def _make_room_of(self, sender: str) -> None:
        if not self._replaces or self._of_sender[sender] < self._limit_per_sender:
            return
        if sum(name == sender for _, name in self._erased.values()) < MAX_REPLACED:
            self._erase(next(name for name, each in self._open.items() if each.sender.name == sender))

    def _erase(self, name: bytes) -> None:
        """Drop a session before its end; its id stays known for as long as its opening would be accepted."""
        dropped = self._drop(name)
        self._erased[name] = (dropped.terms.expires, dropped.sender.name)

    def drop_ended(self, now: float) -> None:
        """Forget sessions whose time is over: their openings are refused as expired from now on."""
        for name in [name for name, each in self._open.items() if now >= each.terms.expires]:
            self._drop(name)
        for name in [name for name, (expires, _) in self._erased.items() if now >= expires]:
            del self._erased[name]

    def erase_revoked(self, trust: Trust) -> int:
        """Erase the sessions of senders and recipients that are revoked. Returns how many.

        Their ids stay known while the openings could be accepted again, should a later list name them no more: a
        session that opens twice would use its nonces twice.
        """
        gone = [name for name, each in self._open.items() if each.is_revoked(trust)]
        for name in gone:
            self._erase(name)
        return len(gone)

    def erase_all(self) -> None:
        """Erase every session; for when the KEM keys go, too, so that no opening opens again."""
        for name in tuple(self._open):
            self._drop(name)

    @property
    def carried_bytes(self) -> int:
        """State of all sessions, in bytes."""
        return sum(len(each.carried.data) for each in self._open.values() if each.carried is not None)

    def erase_carried(self, is_there: Callable[[Running], bool]) -> None:
        """Erase the state that modules made which are there no more."""
        for each in self._open.values():
            if each.carried is not None and not is_there(each.carried.by):
                each.carried = None

    def _drop(self, name: bytes) -> Session:
        session = self._open.pop(name)
        session.is_over, session.carried = True, None
        self._budget.end(session.answers)
        self._of_sender[session.sender.name] -= 1
        if not self._of_sender[session.sender.name]:
            del self._of_sender[session.sender.name]
        return session

    def __len__(self) -> int:
        return len(self._open)
