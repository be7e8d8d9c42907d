"""What a link has still to send, in order: publications, and the acknowledgements that wait behind them."""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from broker.expiry import aged
from broker.notes import Note, noted
from protocol.party import Noted, Publication


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """The delivery with this packet identifier has been handled, and what it caused stands before this."""

    packet_identifier: int


@dataclass(frozen=True, slots=True)
class _Queued:
    publication: Publication
    since: float


class Outbox:
    """A bounded queue.

    What is dropped, because it expired or because nothing more fits, is handed to `note`.
    """

    def __init__(self, max_messages: int, max_bytes: int, note: Callable[[Noted], None]) -> None:
        self._queue: deque[_Queued | Acknowledgement] = deque()
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._bytes = 0
        self._messages = 0
        self._note = note

    def put(self, publication: Publication, now: float) -> None:
        """Queue a publication; noted and dropped when the bounds would be passed."""
        size = len(publication.payload)
        if self._messages >= self._max_messages or self._bytes + size > self._max_bytes:
            self._note(noted(Note.PUBLICATION_DROPPED, topic=publication.topic, why="the outbox is full"))
            return
        self._messages += 1
        self._bytes += size
        self._queue.append(_Queued(publication, now))

    def acknowledge(self, packet_identifier: int) -> None:
        """Queue the acknowledgement of a delivery behind what the delivery caused."""
        self._queue.append(Acknowledgement(packet_identifier))

    def take(self, now: float, *, room: bool) -> Publication | Acknowledgement | None:
        """Remove and return what is to be sent next, or None.

        A publication comes with its expiry shortened by its wait, and only while there is `room` for one more.
        """
        while self._queue:
            first = self._queue[0]
            if isinstance(first, _Queued) and not room:
                return None
            self._queue.popleft()
            if isinstance(first, Acknowledgement):
                return first
            publication = self._release(first, now)
            if publication is not None:
                return publication
        return None

    def _release(self, queued: _Queued, now: float) -> Publication | None:
        self._messages -= 1
        self._bytes -= len(queued.publication.payload)
        publication = aged(queued.publication, now - queued.since)
        if publication is None:
            self._note(noted(Note.PUBLICATION_EXPIRED, topic=queued.publication.topic))
        return publication

    def forget_acknowledgements(self) -> None:
        """Drop acknowledgements of a connection that is gone: the broker delivers those messages again."""
        self._queue = deque(item for item in self._queue if isinstance(item, _Queued))

    def put_back(self, publications: Iterable[Publication], now: float) -> None:
        """Put publications back to the head, in their order, whatever the bounds: they were accepted before."""
        for publication in reversed(tuple(publications)):
            self._messages += 1
            self._bytes += len(publication.payload)
            self._queue.appendleft(_Queued(publication, now))

    def __len__(self) -> int:
        """How many publications wait."""
        return self._messages
