"""A model with its preprocessing inside answers raw inputs as the model answers preprocessed ones."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from protocol.errors import ConfigurationError
from publisher.compiler.preprocessing import Preprocessing, preprocessed

RANDOM = np.random.default_rng(5)
IMAGES = RANDOM.integers(0, 256, (1, 3, 4, 5)).astype(np.uint8)
MEAN, STD = (1.0, 20.0, 300.0), (2.0, 3.0, 5.0)


def image_model(opset: int = 13) -> onnx.ModelProto:
    """The mean of each channel, weighted; the input's name is the one that a careless rewrite would choose."""
    weights = numpy_helper.from_array(np.array([1, 10, 100], np.float32).reshape(3, 1, 1), "preprocessed_1")
    nodes = [
        helper.make_node("Mul", ["x", "preprocessed_1"], ["y"]),
        helper.make_node("GlobalAveragePool", ["y"], ["z"]),
    ]
    given = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 4, 5])]
    answered = [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["N", 3, 1, 1])]
    graph = helper.make_graph(nodes, "g", given, answered, [weights])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def run(model: onnx.ModelProto, x: NDArray[Any]) -> NDArray[Any]:
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: x})[0])


def test_raw_bytes_with_channels_last_are_what_normalised_floats_were() -> None:
    model = image_model()
    shape = (3, 1, 1)
    normalised = (IMAGES.astype(np.float32) - np.array(MEAN, np.float32).reshape(shape)) / np.array(
        STD, np.float32
    ).reshape(shape)
    step = Preprocessing("x", MEAN, STD, raw="uint8", channels_last=True)
    made = preprocessed(model, {"x": step})
    np.testing.assert_array_equal(run(made, IMAGES.transpose(0, 2, 3, 1)), run(model, normalised))
    assert [each.dim_value or each.dim_param for each in made.graph.input[0].type.tensor_type.shape.dim] == [
        "N",
        4,
        5,
        3,
    ]
    assert run(model, normalised).shape == (1, 3, 1, 1)
    assert model == image_model()


def test_one_number_stands_for_all_channels_and_nothing_changes_nothing() -> None:
    x = IMAGES.astype(np.float32)
    made = preprocessed(image_model(), {"x": Preprocessing("x", (4.0,), (2.0,))})
    np.testing.assert_array_equal(run(made, x), run(image_model(), (x - 4) / 2))
    same = preprocessed(image_model(), {"x": Preprocessing("x")})
    np.testing.assert_array_equal(run(same, x), run(image_model(), x))
    assert [node.op_type for node in same.graph.node] == ["Identity", "Mul", "GlobalAveragePool"]


@pytest.mark.parametrize(
    ("step", "opset", "words"),
    [
        (Preprocessing("y"), 13, "no input"),
        (Preprocessing("preprocessed_1"), 13, "no input"),
        (Preprocessing("x"), 6, "too old"),
    ],
)
def test_what_does_not_fit_is_refused(step: Preprocessing, opset: int, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        preprocessed(image_model(opset), {step.name: step})


def test_other_types_and_ranks_are_refused() -> None:
    model = image_model()
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64
    with pytest.raises(ConfigurationError, match="float32"):
        preprocessed(model, {"x": Preprocessing("x")})
    flat = image_model()
    del flat.graph.input[0].type.tensor_type.shape.dim[2:]
    with pytest.raises(ConfigurationError, match="channels last"):
        preprocessed(flat, {"x": Preprocessing("x", channels_last=True)})
