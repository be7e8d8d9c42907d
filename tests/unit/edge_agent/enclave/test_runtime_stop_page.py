"""The page that is taken away at a deadline: in time, of the run that is over, and of no other."""

import dataclasses
import threading
import time

import pytest

from edge_agent.enclave.compiling.compiler import compile_here
from edge_agent.enclave.running import guest as guests
from edge_agent.enclave.running import watchdog as watching
from edge_agent.enclave.running.runtime import Limits, Runtime
from edge_agent.enclave.running.watchdog import Watchdog, Watched
from protocol.errors import EnclaveError
from schemas.reason import Reason
from tests.support.wat_modules import inferring

SPIN = """(local $left i32) (local.set $left (i32.load (i32.const 1024)))
  (loop $on (br_if $on (local.tee $left (i32.sub (local.get $left) (i32.const 1))))) (i32.const 0)"""
LONG, SHORT = (2**31 - 1).to_bytes(4, "little"), (1).to_bytes(4, "little")


def test_a_module_whose_instance_was_stopped_goes_on_in_another(load):
    module = load(inferring(SPIN), max_seconds=0.2)
    assert module.run(SHORT) == b""
    with pytest.raises(EnclaveError) as caught:
        module.run(LONG)
    assert caught.value.reason is Reason.DEADLINE_EXCEEDED
    assert module.run(SHORT) == b""


def test_what_ends_by_itself_after_its_deadline_is_late_and_ends_the_instance(load):
    module = load(inferring(SPIN), max_seconds=0.1)
    guest = module._starter.start(None)
    with pytest.raises(EnclaveError) as caught:
        module._bounded.run(guest, None, lambda _: time.sleep(0.3))
    assert caught.value.reason is Reason.DEADLINE_EXCEEDED
    guest.close()


def test_an_instance_that_waits_is_not_stopped(load):
    module = load(inferring(SPIN), max_seconds=0.2)
    module.run(SHORT)
    kept = module._shelf[0]
    time.sleep(0.25)
    assert module.run(SHORT) == b""
    assert module._shelf == [kept]


@pytest.mark.parametrize("refused", [True, False], ids=["refused", "without effect"])
def test_where_no_page_can_be_taken_away_no_module_is_loaded(load, monkeypatch, refused):
    def protect(*_: int) -> None:
        if refused:
            raise OSError(1, "not here")

    monkeypatch.setattr(guests, "protect", protect)
    with pytest.raises(EnclaveError) as caught:
        load(inferring(SPIN))
    assert caught.value.reason is Reason.INTERNAL


@pytest.fixture
def taken(monkeypatch):
    """Pages that were taken away; the first times the system refuses."""
    calls: list[tuple[int, int, int]] = []

    def protect(*call: int) -> None:
        calls.append(call)
        if len(calls) < 3:
            raise OSError(12, "no memory")

    monkeypatch.setattr(watching, "protect", protect)
    return calls


def waited(condition) -> bool:
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.002)
    return condition()


def test_a_refusal_of_the_system_is_not_the_end(taken):
    watchdog = Watchdog(lambda: None, tick_seconds=0.001)
    run = Watched(0.002, 4096)
    watchdog.begin(run)
    assert waited(lambda: len(taken) >= 3)
    assert run.is_over
    assert set(taken) == {(4096, 65_536, 0)}
    watchdog.end(run)
    count = len(taken)
    time.sleep(0.02)
    assert len(taken) == count
    watchdog.close()


def test_what_ended_in_time_is_left_alone(taken):
    watchdog = Watchdog(lambda: None, tick_seconds=0.001)
    runs = [Watched(0.3, 4096 * number) for number in range(1, 50)]
    for run in runs:
        watchdog.begin(run)
        watchdog.end(run)
    time.sleep(0.35)
    assert taken == []
    assert not any(run.is_over for run in runs)
    watchdog.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_watchdog_that_dies_takes_what_runs_with_it(taken):
    def fail() -> None:
        raise SystemExit

    watchdog = Watchdog(fail, tick_seconds=0.2)
    run = Watched(60, 4096)
    watchdog.begin(run)
    assert waited(lambda: bool(taken))
    assert run.is_over
    watchdog._thread.join(10)


@pytest.mark.slow
def test_runs_that_end_about_when_their_time_does_harm_nobody():
    """Many threads, their instances closed and made anew all the time: one page taken wrongly would end the process."""
    runtime = Runtime(compiler=compile_here)
    module, reasons = runtime.load(inferring(SPIN)), set()
    module._bounded._limits = dataclasses.replace(Limits(), max_seconds=0.004)

    def run(count: int) -> None:
        for _ in range(60):
            try:
                module.run(count.to_bytes(4, "little"))
            except EnclaveError as error:
                reasons.add(error.reason)

    threads = [threading.Thread(target=run, args=(count,)) for count in (1, 2_000_000, 9_000_000, 2**31 - 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert reasons == {Reason.DEADLINE_EXCEEDED}
    assert module._idle._held() <= 4 * 65_536
    runtime.close()
