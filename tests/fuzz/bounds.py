"""What one input may cost: CPU time and memory, asserted around the code that is fuzzed and around nothing else."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from resource import RUSAGE_SELF, getrusage
from types import FrameType
from typing import Final

MAX_BYTES: Final = 12_288
"""Of an input. Larger ones are tried by the tests, which know what is large for whom."""

CPU_SECONDS: Final = 2.0
"""For one input: CPU time of this process, so that a busy machine changes nothing."""

MEMORY: Final = 256 * 1024 * 1024
"""Bytes by which one input may raise the peak of the process."""


class TookTooLongError(BaseException):
    """Not an `Exception`: no code that is fuzzed catches it."""


class TookTooMuchError(BaseException):
    """As `TookTooLongError`, of memory."""


@contextmanager
def bounded(seconds: float = CPU_SECONDS, memory: int = MEMORY) -> Iterator[None]:
    """Raises `TookTooLongError` in the middle of what takes too long, `TookTooMuchError` behind what took too much.

    In the main thread alone, as all handlers of signals. A loop in C ends at the fuzzer's own alarm.
    """
    before = peak()
    usual = signal.signal(signal.SIGPROF, _stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.signal(signal.SIGPROF, usual)
    grown = peak() - before
    if grown > memory:
        raise TookTooMuchError(f"{grown} bytes for one input, where {memory} are allowed")


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise TookTooLongError("one input took all of its CPU time")


def peak() -> int:
    """Bytes that this process had at most; the system counts in KiB."""
    return getrusage(RUSAGE_SELF).ru_maxrss * 1024
