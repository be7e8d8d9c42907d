"""The node tests that the `onnx` package carries, made in memory by its own code, as models that devices could run.

Among them are those whose tensors are all float32, float64, integers or booleans; tests of strings, sequences,
optionals, and of floats of 16 bits or fewer are not counted. Where a test hands an operator's parameters (axes,
shapes, k, pads, …) to the graph at run time, they are bound as constants with the test's own data: that is how
exporters write models, and what fixed shapes need. So are a convolution's weights.
"""

import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from onnx.backend.test.case import node as node_tests
from onnx.backend.test.case.test_case import TestCase

from publisher.compiler.graph import C_TYPES

DATA = Path(onnx.__file__).parent / "backend" / "test" / "data"
PARAMETERS = {
    operator: places
    for operators, places in (
        ("Reshape Expand Tile Squeeze Unsqueeze Split TopK OneHot Upsample", (1,)),
        ("CumSum CumProd Trilu CenterCropPad AffineGrid Compress DFT Col2Im Dropout", (1, 2)),
        ("ConstantOfShape If BlackmanWindow HammingWindow HannWindow", (0,)),
        ("Slice Resize NonMaxSuppression", (1, 2, 3, 4)),
        ("Range MelWeightMatrix Loop", (0, 1, 2, 3, 4)),
        ("Pad STFT RotaryEmbedding", (1, 3)),
        ("MaxUnpool", (2,)),
        ("QLinearConv QLinearMatMul", (1, 2, 4, 5, 6, 7)),
    )
    for operator in operators.split()
}
"""Which inputs of an operator decide shapes or what is computed. Besides, those of all reductions."""
LEAST_ATOL = {"DFT": 1e-6}
"""What some tests expect is rounded at each stage of a fast transform: off by 2e-7 where the answer is 0."""
WEIGHTS = {"Conv": (1, 2), "ConvTranspose": (1, 2), "CausalConvWithState": (1, 2)}
MAX_BOUND = 64
"""A parameter is a number or a short list. Weights are of any shape."""


@dataclass(frozen=True)
class Case:
    """A test: the operator that it is of, a model, what goes in and what is to come out."""

    name: str
    operator: str
    model: onnx.ModelProto
    inputs: dict[str, NDArray[Any]]
    outputs: list[NDArray[Any]]
    rtol: float
    atol: float


def collect(only: str = "") -> list[Case]:
    """All tests, or those in whose name or operator the expression is found."""
    with warnings.catch_warnings():
        # Tests of overflow and of division by zero say so while numpy computes what they expect.
        warnings.simplefilter("ignore")
        found = node_tests.collect_testcases(None)
    return list(_chosen(found, only))


def collect_of(*modules: str) -> list[Case]:
    """The tests of some of the package's files, e.g. "slice", which is quicker than making all."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        names = [import_module(f"{node_tests.__name__}.{module}").__name__ for module in modules]
    del names
    return list(_chosen(node_tests._NodeTestCases, ""))


def exported() -> list[Case]:
    """The small models that PyTorch exported long ago, with what they answered: files of the same package."""
    folders = (DATA / kind for kind in ("pytorch-converted", "pytorch-operator"))
    return [_stored(model.parent) for folder in folders for model in sorted(folder.glob("*/model.onnx"))]


def _stored(folder: Path) -> Case:
    model = onnx.load(folder / "model.onnx")
    inputs = {info.name: _array(folder, f"input_{number}") for number, info in enumerate(model.graph.input)}
    given = {name: each for name, each in inputs.items() if each is not None}
    outputs = [_array(folder, f"output_{number}") for number in range(len(model.graph.output))]
    return Case(folder.name, folder.name, model, given, [each for each in outputs if each is not None], 1e-3, 1e-5)


def _array(folder: Path, name: str) -> NDArray[Any] | None:
    path = folder / "test_data_set_0" / f"{name}.pb"
    return numpy_helper.to_array(onnx.TensorProto.FromString(path.read_bytes())) if path.exists() else None


def _chosen(found: list[TestCase], only: str) -> Iterator[Case]:
    operators = {each.name: _operator(each) for each in found}
    for each in found:
        operator = operators.get(each.name.split("_expanded")[0], operators[each.name])
        if _in_scope(each) and re.search(only, f"{each.name} {operator}", re.IGNORECASE):
            yield _case(each, operator)


def _operator(test: TestCase) -> str:
    node = test.model.graph.node[0]
    return f"ml.{node.op_type}" if node.domain == "ai.onnx.ml" else node.op_type


def _in_scope(test: TestCase) -> bool:
    infos = (*test.model.graph.input, *test.model.graph.output)
    arrays = [each for pair in test.data_sets for half in pair for each in half]
    return all(info.type.HasField("tensor_type") for info in infos) and all(
        isinstance(each, np.ndarray | np.generic) and np.asarray(each).dtype.name in C_TYPES for each in arrays
    )


def _case(test: TestCase, operator: str) -> Case:
    ((inputs, outputs),) = test.data_sets
    model = onnx.ModelProto.FromString(test.model.SerializeToString())
    given = {info.name: np.asarray(each) for info, each in zip(model.graph.input, inputs, strict=True)}
    bound = {name for name in _origins(model.graph, _parameters_of) if name in given and _is_short(given[name])}
    bound |= {
        name for name in _origins(model.graph, _weights_of) if name in given and name != model.graph.input[0].name
    }
    for info in [each for each in model.graph.input if each.name in bound]:
        model.graph.input.remove(info)
        model.graph.initializer.append(numpy_helper.from_array(given.pop(info.name), info.name))
    atol = max(test.atol, LEAST_ATOL.get(operator, 0.0))
    return Case(test.name, operator, model, given, [np.asarray(each) for each in outputs], test.rtol, atol)


def _origins(graph: onnx.GraphProto, inputs_of: Callable[[onnx.NodeProto], list[str]]) -> set[str]:
    """The values from which some inputs are computed, without those of which only the shape is read."""
    makers = {name: each for each in graph.node for name in each.output}
    waiting = [name for each in graph.node for name in inputs_of(each)]
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            maker = makers.get(name)
            waiting += [] if maker is None or maker.op_type in {"Shape", "Size"} else maker.input
    return found


def _parameters_of(node: onnx.NodeProto) -> list[str]:
    places = (1,) if node.op_type.startswith("Reduce") else PARAMETERS.get(node.op_type, ())
    return [name for place, name in enumerate(node.input) if place in places and name]


def _weights_of(node: onnx.NodeProto) -> list[str]:
    return [name for place, name in enumerate(node.input) if place in WEIGHTS.get(node.op_type, ()) and name]


def _is_short(array: NDArray[Any]) -> bool:
    return array.ndim <= 1 and array.size <= MAX_BOUND
