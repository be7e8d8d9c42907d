"""What follows a product is computed with it, and nothing else becomes of the answer; what must not be fused stays."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from onnx import helper

from tests.support.compiling import against_onnxruntime, graph_of, model_of

RNG = np.random.default_rng(5)
Nodes = list[onnx.NodeProto]
node = helper.make_node


def floats(*shape: int) -> Any:
    return RNG.standard_normal(shape).astype("float32")


X = floats(1, 6, 7, 9)
CONSTANTS = {
    "w": floats(10, 6, 3, 3),
    "b": floats(10),
    "channel": np.abs(floats(10, 1, 1)) + 1,
    "half": np.float32(0.5),
    "zero": np.float32(0),
    "six": np.float32(6),
    "three": np.float32([3]),
    "slope": floats(10, 1, 1),
    "scale": floats(10),
    "shift": floats(10),
    "mean": floats(10),
    "variance": np.abs(floats(10)) + 0.1,
    "v": floats(10, 10, 1, 1),
    "d": floats(10, 1, 3, 3),
    "narrow": floats(3, 10, 1, 1),
}


def model(nodes: Sequence[onnx.NodeProto], *outputs: str) -> onnx.ModelProto:
    everything = [node("Conv", ["x", "w", "b"], ["c"], pads=[1] * 4), *nodes]
    used = {name for each in everything for name in each.input}
    constants = {name: data for name, data in CONSTANTS.items() if name in used}
    return model_of(everything, {"x": X}, outputs, constants)


def operators(nodes: Sequence[onnx.NodeProto], *outputs: str) -> Counter[str]:
    """The operators that are left, without what moves channels at the borders."""
    kept = Counter(each.operator for each in graph_of(model(nodes, *outputs)).nodes)
    del kept["Transpose"], kept["Reshape"]
    return kept


HARD_SWISH = [
    node("Add", ["c", "three"], ["1"]),
    node("Clip", ["1", "zero", "six"], ["2"]),
    node("Mul", ["c", "2"], ["3"]),
    node("Div", ["3", "six"], ["y"]),
]
FUSED: dict[str, Nodes] = {
    "relu": [node("Relu", ["c"], ["y"])],
    "sigmoid, by the other": [node("Sigmoid", ["c"], ["s"]), node("Mul", ["c", "s"], ["y"])],
    "hard swish in parts": HARD_SWISH,
    "hard swish": [node("HardSwish", ["c"], ["y"])],
    "leaky": [node("LeakyRelu", ["c"], ["y"], alpha=0.2)],
    "slopes": [node("PRelu", ["c", "slope"], ["y"])],
    "clip without end": [node("Clip", ["c", "", "half"], ["y"])],
    "normalisation": [
        node("BatchNormalization", ["c", "scale", "shift", "mean", "variance"], ["n"]),
        node("Relu", ["n"], ["y"]),
    ],
    "factors and summands": [
        node("Mul", ["half", "c"], ["1"]),
        node("Add", ["1", "channel"], ["2"]),
        node("Sub", ["2", "three"], ["3"]),
        node("Div", ["3", "channel"], ["4"]),
        node("Tanh", ["4"], ["y"]),
    ],
    "a sum of three": [node("Sum", ["c", "channel", "half"], ["y"])],
    "what is not commutative": [
        node("Sub", ["half", "c"], ["1"]),
        node("Sigmoid", ["1"], ["2"]),
        node("Add", ["2", "three"], ["3"]),
        node("Div", ["channel", "3"], ["y"]),
    ],
}


def test_each_becomes_one_step() -> None:
    """All in one module, each behind a convolution of its own."""
    together: Nodes = []
    for name, nodes in FUSED.items():
        assert operators(nodes, "y") == {"conv": 1}, name
        rename = {each: f"{name} {each}" for one in nodes for each in one.output} | {"c": f"{name} c"}
        together.append(node("Conv", ["x", "w", "b"], [f"{name} c"], pads=[1] * 4))
        for one in nodes:
            copied = onnx.NodeProto()
            copied.CopyFrom(one)
            copied.input[:] = [rename.get(each, each) for each in one.input]
            copied.output[:] = [rename[each] for each in one.output]
            together.append(copied)
    against_onnxruntime(model(together, *(f"{name} y" for name in FUSED)), {"x": X}, 2e-6)


STAYS: dict[str, tuple[Nodes, tuple[str, ...], dict[str, int]]] = {
    "what is an output too": ([node("Relu", ["c"], ["y"])], ("c", "y"), {"conv": 1, "Relu": 1}),
    "what somebody else reads": (
        [node("Relu", ["c"], ["y"]), node("GlobalMaxPool", ["c"], ["p"])],
        ("y", "p"),
        {"conv": 1, "Relu": 1, "global_max_pool": 1},
    ),
    "what cannot be told by channel": (
        [node("ReduceMax", ["c"], ["m"], keepdims=1), node("Add", ["c", "m"], ["1"]), node("Tanh", ["1"], ["y"])],
        ("y",),
        {"conv": 1, "ReduceMax": 1, "fused": 1},
    ),
    "what narrow products would do one by one": (
        [node("Conv", ["c", "narrow"], ["n"]), node("Tanh", ["n"], ["1"]), node("Neg", ["1"], ["y"])],
        ("y",),
        {"conv": 2, "fused": 1},
    ),
    "a broadcast that widens": (
        [node("GlobalMaxPool", ["c"], ["p"]), node("Add", ["p", "c"], ["1"]), node("Relu", ["1"], ["y"])],
        ("y",),
        {"conv": 1, "global_max_pool": 1, "fused": 1},
    ),
}


def test_the_first_convolution_joins_the_one_by_channel() -> None:
    nodes = [node("Relu", ["c"], ["r"]), node("Conv", ["r", "d"], ["y"], group=10, strides=[2, 2], pads=[1] * 4)]
    assert operators(nodes, "y") == {"chain": 1}
    against_onnxruntime(model(nodes, "y"), {"x": X}, 2e-6)


def test_a_product_is_fused_across_dimensions_of_one() -> None:
    """As onnxruntime leaves a product of matrices and its summand, in transformers."""
    a, b, more = floats(6, 7), floats(7, 8), floats(1, 6, 8)
    nodes = [
        node("Gemm", ["x", "b"], ["g"]),
        node("Reshape", ["g", "shape"], ["r"]),
        node("Add", ["r", "more"], ["s"]),
        node("Tanh", ["s"], ["y"]),
    ]
    constants = {"b": b, "shape": np.int64([1, 6, 8])}
    made = model_of(nodes, {"x": a, "more": more}, ["y"], constants)
    assert [each.operator for each in graph_of(made).nodes] == ["Gemm"]
    against_onnxruntime(made, {"x": a, "more": more}, 2e-6)


@pytest.mark.parametrize("name", STAYS)
def test_what_must_stay_stays(name: str) -> None:
    nodes, outputs, expected = STAYS[name]
    assert operators(nodes, *outputs) == expected


@pytest.mark.slow
def test_residuals_chains_and_what_stays_answer_as_onnxruntime_does() -> None:
    residual = [
        node("Conv", ["c", "v"], ["e"]),
        node("Clip", ["e", "zero", "six"], ["e6"]),
        node("Conv", ["e6", "d"], ["m"], group=10, pads=[1] * 4),
        node("Relu", ["m"], ["mr"]),
        node("Conv", ["mr", "v"], ["n"]),
        node("Add", ["n", "c"], ["sum"]),
        node("LeakyRelu", ["sum"], ["y"]),
    ]
    assert operators(residual, "y") == {"conv": 1, "chain": 1}
    nodes, outputs = list(residual), ["y"]
    for number, (others, names, _) in enumerate(STAYS.values()):
        rename = {each: f"{number} {each}" for one in others for each in one.output}
        for one in others:
            one.input[:] = [rename.get(each, each) for each in one.input]
            one.output[:] = [rename[each] for each in one.output]
        nodes += others
        outputs += [rename[each] for each in names if each in rename]
    against_onnxruntime(model(nodes, *outputs), {"x": X}, 2e-6)


UNARY = ("Relu", "Sigmoid", "Neg", "Abs", "HardSigmoid")
BINARY = ("Add", "Mul", "Sub")
OPERANDS = ("c", "half", "channel", "pooled", "whole")


@pytest.mark.slow
@settings(max_examples=20, deadline=None, phases=[Phase.generate])
@given(st.data())
def test_any_graph_of_such_operators_answers_the_same(data: st.DataObject) -> None:
    """A dozen operators, each reading whatever was computed before it, at a few outputs."""
    nodes = [node("GlobalMaxPool", ["c"], ["pooled"]), node("Conv", ["x", "w"], ["whole"], pads=[1] * 4)]
    names = list(OPERANDS)
    for number in range(12):
        operator = data.draw(st.sampled_from(UNARY + BINARY))
        wide = data.draw(st.sampled_from([each for each in names if each not in {"half", "channel", "pooled"}]))
        operands = [wide] if operator in UNARY else [wide, data.draw(st.sampled_from(names))]
        names.append(f"t{number}")
        nodes.append(node(operator, data.draw(st.permutations(operands)), [names[-1]]))
    outputs = data.draw(st.lists(st.sampled_from(names[5:]), min_size=1, max_size=3, unique=True))
    against_onnxruntime(model(nodes, *outputs), {"x": X}, 1e-5)
