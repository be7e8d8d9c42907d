"""When to connect again, and when to give up."""

from collections.abc import Callable

from broker.connack import Refusal
from broker.settings import ConnectionSettings
from protocol.errors import TransportError

SETTLED_SECONDS = 10.0
"""A connection that lasted this long was a good one: the next wait starts from the shortest again.

Two links that share one client identifier end each other's connection: without this they would do so at full speed.
"""


class Retrying:
    """Exponential waits with jitter; tries in a row are counted apart where nobody answers and where a broker refuses.

    `jitter` returns a number from 0 to 1: a wait is between half of itself and the whole.
    """

    def __init__(self, settings: ConnectionSettings, jitter: Callable[[], float]) -> None:
        self._settings = settings
        self._jitter = jitter
        self._doublings = 0
        self._unreached = 0
        self._refused = 0
        self._opened_at: float | None = None

    def opened(self, at: float) -> None:
        """The broker accepted the connection, at so many seconds on a monotonic clock."""
        self._unreached = self._refused = 0
        self._opened_at = at

    def lost(self, why: str, at: float) -> float:
        """Seconds to wait after a connection, or the attempt at one, broke.

        Raises:
            TransportError: that was the last try.
        """
        if self._opened_at is None:
            self._unreached += 1
        elif at - self._opened_at > SETTLED_SECONDS:
            self._doublings = 0
        self._opened_at = None
        if self._settings.network_tries is not None and self._unreached >= self._settings.network_tries:
            raise TransportError(why)
        return self._wait()

    def refused(self, refusal: Refusal) -> float:
        """Seconds to wait after the broker said no.

        Raises:
            TransportError: that was the last try.
        """
        self._opened_at = None
        self._refused += 1
        tries = self._settings.refusal_tries if refusal.is_final else self._settings.network_tries
        if tries is not None and self._refused >= tries:
            raise refusal.error
        return self._wait()

    def _wait(self) -> float:
        longest = min(self._settings.retry_longest, self._settings.retry_first * 2.0**self._doublings)
        self._doublings = min(self._doublings + 1, 32)
        return longest * (0.5 + self._jitter() / 2)
