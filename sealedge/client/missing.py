"""Which results of a session did not come: the enclave numbers them, and signs the number in the receipt.

A broker may lose what it has acknowledged. The agent publishes its last results again when it has lost its broker,
so a gap may close by itself: what is missing is told a while after a later result has shown that it is.
"""

from collections import Counter, OrderedDict, deque
from contextlib import suppress
from dataclasses import dataclass, field

from protocol.cbor import decode_untrusted, encode
from protocol.errors import MalformedError, StoreError
from protocol.messages import digest
from protocol.party import Noted, Store
from schemas.session import Receipt

BUCKET = "results-numbered"
WAIT_SECONDS = 60.0
"""Longer than an agent waits before it says its last results once more (`edge_agent.enclave.repeating`)."""

SESSIONS = 16_384
"""Of a session that was forgotten for others, results that came before would be taken for missing."""

LIMIT = 4096
"""Numbers that are waited for; what is missing beyond them is told at once."""


@dataclass(slots=True)
class _Session:
    agent: str
    sender: bytes
    following: int = 0
    awaited: set[int] = field(default_factory=set)


class MissingResults:
    """The numbers that came, by session. What was awaited before a restart is awaited again. Raises `StoreError`."""

    def __init__(self, store: Store, sessions: int = SESSIONS) -> None:
        self._store, self._limit = store, sessions
        self._sessions = OrderedDict((name, _decode(value)) for name, value in store.items(BUCKET))
        self._awaited: deque[tuple[float, bytes, int]] = deque()
        self._unwritten: set[bytes] = set()
        self._has_begun = False

    @property
    def due(self) -> float | None:
        """When `take` wants to be called next, or None."""
        while self._awaited and not self._is_awaited(*self._awaited[0][1:]):
            self._awaited.popleft()
        return self._awaited[0][0] if self._awaited else None

    def begin(self, now: float) -> None:
        """The party is connected: what was awaited before a restart is awaited from here on."""
        if self._has_begun:
            return
        self._has_begun = True
        for name, session in self._sessions.items():
            self._awaited.extend((now + WAIT_SECONDS, name, number) for number in session.awaited)

    def came(self, receipt: Receipt, now: float) -> list[Noted]:
        """A verified result came, for the first time or again. On disk at the next `write`."""
        number = receipt.delivered
        if number is None:
            return []
        name = digest(receipt.sender + receipt.session + receipt.agent.encode())
        session = self._sessions.setdefault(name, _Session(receipt.agent, receipt.sender))
        self._sessions.move_to_end(name)
        self._unwritten.add(name)
        session.awaited.discard(number)
        gap = range(session.following, number)
        session.following = max(session.following, number + 1)
        return self._await(name, gap, now)

    def _await(self, name: bytes, gap: range, now: float) -> list[Noted]:
        session = self._sessions[name]
        if len(self._awaited) + len(gap) > LIMIT:
            return [_told(session, len(gap))]
        session.awaited.update(gap)
        self._awaited.extend((now + WAIT_SECONDS, name, number) for number in gap)
        return []

    def take(self, now: float) -> list[Noted]:
        """What is missing, as far as it is due; each is told once."""
        found: Counter[bytes] = Counter()
        while (due := self.due) is not None and now >= due:
            _, name, number = self._awaited.popleft()
            self._sessions[name].awaited.remove(number)
            self._unwritten.add(name)
            found[name] += 1
        return [_told(self._sessions[name], count) for name, count in found.items()]

    def write(self) -> None:
        """What came, and what was told, survives a crash from here on."""
        if not self._unwritten:
            return
        with self._store.transaction():
            for name in self._unwritten:
                self._store.write(BUCKET, name, _encode(self._sessions[name]))
            while len(self._sessions) > self._limit:
                self._store.delete(BUCKET, self._sessions.popitem(last=False)[0])
        self._unwritten.clear()

    def _is_awaited(self, name: bytes, number: int) -> bool:
        session = self._sessions.get(name)
        return session is not None and number in session.awaited


def _told(session: _Session, count: int) -> Noted:
    return Noted("results-missing", {"count": count, "agent": session.agent, "sender_key": session.sender.hex()[:16]})


def _encode(session: _Session) -> bytes:
    return encode([session.agent, session.sender, session.following, sorted(session.awaited)])


def _decode(data: bytes) -> _Session:
    """What this party itself stored: anything else is a fault of the store, not of a peer."""
    with suppress(MalformedError):
        match decode_untrusted(data):
            case [str(agent), bytes(sender), int(following), list(awaited)]:
                return _Session(agent, sender, following, set(awaited))
    raise StoreError("the store holds no session's numbers where some should be")
