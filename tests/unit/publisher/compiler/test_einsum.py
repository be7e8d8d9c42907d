"""Einsum against numpy, one module for all; equations that are none."""

from typing import Any

import numpy as np
import pytest

from protocol.errors import ConfigurationError
from publisher.compiler.emission import emit
from publisher.compiler.graph import Graph, Node, Value
from tests.support.single_nodes import Constant, Single, Table

RNG = np.random.default_rng(10)


def floats(*shape: int, dtype: str = "float32") -> Any:
    return RNG.standard_normal(shape).astype(dtype)


def single(equation: str, *inputs: Any) -> Single:
    return Single("Einsum", *inputs, equation=equation, expected=lambda *given: np.einsum(equation, *given))


A, B = floats(2, 3, 5, 4), floats(2, 3, 6, 4)
TABLE = Table(
    {
        "scores": single("bhid,bhjd->bhij", A, B),
        "of positions": single("bhid,ijd->bhij", A, floats(5, 6, 4)),
        "by a constant": single("bhid,de->bhie", A, Constant(floats(4, 7))),
        "of three": single("ij,jk,kl->il", floats(3, 4), floats(4, 5), floats(5, 2)),
        "with ellipses": single("...ij,...jk->...ik", A, floats(1, 3, 4, 2)),
        "inner": single("i,i", floats(9), floats(9)),
        "outer, in order of letters": single("z,a", floats(3), floats(4)),
        "sum": single("bij->b", floats(2, 3, 4)),
        "transposed": single("ij->ji", floats(2, 3)),
        "diagonals": single("...ii->...i", floats(2, 3, 3)),
        "trace": single("ii", floats(4, 4)),
        "sum of one": single("ij,jk->k", floats(3, 4), floats(4, 2)),
        "float64": single("ij,jk->ki", floats(3, 4, dtype="float64"), floats(4, 2, dtype="float64")),
        "integers": single("ij,jk->ik", np.int32([[1, -2], [3, 4]]), np.int32([[5], [-6]])),
    }
)


@pytest.mark.parametrize("name", TABLE.cases)
def test_answers_as_numpy_does(name: str) -> None:
    TABLE.check(name)


@pytest.mark.parametrize(
    "equation",
    ["ij", "ij,jk->iz", "ij,jk->ii", "i,jk->i", "ij,jk,kl->il", "i%,jk->ik", "...,...->....", "ij,ik->jk", ""],
)
def test_an_equation_that_does_not_fit_is_refused(equation: str) -> None:
    values = {
        "a": Value("a", "float32", (2, 3)),
        "b": Value("b", "float32", (3, 4)),
        "c": Value("c", "float32", (2, 4)),
    }
    node = Node("Einsum", ("a", "b"), ("c",), {"equation": equation}, version=12)
    with pytest.raises(ConfigurationError, match="Einsum"):
        emit(Graph((node,), values, ("a", "b"), ("c",)))
