"""Small ONNX models for tests of what is done with models: building, describing, running."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CLASSES = ("benign", "malignant", "unsure")


def classifier(seed: int = 3) -> onnx.ModelProto:
    """`readings` [N, 6] to `probabilities` [N, 3]."""
    random = np.random.default_rng(seed)
    shapes = {"W": (6, 8), "b": (8,), "V": (8, 3), "c": (3,)}
    weights = [
        numpy_helper.from_array(random.normal(size=shape).astype(np.float32), name) for name, shape in shapes.items()
    ]
    nodes = [
        helper.make_node("Gemm", ["readings", "W", "b"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("Gemm", ["r", "V", "c"], ["s"]),
        helper.make_node("Softmax", ["s"], ["probabilities"], axis=1),
    ]
    return model(nodes, {"readings": ["N", 6]}, {"probabilities": ["N", 3]}, weights)


def model(
    nodes: list[onnx.NodeProto],
    inputs: dict[str, list[int | str]],
    outputs: dict[str, list[int | str]],
    weights: list[onnx.TensorProto] | None = None,
) -> onnx.ModelProto:
    """A model of float32 tensors."""
    given, answered = (
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in each.items()]
        for each in (inputs, outputs)
    )
    graph = helper.make_graph(nodes, "g", given, answered, weights or [])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
