"""Reals to quanta and back: every type and form, halves, infinities, NaN and what is out of range."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from protocol.errors import ConfigurationError
from publisher.compiler.importing import import_model
from tests.support.compiling import by_onnxruntime, compiled, model_of

RNG = np.random.default_rng(17)
EDGES = np.float32(
    [0, -0.0, 0.5, 1.5, 2.5, -0.5, -1.5, 127.5, 128.5, 254.5, 255.5, 1e9, -1e9, 3e38, -3e38, np.inf, -np.inf]
)
X = np.concatenate([EDGES, RNG.normal(size=110).astype(np.float32) * 90]).reshape(127, 1)
WIDE = np.repeat(X, 6, axis=1).reshape(127, 2, 3)


def test_each_type_is_made_as_onnxruntime_makes_it() -> None:
    nodes, constants, outputs = [], {"one": np.float32(1), "third": np.float32(1 / 3)}, []
    for dtype, zero in (("uint8", 0), ("uint8", 128), ("int8", -7), ("uint16", 30000), ("int16", -5)):
        for scale in ("one", "third"):
            at = f"{dtype}{zero}{scale}"
            constants[f"{at}.zero"] = np.asarray(zero, dtype)
            nodes.append(helper.make_node("QuantizeLinear", ["x", scale, f"{at}.zero"], [at]))
            nodes.append(helper.make_node("DequantizeLinear", [at, scale, f"{at}.zero"], [f"{at}.real"]))
            outputs += [at, f"{at}.real"]
    model = model_of(nodes, {"x": X}, outputs, constants)
    for name, found, wanted in zip(outputs, compiled(model)([X]), by_onnxruntime(model, {"x": X}), strict=True):
        np.testing.assert_array_equal(found, wanted, name)


def test_axes_and_blocks_have_scales_of_their_own() -> None:
    scales = (RNG.random((2,)) + 0.1).astype(np.float32)
    blocks = (RNG.random((127, 2, 1)) + 0.1).astype(np.float32)
    constants = {"s": scales, "z": np.array([3, 200], np.uint8), "b": blocks, "zb": np.full((127, 2, 1), -3, np.int8)}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], axis=1),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["r"], axis=1),
        helper.make_node("QuantizeLinear", ["x", "b", "zb"], ["qb"], axis=2, block_size=3),
        helper.make_node("DequantizeLinear", ["qb", "b", "zb"], ["rb"], axis=2, block_size=3),
        helper.make_node("QuantizeLinear", ["x", "s"], ["plain"], axis=-2),
    ]
    outputs = ["q", "r", "qb", "rb", "plain"]
    model = model_of(nodes, {"x": WIDE}, outputs, constants)
    for name, found, wanted in zip(outputs, compiled(model)([WIDE]), by_onnxruntime(model, {"x": WIDE}), strict=True):
        np.testing.assert_array_equal(found, wanted, name)


def test_ranges_are_found_as_the_model_runs() -> None:
    given = {"x": RNG.normal(size=(3, 7)).astype(np.float32), "low": -np.ones((5,), np.float32) * 3,
             "zero": np.zeros((2, 2), np.float32), "one": np.float32([[4.5]])}  # fmt: skip
    nodes = [
        helper.make_node("DynamicQuantizeLinear", [name], [f"{name}{each}" for each in range(3)]) for name in given
    ]
    outputs = [name for node in nodes for name in node.output]
    model = model_of(nodes, given, outputs)
    for name, found, wanted in zip(outputs, compiled(model)(given), by_onnxruntime(model, given), strict=True):
        np.testing.assert_array_equal(found, wanted, name)


def test_no_number_becomes_the_lowest_quantum() -> None:
    node = helper.make_node("QuantizeLinear", ["x", "s", "z"], ["y"])
    model = model_of([node], {"x": X[:9]}, ["y"], {"s": np.float32(1), "z": np.int8(5)})
    (found,) = compiled(model)([np.full_like(X[:9], np.nan)])
    assert set(found.reshape(-1)) == {-128}


@pytest.mark.parametrize("kind", [TensorProto.FLOAT8E4M3FN, TensorProto.INT4, TensorProto.UINT2])
def test_types_of_less_than_eight_bits_are_refused_in_words(kind: int) -> None:
    zero = helper.make_tensor("z", kind, [], [0])
    node = helper.make_node("QuantizeLinear", ["x", "s", "z"], ["y"])
    info = [helper.make_tensor_value_info(name, each, [4]) for name, each in (("x", TensorProto.FLOAT), ("y", kind))]
    graph = helper.make_graph([node], "g", info[:1], info[1:], [numpy_helper.from_array(np.float32(1), "s"), zero])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 25)], ir_version=13)
    onnx.checker.check_model(model)
    with pytest.raises(ConfigurationError) as refused:
        import_model(model.SerializeToString())
    assert len(refused.value.diagnostics) > 40


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_scales_are_positive_numbers(scale: float) -> None:
    given = ["x", "s", "z"]
    nodes = [
        helper.make_node("QuantizeLinear", given, ["q"]),
        helper.make_node("DequantizeLinear", ["q", *given[1:]], ["y"]),
    ]
    model = model_of(nodes, {"x": X}, ["y"], {"s": np.float32(scale), "z": np.uint8(0)})
    with pytest.raises(ConfigurationError, match="scale"):
        compiled(model)
