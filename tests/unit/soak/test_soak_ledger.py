"""The soak's ledger: an honest run has no fault, and no single fault goes unnoticed."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soak.ledger import Ledger, Sent, output_of

Line = dict[str, Any]
ANSWERED, REFUSED, TIMED_OUT = "answered", "refused", "timed-out"


def expected(row: int) -> tuple[float, ...] | None:
    """Of a bad reading: nothing but a refusal."""
    return None if row % 5 == 0 else (row / 1000, 1 - row / 1000)


def result(row: int) -> Line:
    output = expected(row)
    return {"request": f"{row:032x}", "output": {"probabilities": list(output or ())}}


def end(row: int, status: str = ANSWERED) -> Line:
    if status == ANSWERED and expected(row) is not None:
        return {**result(row), "row": row, "status": ANSWERED}
    reason = "timeout" if status == TIMED_OUT else "input-invalid"
    return {
        "request": f"{row:032x}",
        "row": row,
        "status": TIMED_OUT if status == TIMED_OUT else REFUSED,
        "reason": reason,
    }


def sent(rows: int) -> Ledger:
    ledger = Ledger()
    for row in range(1, rows + 1):
        ledger.send("steady", row, Sent(expected(row), 0.0))
    return ledger


def faults(ledger: Ledger) -> tuple[int, ...]:
    return ledger.doubled, ledger.wrong, ledger.lost, ledger.not_received, ledger.unasked


@settings(deadline=None)
@given(st.data(), st.integers(1, 20))
def test_an_honest_run_has_no_fault_in_whatever_order_it_is_told(data: st.DataObject, rows: int) -> None:
    ledger = sent(rows)
    told: list[Callable[[], object]] = [lambda row=row: ledger.end("steady", end(row)) for row in range(1, rows + 1)]
    told += [lambda row=row: ledger.receive(result(row)) for row in range(1, rows + 1) if expected(row) is not None]
    for tell in data.draw(st.permutations(told)):
        tell()
    ledger.close()
    assert faults(ledger) == (0, 0, 0, 0, 0)
    assert ledger.faults == []
    assert ledger.answered + ledger.refused.total() == ledger.sent == rows
    assert set(ledger.refused) <= {"input-invalid"}


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ([], (0, 0, 1, 0, 0)),
        ([("end", end(1))], (0, 0, 0, 1, 0)),
        ([("receive", result(1))], (0, 0, 1, 0, 1)),
        ([("end", end(1)), ("end", end(1)), ("receive", result(1))], (1, 0, 0, 0, 0)),
        ([("end", end(1)), ("receive", result(1)), ("receive", result(1))], (1, 0, 0, 0, 0)),
        ([("receive", result(1)), ("receive", result(1)), ("end", end(1))], (1, 0, 0, 0, 0)),
        ([("end", end(1)), ("end", {**end(2), "row": None}), ("receive", result(1))], (1, 0, 0, 0, 0)),
        ([("end", {**end(1), "output": result(2)["output"]}), ("receive", result(1))], (0, 1, 0, 0, 0)),
        ([("end", end(1)), ("receive", {**result(1), "output": result(2)["output"]})], (0, 1, 0, 0, 0)),
        ([("end", {**end(1), "output": "00"}), ("receive", result(1))], (0, 1, 0, 0, 0)),
        ([("end", end(1, TIMED_OUT)), ("receive", result(1))], (0, 0, 0, 0, 1)),
        ([("end", end(1, REFUSED))], (0, 0, 0, 0, 0)),
    ],
)
def test_each_fault_is_counted_as_what_it_is(fault: list[tuple[str, Line]], found: tuple[int, ...]) -> None:
    ledger = sent(1)
    for method, line in fault:
        ledger.end("steady", line) if method == "end" else ledger.receive(line)
    ledger.close()
    assert faults(ledger) == found
    assert (ledger.faults == []) == (found[:3] == (0, 0, 0))


def test_a_bad_reading_that_is_answered_is_wrong() -> None:
    ledger = Ledger()
    ledger.send("steady", 1, Sent(None, 0.0))
    ledger.end("steady", end(1))
    assert ledger.wrong == 1


def test_a_good_reading_that_is_refused_as_bad_is_told_apart() -> None:
    ledger = sent(5)
    for row, status in ((1, REFUSED), (5, REFUSED), (2, TIMED_OUT)):
        ledger.end("steady", {**end(row, status), "status": status})
    assert ledger.refused == {"input-invalid, of a good reading": 1, "input-invalid": 1}
    assert ledger.timed_out == {"timeout": 1}


def test_the_rows_of_two_sensors_are_not_mixed_up() -> None:
    ledger = sent(1)
    ledger.send("single", 1, Sent((0.5, 0.5), 0.0))
    assert ledger.end("single", end(1)) == Sent((0.5, 0.5), 0.0)
    assert (ledger.wrong, ledger.lost) == (1, 1)


def test_what_is_no_output_is_nothing_to_compare() -> None:
    assert output_of({}) == output_of({"output": {}}) == output_of({"output": "0011"}) == ()
    assert output_of({"output": {"a": [1.0], "b": [1.0]}}) == ()
