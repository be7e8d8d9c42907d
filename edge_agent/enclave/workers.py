"""Who runs the modules of the requests that wait: one after the other, or as many at a time as there are cores.

An enclave is handed one of these, so that what it does stays a function of what it is told. wasmtime lets go of
Python's lock while a module runs: threads of one process share the cores.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Final

from protocol.errors import EnclaveError

Task = Callable[[], bytes]
"""Runs a module once. Raises `EnclaveError`."""

Outcome = bytes | EnclaveError
"""The module's output, or what the module did wrong."""

Workers = Callable[[Sequence[Task]], Sequence[Outcome | None]]
"""Runs the first of the tasks, one at least where there are any. Returns their outcomes, in their order.

None stands for a task that runs on: the same object is offered again, before all that is new, until its outcome comes.
What was not begun may be offered again, or not. What a task raises besides `EnclaveError` escapes.
"""

SHIFT_SECONDS: Final = 0.05
"""For how long short tasks are begun, and a long one's end is waited for: then what came meanwhile is looked at."""

SPARE_SECONDS: Final = 0.02
"""The same where a thread has nothing to do: it could begin what came meanwhile."""

WORTH_SECONDS: Final = 0.001
"""Tasks that take less run on one thread: waking another costs more than it brings."""

BEGUN_PER_THREAD: Final = 2
"""One that runs, and one that is there when it ends."""

OWN_STACK_BYTES: Final = 2**20
"""Of a worker thread's stack, what Python itself is left beside the module's."""

_Running = Future[tuple[Outcome, float]]


def one_by_one(tasks: Sequence[Task]) -> list[Outcome]:
    """All of them, without a clock or a thread: for simulation."""
    return [_outcome(task) for task in tasks]


class ThreadedWorkers:
    """At most `threads` tasks at a time; short ones on the calling thread. `stack_bytes` is what a module may use.

    No thread waits for another's task: whoever ends one begins the next, while the caller does what is to be done
    with the outcome. The threads are started at once: a confined process may have reasons not to start them later.
    """

    def __init__(self, threads: int, stack_bytes: int, clock: Callable[[], float] = time.perf_counter) -> None:
        self._threads = threads
        self._clock = clock
        self._usual = WORTH_SECONDS
        self._pool = _started(threads, stack_bytes) if threads > 1 else None
        self._running: dict[Task, _Running] = {}

    def __call__(self, tasks: Sequence[Task]) -> list[Outcome | None]:
        """As `Workers` says."""
        if self._pool is None or (not self._running and self._usual < WORTH_SECONDS):
            return self._worked_here(tasks)
        self._begin(tasks, self._pool)
        self._wait()
        return [self._ended(task) for task in tasks if task in self._running]

    def _worked_here(self, tasks: Sequence[Task]) -> list[Outcome | None]:
        """The shift ends with the last task that was begun within `SHIFT_SECONDS`."""
        began = at = self._clock()
        outcomes: list[Outcome | None] = []
        for task in tasks:
            if outcomes and at >= began + SHIFT_SECONDS:
                break
            outcomes.append(_outcome(task))
            at = self._clock()
        if outcomes:
            self._usual = (at - began) / len(outcomes)
        return outcomes

    def _begin(self, tasks: Sequence[Task], pool: ThreadPoolExecutor) -> None:
        """Those that run already, and then the first of the others: a thread takes them in this order."""
        for task in tasks[: BEGUN_PER_THREAD * self._threads]:
            if task not in self._running:
                self._running[task] = pool.submit(self._timed, task)

    def _wait(self) -> None:
        """Until one has ended: one that had before is told at once."""
        spare = len(self._running) < self._threads
        wait(self._running.values(), SPARE_SECONDS if spare else SHIFT_SECONDS, FIRST_COMPLETED)

    def _ended(self, task: Task) -> Outcome | None:
        running = self._running[task]
        if not running.done():
            return None
        del self._running[task]
        outcome, self._usual = running.result()
        return outcome

    def _timed(self, task: Task) -> tuple[Outcome, float]:
        began = self._clock()
        outcome = _outcome(task)
        return outcome, self._clock() - began


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
