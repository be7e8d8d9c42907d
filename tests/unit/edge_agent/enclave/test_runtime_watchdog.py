"""The thread that ends a guest's run ticks while something runs, and sleeps otherwise."""

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.enclave.running.watchdog import LINGER_TICKS, Watchdog
from protocol.errors import EnclaveError
from schemas.reason import Reason


class Ticks:
    """Counts ticks; `wait` returns once there are so many more."""

    def __init__(self) -> None:
        self.count = 0
        self._changed = threading.Condition()

    def __call__(self) -> None:
        with self._changed:
            self.count += 1
            self._changed.notify_all()

    def wait(self, more: int) -> bool:
        with self._changed:
            wanted = self.count + more
            return self._changed.wait_for(lambda: self.count >= wanted, timeout=10)


@pytest.fixture
def ticks():
    return Ticks()


@pytest.fixture
def watchdog(ticks):
    watchdog = Watchdog(ticks, tick_seconds=0.001)
    yield watchdog
    watchdog.close()


def asleep(ticks: Ticks) -> bool:
    """Whether no tick comes for a time in which dozens were due."""
    before = ticks.count
    time.sleep(0.1)
    return ticks.count == before


@given(seconds=st.floats(0.001, 600))
def test_a_deadline_is_never_early_and_two_ticks_late_at_most(seconds):
    ticks = Watchdog(lambda: None, tick_seconds=0.01)
    ticks.close()
    assert seconds + 0.0099 <= ticks.ticks(seconds) * 0.01 <= seconds + 0.0201


def test_it_ticks_during_a_run_and_sleeps_afterwards(ticks, watchdog):
    with watchdog.watching(60):
        assert ticks.wait(2 * LINGER_TICKS)
    deadline = time.monotonic() + 10
    while not asleep(ticks):
        assert time.monotonic() < deadline
    with watchdog.watching(60):
        assert ticks.wait(5)


def test_it_ticks_until_the_last_of_several_runs_ends(ticks, watchdog):
    with watchdog.watching(60):
        with watchdog.watching(60):
            pass
        assert ticks.wait(3 * LINGER_TICKS)


def test_a_run_that_fails_is_no_longer_watched(ticks, watchdog):
    with pytest.raises(KeyError), watchdog.watching(60):
        raise KeyError
    deadline = time.monotonic() + 10
    while not asleep(ticks):
        assert time.monotonic() < deadline


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_died_refuses_every_run():
    def fail() -> None:
        raise SystemExit

    watchdog = Watchdog(fail, tick_seconds=0.001)
    watchdog._thread.join(10)
    with pytest.raises(EnclaveError) as caught, watchdog.watching(60):
        pass
    assert caught.value.reason is Reason.INTERNAL


def test_a_closed_watchdog_refuses_every_run(watchdog):
    watchdog.close()
    with pytest.raises(EnclaveError), watchdog.watching(60):
        pass
