"""The time a party is told: seconds since the epoch that neither go back nor stand still."""

import time
from collections.abc import Callable

Clock = Callable[[], float]


class SteadyClock:
    """The wall clock; after it was set back, the last time told plus what has really passed since.

    Standing still until the wall clock has caught up would keep leases alive for as long.
    """

    def __init__(self, wall: Clock = time.time, monotonic: Clock = time.monotonic) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._last = wall()
        self._read_at = monotonic()

    def __call__(self) -> float:
        """Seconds since the epoch."""
        wall, read_at = self._wall(), self._monotonic()
        self._last = max(wall, self._last + read_at - self._read_at)
        self._read_at = read_at
        return self._last
