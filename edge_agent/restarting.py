"""When a crashed enclave is started again: at once after a calm time, then ever later while it keeps crashing."""

from typing import Final

CALM_SECONDS: Final = 60.0
"""An enclave that ran for so long before it crashed is started again at once."""

LONGEST_WAIT: Final = 60.0


class Restarts:
    """The schedule alone; the agent does the starting."""

    def __init__(self) -> None:
        self._started_at = float("-inf")
        self._crashes = 0
        self.due_at: float | None = None
        """When to start the next enclave, or None while one runs."""

    def crashed(self, now: float) -> None:
        """The enclave crashed or did not start: the next start is now, or in 1, 2, 4 ... 60 seconds."""
        if now - self._started_at >= CALM_SECONDS:
            self._crashes = 0
        wait = min(2.0 ** (self._crashes - 1), LONGEST_WAIT) if self._crashes else 0.0
        self._crashes = min(self._crashes + 1, 16)
        # Whatever happens until the next start was no calm time.
        self._started_at = float("inf")
        self.due_at = now + wait

    def started(self, now: float) -> None:
        """A new enclave runs."""
        self._started_at, self.due_at = now, None

    def is_due(self, now: float) -> bool:
        """Whether to start one now."""
        return self.due_at is not None and now >= self.due_at
