"""Requests that were opened and wait for their turn: bounded, and fair between senders.

Every sender's oldest comes before any sender's second. Who waits is whom the session authenticated: what stands on
the outside of a message buys no turn.
"""

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain, islice, zip_longest
from typing import Final

from edge_agent.enclave.sessions import Session
from protocol.channel import WINDOW
from protocol.errors import AppraisalError, Finding
from schemas.reason import Reason
from schemas.session import InferenceRequest

MAX_WAITING: Final = 256
"""Requests of all senders together."""

MAX_WAITING_OF_SENDER: Final = WINDOW
"""Requests of one sender: what the window of one session lets be outstanding."""

MAX_WAITING_BYTES: Final = 2**25
"""Bytes of their inputs."""

RETRY_SECONDS: Final = 1
"""After how long a sender that was told `busy` may ask again."""


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """One request, opened inside its session under this sequence number. It equals itself alone."""

    session: Session
    request: InferenceRequest = field(repr=False)
    sequence: int

    @property
    def name(self) -> tuple[bytes, bytes]:
        """Session and request: what is computed once."""
        return self.session.terms.session, self.request.request


class WaitingRoom:
    """Requests by sender, each sender's in order."""

    def __init__(self) -> None:
        self._of_sender: OrderedDict[str, deque[Asked]] = OrderedDict()
        self._names: set[tuple[bytes, bytes]] = set()
        self._begun: list[Asked] = []
        self._bytes = 0

    def check_room(self, sender: str, size: int) -> None:
        """Raises `AppraisalError` (busy) where a request of so many bytes would find no room."""
        own = len(self._of_sender.get(sender, ())) + sum(each.session.sender.name == sender for each in self._begun)
        for claim, limit, found in (
            ("waiting.of-sender", MAX_WAITING_OF_SENDER, own + 1),
            ("waiting.requests", MAX_WAITING, len(self._names) + 1),
            ("waiting.bytes", MAX_WAITING_BYTES, self._bytes + size),
        ):
            if found > limit:
                finding = Finding(claim, f"<= {limit}", str(found))
                raise AppraisalError("too many requests wait", reason=Reason.BUSY, finding=finding)

    def add(self, asked: Asked) -> None:
        """Behind the sender's others, but before those of its session with higher numbers.

        Raises `AppraisalError` (busy) where there is no room.
        """
        sender = asked.session.sender.name
        self.check_room(sender, len(asked.request.input))
        own = self._of_sender.setdefault(sender, deque())
        own.insert(_place(asked, own), asked)
        self._names.add(asked.name)
        self._bytes += len(asked.request.input)

    def holds(self, session: bytes, request: bytes) -> bool:
        """Whether this request of this session waits, or was begun."""
        return (session, request) in self._names

    def begin(self, asked: Asked) -> None:
        """It is being computed: no turn of its own any more, and the sender's next comes after the others'."""
        self._take(asked)
        self._begun.append(asked)

    def has_begun(self, asked: Asked) -> bool:
        """Whether it is being computed since an earlier turn."""
        return asked in self._begun

    def put_back(self, asked: Asked) -> None:
        """It was begun, and has to be computed again: its sender's first."""
        self._begun.remove(asked)
        self._of_sender.setdefault(asked.session.sender.name, deque()).appendleft(asked)

    def in_turn(self, most: int) -> list[Asked]:
        """The next ones, at most so many: one of each sender, then another of each."""
        rounds = chain.from_iterable(zip_longest(*self._of_sender.values()))
        return list(islice((each for each in rounds if each is not None), most))

    def remove(self, asked: Asked) -> None:
        """It waits no more, begun or not; the sender's next comes after the others'."""
        if self.has_begun(asked):
            self._begun.remove(asked)
        else:
            self._take(asked)
        self._names.discard(asked.name)
        self._bytes -= len(asked.request.input)

    def _take(self, asked: Asked) -> None:
        sender = asked.session.sender.name
        own = self._of_sender[sender]
        own.remove(asked)
        if own:
            self._of_sender.move_to_end(sender)
        else:
            del self._of_sender[sender]

    def remove_if(self, is_over: Callable[[Asked], bool]) -> list[Asked]:
        """Remove all of which this holds and that were not begun, and return them."""
        gone = [each for own in self._of_sender.values() for each in own if is_over(each)]
        for each in gone:
            self.remove(each)
        return gone

    def __len__(self) -> int:
        return len(self._names)


def _place(asked: Asked, own: deque[Asked]) -> int:
    """State is carried in the order in which the sensor asked, not in which the broker delivered."""
    for index, each in enumerate(own):
        if each.session is asked.session and each.sequence > asked.sequence:
            return index
    return len(own)
