"""Products of matrices against onnxruntime: every remainder of rows, columns and depth, batches, types, factors."""

from typing import Any

import numpy as np
import pytest

from protocol.errors import ConfigurationError
from publisher.compiler.emission import emit
from publisher.compiler.errors import UnsupportedError
from publisher.compiler.graph import Graph, Node, Value
from publisher.compiler.operators.packing import packed, packed_columns, widths
from tests.support.single_nodes import Constant, Single, Table

RNG = np.random.default_rng(3)


def floats(*shape: int, dtype: str = "float32") -> Any:
    return RNG.standard_normal(shape).astype(dtype)


def whole(*shape: int, dtype: str) -> Any:
    limits = np.iinfo(dtype)
    return RNG.integers(limits.min, limits.max, shape, dtype, endpoint=True)


LEFT = floats(7, 30)
FORMS = {
    "both computed": Single("MatMul", LEFT, floats(30, 21)),
    "a batch": Single("MatMul", floats(2, 3, 5, 6), floats(3, 6, 9)),
    "both sides broadcast": Single("MatMul", floats(2, 1, 5, 6), floats(1, 3, 6, 4)),
    "a batch of constants": Single("MatMul", floats(2, 5, 6), Constant(floats(2, 6, 9))),
    "a batch by one constant": Single("MatMul", floats(2, 3, 5, 6), Constant(floats(6, 9))),
    "by a vector": Single("MatMul", floats(2, 3, 5, 6), floats(6)),
    "a vector by": Single("MatMul", floats(6), floats(3, 6, 9)),
    "two vectors": Single("MatMul", floats(6), floats(6)),
    "of int32, which wraps": Single("MatMul", whole(4, 5, dtype="int32"), Constant(whole(5, 3, dtype="int32"))),
    "of uint64": Single("MatMul", whole(2, 4, 5, dtype="uint64"), whole(5, 3, dtype="uint64")),
    "of doubles": Single("MatMul", floats(4, 5, dtype="float64"), Constant(floats(5, 8, dtype="float64"))),
    "without depth": Single("MatMul", floats(3, 0), floats(0, 4), expected=lambda a, b: a @ b),
    "without rows": Single("MatMul", floats(0, 3), floats(3, 4), expected=lambda a, b: a @ b),
    "factors, and a column": Single("Gemm", LEFT, floats(30, 21), floats(7, 1), alpha=0.5, beta=2.0),
    "transposed": Single(
        "Gemm", floats(30, 7), Constant(floats(11, 30)), Constant(floats(11)), transA=1, transB=1, beta=0.25
    ),
    "transposed, both computed": Single("Gemm", floats(30, 7), floats(11, 30), transA=1, transB=1),
    "a number added": Single("Gemm", LEFT, floats(30, 5), Constant(np.float32(3))),
    "a matrix added": Single("Gemm", LEFT, Constant(floats(30, 5)), Constant(floats(7, 5)), beta=-1.0),
    "a computed row added": Single("Gemm", LEFT, Constant(floats(30, 5)), floats(1, 5), alpha=2.0),
    "doubles with a row": Single(
        "Gemm", floats(3, 4, dtype="float64"), floats(4, 5, dtype="float64"), floats(5, dtype="float64")
    ),
}
SIZES = [(7, 30, n) for n in (1, 2, 3, 4, 5, 8, 9, 12, 16, 17, 24, 31, 40)]
SIZES += [(3, k, 21) for k in (1, 2, 3, 4, 5, 8)] + [(m, 9, 30) for m in (1, 2, 3, 4, 5)]
TABLE = Table(
    {
        **FORMS,
        **{f"{m} x {k} x {n}": Single("MatMul", floats(m, k), Constant(floats(k, n))) for m, k, n in SIZES[::6]},
    }
)
EVERY = Table({f"{m} x {k} x {n}": Single("MatMul", floats(m, k), Constant(floats(k, n))) for m, k, n in SIZES})


@pytest.mark.parametrize("name", TABLE.cases)
def test_answers_as_onnxruntime_does(name: str) -> None:
    TABLE.check(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY.cases)
def test_every_remainder_answers_as_onnxruntime_does(name: str) -> None:
    EVERY.check(name)


@pytest.mark.parametrize("columns", range(50))
def test_panels_hold_every_column_once(columns: int) -> None:
    matrix = np.arange(1, 3 * columns + 1, dtype=np.float32).reshape(3, columns)
    panels, at, found = packed(matrix), 0, []
    for width in widths(columns):
        found.append(panels[at : at + 3 * width].reshape(3, width))
        at += 3 * width
    assert at == panels.size == 3 * packed_columns(columns)
    assert packed_columns(columns) - columns < 4
    if columns:
        joined = np.concatenate(found, axis=1)
        assert np.array_equal(joined[:, :columns], matrix)
        assert not joined[:, columns:].any()


def product(operator: str, a: tuple[int, ...], b: tuple[int, ...], dtype: str = "float32", **more: float) -> Graph:
    values = {name: Value(name, dtype, shape) for name, shape in (("a", a), ("b", b), ("y", (a[0], b[-1])))}
    return Graph((Node(operator, ("a", "b"), ("y",), more, "", 13),), values, ("a", "b"), ("y",))


def test_what_does_not_fit_is_refused() -> None:
    for operator in ("MatMul", "Gemm"):
        with pytest.raises(ConfigurationError):
            emit(product(operator, (2, 3), (4, 5)))
    with pytest.raises(ConfigurationError):
        emit(product("Gemm", (2, 3, 4), (4, 5)))
    with pytest.raises(UnsupportedError, match="factors"):
        emit(product("Gemm", (2, 3), (3, 5), "int32", alpha=2.0))
