"""Who runs modules: each task once, a bounded shift, and as many at a time as there are cores."""

import threading
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.enclave.workers import (
    BEGUN_PER_THREAD,
    SHIFT_SECONDS,
    WORTH_SECONDS,
    Outcome,
    Task,
    ThreadedWorkers,
    Workers,
    one_by_one,
)
from protocol.errors import EnclaveError

STACK = 2**19


class Clock:
    """Stands still but where a task takes time."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def task(self, number: int, seconds: float = 0.0) -> Task:
        def run() -> bytes:
            self.now += seconds
            return bytes([number])

        return run


def trapping() -> bytes:
    raise EnclaveError("the module trapped")


def all_of(workers: Workers, tasks: Iterable[Task]) -> list[Outcome]:
    """Offered again until all have ended."""
    every = list(tasks)
    ended: dict[Task, Outcome] = {}
    while left := [task for task in every if task not in ended]:
        outcomes = workers(left)
        assert outcomes
        ended |= {task: outcome for task, outcome in zip(left, outcomes, strict=False) if outcome is not None}
    return [ended[task] for task in every]


@pytest.fixture(params=["one by one", "threaded", "on one core"])
def workers(request: pytest.FixtureRequest) -> Workers:
    threads = {"threaded": 3, "on one core": 1}
    return ThreadedWorkers(threads[request.param], STACK) if request.param in threads else one_by_one


def test_outcomes_stand_in_the_order_of_the_tasks(workers: Workers) -> None:
    clock = Clock()
    assert all_of(workers, [clock.task(number) for number in range(40)]) == [bytes([number]) for number in range(40)]
    assert list(workers([])) == []


def test_a_fault_of_a_module_is_an_outcome_and_others_go_on(workers: Workers) -> None:
    clock = Clock()
    first, fault, last = all_of(workers, [clock.task(1), trapping, clock.task(3)])
    assert (first, last) == (b"\1", b"\3")
    assert isinstance(fault, EnclaveError)


def test_a_fault_of_the_enclave_escapes_from_any_thread(workers: Workers) -> None:
    def faulty() -> bytes:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        all_of(workers, [lambda: b"", faulty])


def test_a_shift_ends_in_time_and_takes_one_task_at_least() -> None:
    clock = Clock()
    workers = ThreadedWorkers(1, STACK, clock)
    assert workers([clock.task(number, SHIFT_SECONDS / 2) for number in range(9)]) == [b"\0", b"\1"]
    assert workers([clock.task(number, 100.0) for number in range(9)]) == [b"\0"]


@given(st.lists(st.floats(0, SHIFT_SECONDS), max_size=20), st.integers(1, 3))
def test_each_task_runs_once(seconds: list[float], threads: int) -> None:
    clock, ran = Clock(), []
    lock = threading.Lock()

    def numbered(number: int, takes: float) -> Task:
        def run() -> bytes:
            with lock:
                ran.append(number)
                clock.now += takes
            return bytes([number])

        return run

    workers = ThreadedWorkers(threads, STACK, clock)
    outcomes = all_of(workers, [numbered(*each) for each in enumerate(seconds)])
    assert outcomes == [bytes([number]) for number in range(len(seconds))]
    assert sorted(ran) == list(range(len(seconds)))


def test_tasks_worth_it_run_at_the_same_time() -> None:
    together = threading.Barrier(3)

    def meeting(number: int) -> Task:
        return lambda: bytes([number + together.wait(10) * 0])

    assert all_of(ThreadedWorkers(3, STACK), map(meeting, range(3))) == [b"\0", b"\1", b"\2"]


def test_what_runs_on_is_told_so_and_keeps_nobody_waiting() -> None:
    may_end, workers = threading.Event(), ThreadedWorkers(2, STACK)

    def long() -> bytes:
        may_end.wait(10)
        return b"long"

    short = [Clock().task(number) for number in range(9)]
    outcomes = all_of(lambda tasks: workers([long, *tasks])[1:], short)
    assert outcomes == [bytes([number]) for number in range(9)]
    assert workers([long]) == [None]
    may_end.set()
    assert all_of(workers, [long]) == [b"long"]


def test_no_more_are_begun_than_threads_take_on() -> None:
    may_end, workers = threading.Event(), ThreadedWorkers(2, STACK)

    def waiting(number: int) -> Task:
        return lambda: bytes([number * may_end.wait(10)])

    tasks = list(map(waiting, range(20)))
    assert workers(tasks) == [None] * 2 * BEGUN_PER_THREAD
    assert workers(tasks) == [None] * 2 * BEGUN_PER_THREAD
    may_end.set()
    assert all_of(workers, tasks) == [bytes([number]) for number in range(20)]


def test_short_tasks_stay_on_the_calling_thread() -> None:
    clock = Clock()
    workers = ThreadedWorkers(3, STACK, clock)
    all_of(workers, [clock.task(0, WORTH_SECONDS / 2)])
    ran: set[str] = set()
    all_of(workers, [lambda: bytes(ran.add(threading.current_thread().name) or 0) for _ in range(20)])
    assert ran == {threading.current_thread().name}
