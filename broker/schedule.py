"""What is to happen at a later time of a virtual clock."""

import heapq
from collections.abc import Callable


class Schedule:
    """Acts in order of their time; those of the same time in the order in which they were added."""

    def __init__(self) -> None:
        self._acts: list[tuple[float, int, Callable[[], None]]] = []
        self._added = 0

    def add(self, due: float, act: Callable[[], None]) -> None:
        """Let `act` happen at `due`, in seconds on the virtual clock."""
        self._added += 1
        heapq.heappush(self._acts, (due, self._added, act))

    @property
    def next_due(self) -> float | None:
        """When the next act is due, or None."""
        return self._acts[0][0] if self._acts else None

    def happen(self, now: float) -> None:
        """Do everything that is due at `now`, and what that adds for `now`."""
        while self._acts and self._acts[0][0] <= now:
            heapq.heappop(self._acts)[2]()
