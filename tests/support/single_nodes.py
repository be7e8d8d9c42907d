"""Tables of single nodes: all of a table make one module, and each is compared with onnxruntime by itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, helper

from tests.support.compiling import OPSET, by_onnxruntime, close, compiled, graph_of, model_of, together
from tests.support.examples import is_quick

Array = NDArray[Any]
QUICK_CASES = 2


@dataclass(frozen=True)
class Constant:
    """An input that the model holds."""

    data: Array


def const(*numbers: float, dtype: str = "int64") -> Constant:
    """A constant list."""
    return Constant(np.array(numbers, dtype))


class Single:
    """A node and what goes in. None is an input that is left out; `expected` stands for onnxruntime."""

    def __init__(
        self,
        operator: str,
        *inputs: Array | Constant | None,
        outputs: int = 1,
        expected: Callable[..., Array] | None = None,
        **attributes: Any,
    ) -> None:
        self.operator, self.inputs, self.outputs, self.attributes = operator, inputs, outputs, attributes
        self._expected = expected

    def model(self, opset: int) -> ModelProto:
        """The node alone: inputs i0, i1, …, outputs o0, o1, …"""
        names = [f"i{number}" if each is not None else "" for number, each in enumerate(self.inputs)]
        outputs = [f"o{number}" for number in range(self.outputs)]
        constants = {f"i{at}": each.data for at, each in enumerate(self.inputs) if isinstance(each, Constant)}
        node = helper.make_node(self.operator, names, outputs, **self.attributes)
        like = {} if self._expected is None else {"o0": self.answers(opset)[0]}
        return model_of([node], self.given, outputs, constants, opset, like)

    @property
    def given(self) -> dict[str, Array]:
        """What the model is called with."""
        arrays = enumerate(
            each if isinstance(each, Constant) or each is None else np.asarray(each) for each in self.inputs
        )
        return {f"i{at}": each for at, each in arrays if isinstance(each, np.ndarray)}

    def answers(self, opset: int) -> list[Array]:
        """What is right."""
        if self._expected is None:
            return by_onnxruntime(self.model(opset), self.given)
        arrays = [each.data if isinstance(each, Constant) else each for each in self.inputs if each is not None]
        return [np.asarray(self._expected(*arrays))]


class Table:
    """Nodes by name: in the default run the first two of each operator, since all of them take long to compile.

    The module is made when the first answer is asked for.
    """

    def __init__(self, cases: Mapping[str, Single], opset: int = OPSET) -> None:
        self.cases, self._opset = _some(cases) if is_quick() else cases, opset
        self._found: dict[str, list[Array]] = {}
        self._tried = False

    def check(self, name: str, tolerance: float = 1e-6) -> None:
        """Compare a case's outputs, floats relative to the output's range."""
        if not self._tried:
            self._tried = True
            self._found = self._answers()
        assert self._found, "the table's module could not be made: see the first failure"
        for one, other in zip(self._found[name], self.cases[name].answers(self._opset), strict=True):
            close(one, other, tolerance, name)

    def _answers(self) -> dict[str, list[Array]]:
        graphs = [graph_of(case.model(self._opset)) for case in self.cases.values()]
        given = [
            case.given[name] for case, graph in zip(self.cases.values(), graphs, strict=True) for name in graph.inputs
        ]
        answers = iter(compiled(together(graphs))(given))
        return {name: [next(answers) for _ in range(case.outputs)] for name, case in self.cases.items()}


def _some(cases: Mapping[str, Single]) -> Mapping[str, Single]:
    """The first of each operator, and the second: often one way round and the other."""
    by_operator: dict[str, list[str]] = {}
    for name, case in cases.items():
        by_operator.setdefault(case.operator, []).append(name)
    return {name: cases[name] for names in by_operator.values() for name in names[:QUICK_CASES]}
