"""Who runs modules: each task once, outcomes in order, a bounded shift, and as many at a time as there are cores."""

import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.enclave.workers import SHIFT_SECONDS, WORTH_SECONDS, Outcome, Task, ThreadedWorkers, one_by_one
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


@pytest.fixture(params=["one by one", "threaded"])
def workers(request: pytest.FixtureRequest) -> Callable[[list[Task]], list[Outcome]]:
    return one_by_one if request.param == "one by one" else ThreadedWorkers(3, STACK)


def test_outcomes_come_in_the_order_of_the_tasks(workers: Callable[[list[Task]], list[Outcome]]) -> None:
    clock = Clock()
    assert workers([clock.task(number) for number in range(40)]) == [bytes([number]) for number in range(40)]
    assert workers([]) == []


def test_a_fault_of_a_module_is_an_outcome_and_others_go_on(workers: Callable[[list[Task]], list[Outcome]]) -> None:
    clock = Clock()
    first, fault, last = workers([clock.task(1), trapping, clock.task(3)])
    assert (first, last) == (b"\1", b"\3")
    assert isinstance(fault, EnclaveError)


def test_a_fault_of_the_enclave_escapes_from_any_thread() -> None:
    together = threading.Barrier(2)

    def faulty() -> bytes:
        together.wait(10)
        raise ZeroDivisionError

    for tasks in ([faulty, faulty], [lambda: (together.wait(10) and b"") or b"", faulty]):
        with pytest.raises(ZeroDivisionError):
            ThreadedWorkers(2, STACK)(tasks)


def test_a_shift_ends_in_time_and_takes_one_task_at_least() -> None:
    clock = Clock()
    workers = ThreadedWorkers(1, STACK, clock)
    assert workers([clock.task(number, SHIFT_SECONDS / 2) for number in range(9)]) == [b"\0", b"\1"]
    assert workers([clock.task(number, 100.0) for number in range(9)]) == [b"\0"]


@given(st.lists(st.floats(0, SHIFT_SECONDS), max_size=20), st.integers(1, 3))
def test_what_is_left_over_is_the_end_and_each_task_runs_once(seconds: list[float], threads: int) -> None:
    clock, ran = Clock(), []
    lock = threading.Lock()

    def numbered(number: int, takes: float) -> Task:
        def run() -> bytes:
            with lock:
                ran.append(number)
                clock.now += takes
            return bytes([number])

        return run

    outcomes = ThreadedWorkers(threads, STACK, clock)([numbered(*each) for each in enumerate(seconds)])
    assert outcomes == [bytes([number]) for number in range(len(outcomes))]
    assert sorted(ran) == list(range(len(outcomes)))
    assert bool(outcomes) == bool(seconds)


def test_tasks_worth_it_run_at_the_same_time() -> None:
    together = threading.Barrier(3)
    assert ThreadedWorkers(3, STACK)([lambda: bytes([together.wait(10) >= 0])] * 3) == [b"\1"] * 3


def test_short_tasks_stay_on_the_calling_thread() -> None:
    clock = Clock()
    workers = ThreadedWorkers(3, STACK, clock)
    workers([clock.task(0, WORTH_SECONDS / 2)])
    ran: set[str] = set()
    workers([lambda: bytes(ran.add(threading.current_thread().name) or 0) for _ in range(20)])
    assert ran == {threading.current_thread().name}
