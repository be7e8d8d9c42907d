"""The last results for consumers, published again when the connection begins anew.

A broker acknowledges before it saves: killed then, it has forgotten what it took last for a consumer that was away,
and nobody would notice. So whoever lost a broker says again what it said last. Consumers hand over nothing twice.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from protocol.party import Publication

LAST_SECONDS = 10.0
"""What is that much older than the newest result counts as saved. mosquitto saves every two seconds, as configured."""

AGAIN_SECONDS = 30.0
"""Once more after that: a consumer whose session the broker lost, too, may come back after the agent."""

LIMIT, LIMIT_BYTES = 1024, 4 * 2**20

CONNECTIONS = 3
"""A result is published again on so many, where none of them lasts: repetitions wait at the broker, too."""


@dataclass(slots=True)
class _Said:
    at: float
    result: Publication
    connections: int = 0


class LastResults:
    """Those of the whole enclave, oldest first. What leaves for want of room is not published again."""

    def __init__(self) -> None:
        self._last: deque[_Said] = deque()
        self._size = 0
        self._again: tuple[_Said, ...] = ()
        self.due: float | None = None
        """When `expire` wants to be called, or None."""

    def add(self, answer: Iterable[Publication], reply_to: str, now: float) -> None:
        """Take of an answer what is published now for others than `reply_to`, who asks again by itself."""
        for result in answer:
            if result.topic != reply_to:
                self._last.append(_Said(now, result))
                self._size += len(result.payload)
        while self._last and self._has_too_much(now):
            self._size -= len(self._last.popleft().result.payload)

    def _has_too_much(self, now: float) -> bool:
        is_old = now - self._last[0].at > LAST_SECONDS
        return is_old or len(self._last) > LIMIT or self._size > LIMIT_BYTES

    def connected(self, now: float) -> tuple[Publication, ...]:
        """What is published again on a new connection, and once more when it is due."""
        self._again = tuple(each for each in self._last if each.connections < CONNECTIONS)
        for each in self._again:
            each.connections += 1
        self.due = now + AGAIN_SECONDS if self._again else None
        return tuple(each.result for each in self._again)

    def expire(self, now: float) -> tuple[Publication, ...]:
        """What is due. On a connection that lasted so long, it was saved: that is the last time."""
        if self.due is None or now < self.due:
            return ()
        again, self._again, self.due = self._again, (), None
        for each in again:
            each.connections = CONNECTIONS
        return tuple(each.result for each in again)

    def forget(self) -> None:
        """For when somebody was revoked: nothing is said again."""
        self._last.clear()
        self._size, self._again, self.due = 0, (), None
