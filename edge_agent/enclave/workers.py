"""Who runs the modules of the requests that wait: one after the other, or as many at a time as there are cores.

An enclave is handed one of these, so that what it does stays a function of what it is told. wasmtime lets go of
Python's lock while a module runs: threads of one process share the cores.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from protocol.errors import EnclaveError

Task = Callable[[], bytes]
"""Runs a module once. Raises `EnclaveError`."""

Outcome = bytes | EnclaveError
"""The module's output, or what the module did wrong."""

Workers = Callable[[Sequence[Task]], list[Outcome]]
"""Runs the first of the tasks, one at least where there are any. Returns their outcomes, in their order.

The rest is offered again. What a task raises besides `EnclaveError` escapes.
"""

SHIFT_SECONDS: Final = 0.05
"""For how long tasks are begun: then answers are handed out, and what came meanwhile is looked at."""

WORTH_SECONDS: Final = 0.001
"""Tasks that take less run on one thread: waking another costs more than it brings."""

OWN_STACK_BYTES: Final = 2**20
"""Of a worker thread's stack, what Python itself is left beside the module's."""


def one_by_one(tasks: Sequence[Task]) -> list[Outcome]:
    """All of them, without a clock or a thread: for simulation."""
    return [_outcome(task) for task in tasks]


class ThreadedWorkers:
    """At most `threads` tasks at a time, the calling thread's among them. `stack_bytes` is what a module may use.

    The threads are started at once: a confined process may have reasons not to start them later.
    """

    def __init__(self, threads: int, stack_bytes: int, clock: Callable[[], float] = time.perf_counter) -> None:
        self._helpers = max(0, threads - 1)
        self._clock = clock
        self._usual = WORTH_SECONDS
        self._pool = _started(self._helpers, stack_bytes) if self._helpers else None

    def __call__(self, tasks: Sequence[Task]) -> list[Outcome]:
        """As `Workers` says; the shift ends with the last task that was begun within `SHIFT_SECONDS`."""
        shift = _Shift(tasks, self._clock)
        helpers = min(self._helpers, len(tasks) - 1) if self._usual >= WORTH_SECONDS else 0
        if self._pool is None or helpers <= 0:
            shift.work()
        else:
            helping = [self._pool.submit(shift.work) for _ in range(helpers)]
            shift.work()
            for each in helping:
                each.result()
        if shift.begun:
            self._usual = shift.seconds / shift.begun
        return [outcome for outcome in shift.outcomes[: shift.begun] if outcome is not None]


class _Shift:
    """Tasks of which each is begun once, in their order, by whoever is free."""

    def __init__(self, tasks: Sequence[Task], clock: Callable[[], float]) -> None:
        self.begun, self.seconds = 0, 0.0
        self.outcomes: list[Outcome | None] = [None] * len(tasks)
        self._tasks, self._clock, self._lock = tasks, clock, threading.Lock()
        self._ends = clock() + SHIFT_SECONDS

    def work(self) -> None:
        at = self._clock()
        while (index := self._next(at)) is not None:
            self.outcomes[index] = _outcome(self._tasks[index])
            began, at = at, self._clock()
            with self._lock:
                self.seconds += at - began

    def _next(self, at: float) -> int | None:
        with self._lock:
            if self.begun == len(self._tasks) or (self.begun and at >= self._ends):
                return None
            self.begun += 1
            return self.begun - 1


def _outcome(task: Task) -> Outcome:
    try:
        return task()
    except EnclaveError as error:
        return error


def _started(threads: int, stack_bytes: int) -> ThreadPoolExecutor:
    """A pool whose threads all run: the pool itself starts a thread only when none is idle."""
    pool = ThreadPoolExecutor(threads, thread_name_prefix="module")
    together = threading.Barrier(threads + 1)
    before = threading.stack_size(stack_bytes + OWN_STACK_BYTES)
    try:
        for _ in range(threads):
            pool.submit(together.wait)
        together.wait()
    finally:
        threading.stack_size(before)
    return pool
