"""The clock that ends a guest's run: a thread that looks at the deadlines of what runs, and says stop.

A core module is stopped by its stop page, which its own code reads (`interruptible`) and which nobody may touch from
the deadline on; a component through the engine's epoch, which `tick` advances. Nobody ticks while nothing runs: an
idle edge device sleeps.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from edge_agent.enclave.rewriting.module_format import PAGE_BYTES
from edge_agent.enclave.running.protection import NO_ACCESS, protect
from protocol.errors import EnclaveError
from schemas.reason import Reason

TICK_SECONDS: Final = 0.01
LINGER_TICKS: Final = 20
"""Ticks without a run before the thread sleeps: waking it costs more than a small model's whole run."""


class Watched:
    """One run that has so many seconds, from now on."""

    __slots__ = ("_deadline", "_stop_page", "is_over")

    def __init__(self, seconds: float, stop_page: int | None = None) -> None:
        """The Wasm page at the address `stop_page` must stay mapped while it is watched."""
        self._deadline = time.monotonic() + seconds
        self._stop_page = stop_page
        self.is_over = False
        """Whether the deadline has passed: what a trap of this run means, and that its stop page is spent."""

    def look(self, now: float) -> None:
        """Stop the run if it is time, in the seconds of `time.monotonic`. The caller holds the watchdog's lock."""
        if now < self._deadline:
            return
        self.is_over = True
        if self._stop_page is not None:
            # Refused, it is asked again at the next tick.
            with suppress(OSError):
                protect(self._stop_page, PAGE_BYTES, NO_ACCESS)


class Watchdog:
    """Looks every `tick_seconds` as long as a run is being watched, from a daemon thread of its own; calls `tick`."""

    def __init__(self, tick: Callable[[], None], tick_seconds: float = TICK_SECONDS) -> None:
        self._tick = tick
        self._tick_seconds = tick_seconds
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._running: set[Watched] = set()
        self._idle_ticks = 0
        self._sleeps = self._closed = False
        self._thread = threading.Thread(target=self._watch, name="wasm-watchdog", daemon=True)
        self._thread.start()

    def ticks(self, seconds: float) -> int:
        """How many ticks from now are `seconds` at least, and two ticks more at most."""
        # The tick under way is already partly over: one more makes the deadline never early.
        return math.ceil(seconds / self._tick_seconds) + 1

    def begin(self, run: Watched) -> None:
        """Watch a run until `end`, which must be called whatever happens.

        Raises `EnclaveError` (internal) if nothing would tick: no unbounded run.
        """
        with self._lock:
            if self._closed:
                raise EnclaveError("the enclave's watchdog is not running", reason=Reason.INTERNAL)
            self._running.add(run)
            self._idle_ticks = 0
            if self._sleeps:
                self._changed.notify()

    def end(self, run: Watched) -> None:
        """Nothing touches its stop page any more, and `run.is_over` does not change."""
        with self._lock:
            self._running.discard(run)

    @contextmanager
    def watching(self, seconds: float) -> Iterator[Watched]:
        """Watch while the block runs. Raises as `begin`."""
        run = Watched(seconds)
        try:
            self.begin(run)
            yield run
        finally:
            self.end(run)

    def close(self) -> None:
        """End the core modules that run, and the thread when nothing runs; every later `begin` raises."""
        with self._lock:
            self._closed = True
            for run in self._running:
                run.look(math.inf)
            self._changed.notify()

    def _watch(self) -> None:
        try:
            # A component's run ends by the tick alone, also after `close`.
            while not self._closed or self._running:
                self._sleep_when_idle()
                time.sleep(self._tick_seconds)
                self._look()
        finally:
            self.close()

    def _sleep_when_idle(self) -> None:
        with self._lock:
            self._idle_ticks = 0 if self._running else self._idle_ticks + 1
            if self._idle_ticks > LINGER_TICKS:
                self._sleeps = True
                self._changed.wait_for(lambda: bool(self._running) or self._closed)
                self._sleeps, self._idle_ticks = False, 0

    def _look(self) -> None:
        with self._lock:
            now = time.monotonic()
            for run in self._running:
                run.look(now)
        self._tick()
