"""Reductions and selections over any axes, and what they mean of nothing: against onnxruntime, one module for all."""

from typing import Any

import numpy as np
import pytest

from tests.support.single_nodes import Single, Table, const

RNG = np.random.default_rng(8)
X = (RNG.standard_normal((3, 5, 4, 6)) * 2).astype(np.float32)
POSITIVE = abs(X) + np.float32(0.1)
WHOLE = RNG.integers(-9, 9, (3, 5, 7)).astype(np.int32)
ALL = ("Sum", "Mean", "Prod", "Min", "Max", "L1", "L2", "SumSquare", "LogSumExp")
AXES: dict[str, Any] = {
    "the last": const(-1),
    "the first": const(0),
    "two inside": const(1, 2),
    "both ends": const(0, 3),
    "all": None,
}
NAN = np.array([[1, np.nan, 3], [4, 5, 6], [-np.inf, -np.inf, -np.inf]], np.float32)
TIES = RNG.integers(0, 4, (4, 9)).astype(np.float32)
EVERY = {f"{name} of {words}": Single(f"Reduce{name}", X, axes) for name in ALL for words, axes in AXES.items()}
REDUCED = {
    **{name: each for name, each in EVERY.items() if name.startswith(("Max", "LogSumExp")) or "two inside" in name},
    "LogSum": Single("ReduceLogSum", POSITIVE, const(1), keepdims=0),
    "a long row": Single("ReduceSum", RNG.random((2, 1003)).astype(np.float32), const(1)),
    "of float64": Single("ReduceL2", X.astype(np.float64), const(1, 3)),
    "LogSumExp of float64": Single("ReduceLogSumExp", X.astype(np.float64), const(3)),
    "of integers": Single("ReduceSum", WHOLE, const(1)),
    "of integers along the last": Single("ReduceMax", WHOLE.astype(np.int64), const(2)),
    "least of bytes": Single("ReduceMin", WHOLE.astype(np.int8), const(0)),
    "that does nothing": Single("ReduceSum", X, const(), noop_with_empty_axes=1),
    "NaN stays": Single("ReduceMax", NAN, const(1), expected=lambda x, _: np.float32([[np.nan], [6], [-np.inf]])),
    "exponentials of nothing": Single("ReduceLogSumExp", NAN[1:], const(1)),
    "of a scalar": Single("ReduceSum", np.float32(3), None),
    "a mean of nothing": Single("ReduceMean", np.zeros((2, 0, 3), np.float32), const(1)),
    "of an empty dimension": Single(
        "ReduceProd", np.zeros((2, 0, 3), np.float32), const(1), expected=lambda x, _: np.ones((2, 1, 3), np.float32)
    ),
}
SELECTED = {
    "ArgMax": Single("ArgMax", X, axis=1),
    "ArgMin of the last": Single("ArgMin", X, axis=-1, keepdims=0),
    "ArgMax of ties": Single("ArgMax", TIES, axis=1),
    "ArgMax of later ties": Single("ArgMax", TIES, axis=0, select_last_index=1),
    "ArgMin of integers": Single("ArgMin", WHOLE, axis=0),
    "TopK": Single("TopK", X, const(3), outputs=2),
    "TopK of another axis": Single("TopK", X, const(2), outputs=2, axis=1),
    "smallest of ties": Single("TopK", TIES, const(5), outputs=2, largest=0),
    "TopK of integers": Single("TopK", WHOLE.astype(np.int64), const(7), outputs=2),
    "sums along": Single("CumSum", X, const(1)),
    "sums in reverse, exclusive": Single("CumSum", X, const(-1), reverse=1, exclusive=1),
    "sums of integers": Single("CumSum", WHOLE, const(0), reverse=1),
}
TABLE = Table({**REDUCED, **SELECTED})


EXHAUSTIVE = Table(EVERY)


@pytest.mark.parametrize("name", TABLE.cases)
def test_answers_as_onnxruntime_does(name: str) -> None:
    TABLE.check(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", EXHAUSTIVE.cases)
def test_each_reduction_over_each_choice_of_axes(name: str) -> None:
    EXHAUSTIVE.check(name)
