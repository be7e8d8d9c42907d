"""The clock that ends a guest's run: a thread that looks at the deadlines of what runs, and says stop.

A core module is stopped through the word in its memory that its own code reads (`interruptible`); a component
through the engine's epoch, which `tick` advances. Nobody ticks while nothing runs: an idle edge device sleeps.
"""

import ctypes
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

STOPPED: Final = 1
"""What the stop word holds from the deadline on; it is zero in a new instance."""


class Watched:
    """One run that ends at `deadline`, in the seconds of `time.monotonic`. Its methods hold the watchdog's lock."""

    def __init__(self, deadline: float, lock: threading.Condition) -> None:
        self._deadline, self._lock = deadline, lock
        self._word: ctypes.c_uint32 | None = None
        self.is_over = False
        """Whether the deadline has passed: what a trap of this run means."""

    def stops_at(self, word: ctypes.c_uint32) -> None:
        """From now on the deadline writes to `word`, guest memory that must outlive the watch."""
        with self._lock:
            self._word = word
            self._write()

    def look(self, now: float) -> None:
        """Say stop if it is time. The caller holds the lock."""
        if now >= self._deadline:
            self.is_over = True
            self._write()

    def end(self) -> None:
        """Never write again. The caller holds the lock."""
        self._word = None

    def _write(self) -> None:
        if self._word is not None and self.is_over:
            self._word.value = STOPPED


class Watchdog:
    """Looks every `tick_seconds` as long as a run is being watched, from a daemon thread of its own; calls `tick`."""

    def __init__(self, tick: Callable[[], None], tick_seconds: float = TICK_SECONDS) -> None:
        self._tick = tick
        self._tick_seconds = tick_seconds
        self._changed = threading.Condition()
        self._running: set[Watched] = set()
        self._started = 0
        self._closed = False
        self._thread = threading.Thread(target=self._tick_until_closed, name="wasm-watchdog", daemon=True)
        self._thread.start()

    def ticks(self, seconds: float) -> int:
        """How many ticks from now are `seconds` at least, and two ticks more at most."""
        # The tick under way is already partly over: one more makes the deadline never early.
        return math.ceil(seconds / self._tick_seconds) + 1

    @contextmanager
    def watching(self, seconds: float) -> Iterator[Watched]:
        """Tick while the block runs, which has so many seconds.

        The stop word of the run must stay mapped until the block is left; afterwards nothing writes to it. Raises
        `EnclaveError` (internal) if nothing would tick: no unbounded run.
        """
        watched = Watched(time.monotonic() + seconds, self._changed)
        with self._changed:
            if self._closed or not self._thread.is_alive():
                raise EnclaveError("the enclave's watchdog is not running", reason=Reason.INTERNAL)
            self._running.add(watched)
            self._started += 1
            self._changed.notify()
        try:
            yield watched
        finally:
            with self._changed:
                self._running.discard(watched)
                watched.end()

    def close(self) -> None:
        """End the core modules that run, and the thread when nothing runs; every later `watching` raises."""
        with self._changed:
            self._closed = True
            for watched in self._running:
                watched.look(math.inf)
            self._changed.notify()

    def _tick_until_closed(self) -> None:
        idle_ticks = 0
        started = 0
        # A component's run ends by the tick alone, also after `close`.
        while not self._closed or self._running:
            with self._changed:
                idle = not self._running and self._started == started
                idle_ticks = idle_ticks + 1 if idle else 0
                started = self._started
                if idle_ticks > LINGER_TICKS:
                    self._changed.wait_for(lambda: bool(self._running) or self._closed)
                    idle_ticks = 0
            time.sleep(self._tick_seconds)
            self._look()

    def _look(self) -> None:
        with self._changed:
            now = time.monotonic()
            for watched in self._running:
                watched.look(now)
        self._tick()
