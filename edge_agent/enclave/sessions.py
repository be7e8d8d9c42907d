"""Sessions: opening, limits, and the answers kept so that a repetition is answered and not computed again (P7)."""

from collections import OrderedDict
from dataclasses import dataclass, field

from protocol.attestation import Passport
from protocol.channel import WINDOW, Channel, ReplayWindow
from protocol.errors import AppraisalError, AuthenticationError, Finding, FreshnessError, MalformedError
from protocol.keys import VerifyingKey
from protocol.messages import encode_message
from protocol.party import Publication
from protocol.results import ResultSealer
from protocol.trust import Identity, Trust, check_times
from schemas.kinds import Kind, Role
from schemas.reason import Reason
from schemas.session import SessionAccept, SessionOpen

MAX_SESSION_SECONDS = 86_400
"""A session is opened anew at least daily; its sensor is then identified again."""

Answer = tuple[Publication, ...]


@dataclass(slots=True)
class Session:
    """One open session. Everything in it was authenticated when it was opened."""

    opening: bytes = field(repr=False)
    sender: Identity
    terms: SessionOpen = field(repr=False)
    channel: Channel = field(repr=False)
    sealer: ResultSealer | None = field(repr=False)
    model: str
    window: ReplayWindow = field(default_factory=ReplayWindow)
    accept: Publication | None = None
    answers: OrderedDict[bytes, Answer] = field(default_factory=OrderedDict, repr=False)
    answer_bytes: int = 0

    @property
    def sender_key(self) -> VerifyingKey:
        """The sensor's key, for the receipt."""
        return self.sender.key

    def remember(self, request: bytes, answer: Answer, limit: int, limit_bytes: int) -> None:
        """Keep an answer for repetitions; the oldest are let go when there are too many or they are too large."""
        self.answers[request] = answer
        self.answer_bytes += _size(answer)
        while len(self.answers) > limit or (self.answer_bytes > limit_bytes and len(self.answers) > 1):
            _, dropped = self.answers.popitem(last=False)
            self.answer_bytes -= _size(dropped)


class SessionTable:
    """All open sessions of an enclave, within its limits."""

    def __init__(self, limit: int, limit_per_sender: int) -> None:
        self._limit, self._limit_per_sender = limit, limit_per_sender
        self._open: OrderedDict[bytes, Session] = OrderedDict()

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
        """The session of this id, or None."""
        return self._open.get(session)

    def add(self, session: Session, now: float) -> None:
        """Raises `AppraisalError` (session-limit) where the enclave or this sender has too many."""
        self.drop_ended(now)
        mine = sum(1 for each in self._open.values() if each.sender.name == session.sender.name)
        if len(self._open) >= self._limit or mine >= self._limit_per_sender:
            raise AppraisalError(
                "too many open sessions",
                reason=Reason.SESSION_LIMIT,
                finding=Finding("sessions", f"< {self._limit_per_sender} of {session.sender.name}", str(mine)),
            )
        self._open[session.terms.session] = session

    def drop_ended(self, now: float) -> None:
        """Forget sessions whose time is over."""
        for name in [name for name, each in self._open.items() if now >= each.terms.expires]:
            del self._open[name]

    def erase_revoked(self, trust: Trust) -> int:
        """Erase the sessions of senders and recipients that are revoked. Returns how many."""
        gone = [name for name, each in self._open.items() if _is_revoked(each, trust)]
        for name in gone:
            del self._open[name]
        return len(gone)

    def erase_all(self) -> None:
        """Erase every session."""
        self._open.clear()

    def __len__(self) -> int:
        return len(self._open)


def check_terms(terms: SessionOpen, sender: Identity, correlation: bytes | None, trust: Trust, now: float) -> None:
    """Raises unless the opening is in time, and its topics belong to the sender and the recipients it names."""
    check_times("session-open", terms.issued, terms.expires, now)
    if terms.expires - terms.issued > MAX_SESSION_SECONDS:
        raise MalformedError(
            "a session longer than a day",
            finding=Finding("session.expires", f"<= {MAX_SESSION_SECONDS} s", str(terms.expires - terms.issued)),
        )
    named = terms.session if terms.request is None else terms.request.request
    reply_to = trust.topics.inbox(Role.SENSOR, sender.name)
    for claim, expected, found in (
        ("correlation", named.hex(), (correlation or b"").hex()),
        ("fleet", trust.fleet, terms.fleet),
        ("reply_to", reply_to, terms.reply_to),
    ):
        if expected != found:
            raise AuthenticationError(
                "the opening is addressed elsewhere",
                reason=Reason.MISADDRESSED,
                finding=Finding(f"session.{claim}", expected, found),
            )
    if bool(terms.recipients) != (terms.deliver_to is not None) or not (terms.recipients or terms.return_result):
        raise MalformedError(
            "results must go somewhere", finding=Finding("session.recipients", "with deliver_to, or return_result", "")
        )


def recipients_of(terms: SessionOpen, trust: Trust, now: float) -> list[Identity]:
    """The consumers that a session names, identified. Raises if one is not, or if the results go elsewhere."""
    found = [trust.identify_untrusted(each, now, Role.CONSUMER) for each in terms.recipients]
    allowed = {trust.topics.inbox(Role.CONSUMER, each.name) for each in found} | {trust.topics.results(terms.model)}
    if terms.deliver_to is not None and terms.deliver_to not in allowed:
        raise AuthenticationError(
            "results would go where no recipient listens",
            reason=Reason.MISADDRESSED,
            finding=Finding("session.deliver_to", "an inbox of a recipient, or the model's results", terms.deliver_to),
        )
    return found


def check_passport(terms: SessionOpen, passport: Passport, current: bool) -> None:
    """Raises unless the sensor relied on a current passport of this enclave and accepts its tier (P3, P6)."""
    if not current:
        raise FreshnessError(
            "opened under another attestation result",
            reason=Reason.STALE,
            finding=Finding(
                "session.attestation_result", passport.digest.hex()[:16], terms.attestation_result.hex()[:16]
            ),
        )
    passport.check_tier(terms.tiers, "session.tiers")
    if terms.agent != passport.agent:
        raise AuthenticationError("a session for another agent", reason=Reason.MISADDRESSED)


def accept(session: Session, version: int, manifest: bytes, passport: Passport) -> Publication:
    """The enclave's answer to an opening."""
    terms = session.terms
    message = SessionAccept(
        session=terms.session,
        model=terms.model,
        version=version,
        manifest=manifest,
        attestation_result=passport.digest,
        expires=terms.expires,
        window=WINDOW,
    )
    payload = session.channel.seal(
        Kind.SESSION_ACCEPT, encode_message(message), terms.reply_to, session.sender.name, terms.session
    )
    return Publication(terms.reply_to, payload, correlation=terms.session, expiry=60)


def _is_revoked(session: Session, trust: Trust) -> bool:
    try:
        trust.revocations.check("credential", session.sender.identifier)
        trust.revocations.check("key", session.sender.key.thumbprint)
        recipients_of(session.terms, trust, session.terms.issued)
    except (AppraisalError, AuthenticationError, FreshnessError):
        return True
    return False


def _size(answer: Answer) -> int:
    return sum(len(each.payload) for each in answer)
