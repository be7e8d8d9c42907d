"""Softmax and its kin along any axis, in both of their forms, and what they answer to the largest numbers."""

import numpy as np
import pytest

from protocol.errors import ConfigurationError
from tests.support.compiling import compiled, model_of
from tests.support.single_nodes import Single, Table

RNG = np.random.default_rng(11)
X = (RNG.standard_normal((2, 3, 5, 7)) * 3).astype(np.float32)
WIDE = (RNG.standard_normal((2, 3, 131)) * 30).astype(np.float32)
EXTREME = np.array([[1e30, 1e30, -1e30], [-1e38, 3.4e38, 0], [-np.inf, 1, 2], [-1e-45, 0, 1e-45]], np.float32)
NAMES = ("Softmax", "LogSoftmax", "Hardmax")
AXES = (0, 1, 2, -1)
TABLE = Table(
    {
        **{f"{name} along {axis}": Single(name, X, axis=axis) for name in NAMES for axis in AXES},
        **{f"{name} of the largest": Single(name, EXTREME) for name in NAMES[:2]},
        **{f"{name} of many columns": Single(name, WIDE, axis=1) for name in NAMES},
        **{f"{name} of long rows": Single(name, WIDE) for name in NAMES},
        **{f"{name} of one": Single(name, np.ones((4, 1), np.float32)) for name in NAMES},
        "Hardmax of ties": Single("Hardmax", np.float32([[1, 3, 3, 0], [2, 2, 2, 2]])),
        **{f"{name} in double precision": Single(name, X.astype(np.float64), axis=1) for name in NAMES[:2]},
        "of nothing": Single("Softmax", np.zeros((0, 3), np.float32), expected=lambda x: x),
        "NaN is in every answer of its row": Single(
            "Softmax",
            np.float32([[1, np.nan, 2, 3, 4, 5], [0, 0, 0, 0, 0, 0]]),
            expected=lambda x: np.float32([[np.nan] * 6, [1 / 6] * 6]),
        ),
    }
)
# Before operator set 13 a tensor was a matrix: rows up to the axis, columns from it on.
COERCED = Table({f"{name} from {axis}": Single(name, X, axis=axis) for name in NAMES for axis in (0, 1, 3)}, opset=11)


@pytest.mark.parametrize("name", TABLE.cases)
def test_answers_as_onnxruntime_does(name: str) -> None:
    TABLE.check(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", COERCED.cases)
def test_old_forms(name: str) -> None:
    COERCED.check(name)


def test_other_types_are_refused_with_a_remedy() -> None:
    x = np.zeros((2, 3))
    with pytest.raises(ConfigurationError, match="cast to float32"):
        compiled(model_of([Single("Hardmax", x).model(21).graph.node[0]], {"i0": x}, ["o0"]))
