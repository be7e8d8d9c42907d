"""Pools that round up have as many windows as onnxruntime says, whatever the operator set."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from publisher.compiler.importing import import_model
from tests.support.compiling import against_onnxruntime, by_onnxruntime

CASES = {
    "one dimension drops a window": ((5, 3), {"kernel_shape": [3, 3], "strides": [3, 2], "pads": [1, 0, 1, 0]}),
    "both do": ((5, 5), {"kernel_shape": [3, 3], "strides": [3, 3], "pads": [1] * 4}),
    "one adds a window": ((7, 4), {"kernel_shape": [2, 2], "strides": [2, 2]}),
    "none does": ((6, 4), {"kernel_shape": [2, 2], "strides": [2, 2]}),
    "with holes": ((9, 9), {"kernel_shape": [2, 2], "strides": [4, 4], "pads": [1] * 4, "dilations": [2, 2]}),
}


def model(size: tuple[int, int], opset: int, **attributes: object) -> onnx.ModelProto:
    """A pool, and one behind it that rounds up too."""
    nodes = [
        helper.make_node("MaxPool", ["x"], ["p"], ceil_mode=1, **attributes),
        helper.make_node("AveragePool", ["p"], ["y"], kernel_shape=[1, 1], strides=[2, 2], ceil_mode=1),
    ]
    source = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, *size])
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", "c", f"h{name}", f"w{name}"]) for name in "py"
    ]
    graph = helper.make_graph(nodes, "g", [source], outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def image(size: tuple[int, int]) -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(1).standard_normal((1, 2, *size)).astype(np.float32)}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("opset", [13, 21, 22])
def test_shapes_are_those_of_onnxruntime(name: str, opset: int) -> None:
    size, attributes = CASES[name]
    made = model(size, opset, **attributes)
    graph = import_model(made.SerializeToString())
    expected = [each.shape for each in by_onnxruntime(made, image(size))]
    assert [graph.values[each].shape for each in graph.outputs] == expected


def test_answers_are_those_of_onnxruntime() -> None:
    size, attributes = CASES["one dimension drops a window"]
    against_onnxruntime(model(size, 13, **attributes), image(size), 1e-6)
