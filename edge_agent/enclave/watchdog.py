"""The clock that ends a guest's run: a thread that advances wasmtime's epoch while something runs.

Wasm code compares the epoch with its deadline at each loop and each call. Nobody ticks while nothing runs: an
idle edge device sleeps.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from protocol.errors import EnclaveError
from schemas.reason import Reason

TICK_SECONDS: Final = 0.01
LINGER_TICKS: Final = 20
"""Ticks without a run before the thread sleeps: waking it costs more than a small model's whole run."""


class Watchdog:
    """Calls `tick` every `tick_seconds` as long as a run is being watched, from a daemon thread of its own."""

    def __init__(self, tick: Callable[[], None], tick_seconds: float = TICK_SECONDS) -> None:
        self._tick = tick
        self._tick_seconds = tick_seconds
        self._changed = threading.Condition()
        self._running = 0
        self._started = 0
        self._closed = False
        self._thread = threading.Thread(target=self._tick_until_closed, name="wasm-watchdog", daemon=True)
        self._thread.start()

    def ticks(self, seconds: float) -> int:
        """How many ticks from now are `seconds` at least, and two ticks more at most."""
        # The tick under way is already partly over: one more makes the deadline never early.
        return math.ceil(seconds / self._tick_seconds) + 1

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Tick while the block runs. Raises `EnclaveError` (internal) if nothing would tick: no unbounded run."""
        with self._changed:
            if self._closed or not self._thread.is_alive():
                raise EnclaveError("the enclave's watchdog is not running", reason=Reason.INTERNAL)
            self._running += 1
            self._started += 1
            self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._running -= 1

    def close(self) -> None:
        """End the thread; every later `watching` raises."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _tick_until_closed(self) -> None:
        idle_ticks = 0
        started = 0
        while not self._closed:
            with self._changed:
                idle = self._running == 0 and self._started == started
                idle_ticks = idle_ticks + 1 if idle else 0
                started = self._started
                if idle_ticks > LINGER_TICKS:
                    self._changed.wait_for(lambda: self._running or self._closed)
                    idle_ticks = 0
            time.sleep(self._tick_seconds)
            self._tick()
