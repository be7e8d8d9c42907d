"""Channels are moved to the end where images are computed, once, and back only where somebody wants them so."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from publisher.compiler.graph import Graph, Node, Value
from publisher.compiler.planning.layout import MARK, channels_last, to_first, to_last
from tests.support.compiling import against_onnxruntime, graph_of, model_of

RNG = np.random.default_rng(6)
node = helper.make_node


def floats(*shape: int) -> Any:
    return RNG.standard_normal(shape).astype("float32")


X = floats(1, 4, 6, 8)
CONSTANTS = {
    "w": floats(8, 4, 3, 3),
    "v": floats(4, 8, 1, 1),
    "image": floats(1, 8, 6, 8),
    "row": floats(8),
    "pads": np.int64([0, 1, 2, 0, 0, 0, 1, 3]),
    "scales": np.float32([1, 1, 2, 2]),
    "axes": np.int64([1]),
    "spatial": np.int64([2, 3]),
    "parts": np.int64([3, 5]),
}
FIRST = node("Conv", ["x", "w"], ["c"], pads=[1] * 4)
CARRIED = [
    [node("Concat", ["c", "image"], ["y"], axis=1)],
    [node("Split", ["c", "parts"], ["y", "z"], axis=1)],
    [node("Softmax", ["c"], ["y"], axis=1)],
    [node("Pad", ["c", "pads"], ["y"])],
    [node("Resize", ["c", "", "scales"], ["y"], mode="nearest")],
    [node("ReduceMean", ["c", "axes"], ["y"])],
    [node("ReduceMax", ["c", "spatial"], ["y"])],
    [node("Mul", ["c", "row"], ["y"])],
    [node("Max", ["c", "image"], ["y"])],
    [node("Transpose", ["c"], ["y"], perm=[0, 2, 3, 1]), node("Transpose", ["y"], ["z"], perm=[0, 3, 1, 2])],
    [node("GlobalAveragePool", ["c"], ["y"]), node("Flatten", ["y"], ["z"])],
    [node("Where", ["c", "image", "c"], ["y"])],
]


def model(nodes: Sequence[onnx.NodeProto], *outputs: str) -> onnx.ModelProto:
    used = {name for each in nodes for name in each.input}
    constants = {name: data for name, data in CONSTANTS.items() if name in used}
    return model_of(nodes, {"x": X}, outputs, constants)


def moves(nodes: Sequence[onnx.NodeProto], *outputs: str) -> int:
    return Counter(each.operator for each in graph_of(model(nodes, *outputs)).nodes)["Transpose"]


@pytest.mark.parametrize("rank", [3, 4, 5])
def test_there_and_back_is_nothing(rank: int) -> None:
    there, back = to_last(rank), to_first(rank)
    assert tuple(there[each] for each in back) == tuple(range(rank))
    assert there[-1] == 1


@pytest.mark.parametrize("nodes", list(CARRIED[:9]), ids=lambda each: each[0].op_type)
def test_what_lies_between_images_is_carried_along(nodes: list[onnx.NodeProto]) -> None:
    """One way in and, for each output, one way back: a second convolution adds none."""
    last = node("GlobalMaxPool", [nodes[-1].output[0]], ["end"])
    assert moves([FIRST, *nodes, last], "end") == 1


def test_moving_by_the_model_itself_is_taken_back() -> None:
    """As models are written that came from frameworks with channels last."""
    nodes = [
        node("Transpose", ["x"], ["a"], perm=[0, 2, 3, 1]),
        node("Transpose", ["a"], ["b"], perm=[0, 3, 1, 2]),
        node("Conv", ["b", "w"], ["c"], pads=[1] * 4),
        node("Transpose", ["c"], ["y"], perm=[0, 2, 3, 1]),
    ]
    assert moves(nodes, "y") == 1


def test_each_answers_as_onnxruntime_does() -> None:
    nodes, outputs = [FIRST], []
    for number, group in enumerate(CARRIED):
        if group[0].op_type == "Where":
            nodes.append(node("Greater", ["c", "image"], ["bool"]))
            group[0].input[0] = "bool"
        for one in group:
            one.input[:] = [f"{number}{name}" if name in {"y", "z"} else name for name in one.input]
            one.output[:] = [f"{number}{name}" for name in one.output]
            outputs += one.output
        nodes += group
    nodes.append(node("Conv", ["c", "v"], ["last"]))
    against_onnxruntime(model(nodes, *outputs, "last", "c"), {"x": X}, 1e-6)


def test_names_of_the_model_are_not_taken() -> None:
    """A hostile name is that of a value of another shape, which must keep it."""
    shapes = {"x": (1, 3, 4, 5), "y": (1, 3, 4, 5), f"x{MARK}": (2,), f"x{MARK}'": (7,), "z": (2,)}
    values = {name: Value(name, "float32", shape) for name, shape in shapes.items()}
    nodes = (
        Node("MaxPool", ("x",), ("y",), {"kernel_shape": (1, 1)}),
        Node("Relu", (f"x{MARK}",), ("z",)),
    )
    graph = channels_last(Graph(nodes, values, ("x", f"x{MARK}", f"x{MARK}'"), ("y", "z")))
    for name, shape in shapes.items():
        assert graph.values[name].shape == shape
    assert len(graph.values) == len(shapes) + 2
