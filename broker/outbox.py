"""What a link has still to send: publications, and the acknowledgements that wait behind those they belong to.

Publications keep their order, and so do acknowledgements ([MQTT-4.6.0-2]). An acknowledgement overtakes publications
that have nothing to do with it: some brokers take nothing more from a client that owes them too many.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from broker.expiry import aged
from broker.notes import Note, noted
from protocol.party import Noted, Publication


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """The delivery with this packet identifier has been handled; what it caused ends with publication `after`."""

    packet_identifier: int
    after: int


@dataclass(frozen=True, slots=True)
class _Queued:
    publication: Publication
    since: float
    number: int


class Outbox:
    """A bounded queue.

    What is dropped, because it expired or because nothing more fits, is handed to `note`.
    """

    def __init__(self, max_messages: int, max_bytes: int, note: Callable[[Noted], None]) -> None:
        self._queue: deque[_Queued] = deque()
        self._acknowledgements: deque[Acknowledgement] = deque()
        self._released = 0
        self.numbered = 0
        """How many publications were queued so far: the number of the last one."""
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
        self.numbered += 1
        self._queue.append(_Queued(publication, now, self.numbered))

    def acknowledge(self, packet_identifier: int, after: int = 0) -> None:
        """Queue the acknowledgement of a delivery: behind the others, and behind the publication of number `after`."""
        self._acknowledgements.append(Acknowledgement(packet_identifier, after))

    def take(self, now: float, *, room: bool) -> Publication | Acknowledgement | None:
        """Remove and return what is to be sent next, or None.

        A publication comes with its expiry shortened by its wait, and only while there is `room` for one more.
        """
        while True:
            if self._acknowledgements and self._acknowledgements[0].after <= self._released:
                return self._acknowledgements.popleft()
            if not self._queue or not room:
                return None
            publication = self._release(self._queue.popleft(), now)
            if publication is not None:
                return publication

    def _release(self, queued: _Queued, now: float) -> Publication | None:
        self._messages -= 1
        self._bytes -= len(queued.publication.payload)
        self._released = max(self._released, queued.number)
        publication = aged(queued.publication, now - queued.since)
        if publication is None:
            self._note(noted(Note.PUBLICATION_EXPIRED, topic=queued.publication.topic))
        return publication

    def forget_acknowledgements(self) -> None:
        """Drop acknowledgements of a connection that is gone: the broker delivers those messages again."""
        self._acknowledgements.clear()

    def put_back(self, publications: Iterable[Publication], now: float) -> None:
        """Put publications back to the head, in their order, whatever the bounds: they were accepted before."""
        for publication in reversed(tuple(publications)):
            self._messages += 1
            self._bytes += len(publication.payload)
            self._queue.appendleft(_Queued(publication, now, 0))

    def __len__(self) -> int:
        """How many publications wait."""
        return self._messages
