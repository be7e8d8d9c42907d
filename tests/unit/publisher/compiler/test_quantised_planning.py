"""Quantised models become integer operators, which answer as the model would if it were computed as it is written."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import NodeProto, helper

from publisher.compiler.graph import Graph
from publisher.compiler.importing import import_model
from publisher.compiler.planning import planned
from publisher.compiler.planning.liveness import QUANTA_IN_PLACE, shared
from tests.support.compiling import compiled, model_of

Array = NDArray[Any]
RNG = np.random.default_rng(7)
SCALE = 0.05


class Written:
    """A model in QDQ form, written down node by node."""

    def __init__(self, **inputs: Array) -> None:
        self.inputs = inputs
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, Array] = {}
        self.outputs: list[str] = []

    def constant(self, data: Any) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(data)
        return name

    def node(self, operator: str, *inputs: str, count: int = 1, **attributes: Any) -> str:
        names = [f"v{len(self.nodes)}.{each}" for each in range(count)]
        self.nodes.append(helper.make_node(operator, inputs, names, **attributes))
        return names[0]

    def quanta(self, real: str, scale: float = SCALE, zero: int = 128, dtype: str = "uint8") -> str:
        """Quantise and dequantise."""
        given = (self.constant(np.float32(scale)), self.constant(np.asarray(zero, dtype)))
        return self.node("DequantizeLinear", self.node("QuantizeLinear", real, *given), *given)

    def weights(self, *shape: int, axis: int | None = 0) -> str:
        """Dequantised int8 constants, with a scale for each channel."""
        scale = np.float32(0.01) if axis is None else (RNG.random(shape[axis]) * 0.01 + 0.002).astype(np.float32)
        data = self.constant(RNG.integers(-127, 128, shape).astype(np.int8))
        zero = np.zeros(scale.shape, np.int8)
        return self.node("DequantizeLinear", data, self.constant(scale), self.constant(zero), axis=axis or 0)

    def output(self, name: str) -> None:
        self.outputs.append(name)

    def model(self) -> onnx.ModelProto:
        return model_of(self.nodes, self.inputs, self.outputs, self.constants)

    def graph(self) -> Graph:
        return planned(import_model(self.model().SerializeToString()))

    def operators(self) -> set[str]:
        return {node.operator for node in self.graph().nodes}

    def check(self, quantum: float = SCALE, differing: float = 0.01) -> None:
        """As onnxruntime answers without making integer operators: one quantum off at most, and that seldom."""
        for found, wanted in zip(compiled(self.model())(self.inputs), as_written(self), strict=True):
            assert len(np.unique(wanted)) > 3
            error = np.abs(found - wanted)
            assert error.max() <= quantum * 1.001
            assert np.mean(error > quantum / 100) <= differing


def as_written(written: Written) -> Sequence[Array]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(written.model().SerializeToString(), options)
    return [np.asarray(each) for each in session.run(None, dict(written.inputs))]


def image(*shape: int) -> Array:
    return RNG.normal(size=shape).astype(np.float32)


@pytest.mark.slow
def test_convolutions_with_what_follows_them() -> None:
    written = Written(x=image(1, 8, 10, 9))
    x = written.quanta("x")
    relu = written.node("Relu", written.node("Conv", x, written.weights(16, 8, 3, 3), pads=[1, 1, 1, 1]))
    first = written.quanta(relu, SCALE, 3)
    bias = written.constant(RNG.normal(size=24).astype(np.float32))
    conv = written.node("Conv", first, written.weights(24, 16, 1, 1), bias)
    clip = written.node("Clip", conv, written.constant(np.float32(-1)), written.constant(np.float32(2)))
    second = written.quanta(clip, SCALE, -4, "int8")
    deep = written.node("Conv", second, written.weights(24, 1, 3, 3), group=24, pads=[1, 1, 1, 1])
    written.output(written.quanta(deep))
    assert written.operators() <= {"QuantizeLinear", "Transpose", "Reshape", "qlinear_conv", "DequantizeLinear"}
    written.check()


@pytest.mark.slow
def test_sums_products_means_and_joined_tensors() -> None:
    written = Written(x=image(1, 8, 6, 6), y=image(1, 8, 6, 6), z=image(8, 1, 1))
    x, y, z = written.quanta("x"), written.quanta("y", 0.03, -5, "int8"), written.quanta("z", 0.02, 100)
    written.output(written.quanta(written.node("Add", x, y), 0.0413, 120))
    written.output(written.quanta(written.node("Mul", z, x), 0.0413, 120))
    written.output(written.quanta(written.node("Concat", x, y, axis=1), 0.03, 120))
    written.output(written.quanta(written.node("GlobalAveragePool", x), 0.01, 128))
    pool = {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 1]}
    written.output(written.quanta(written.node("AveragePool", y, count_include_pad=1, **pool), 0.0237, 0, "int8"))
    written.output(written.quanta(written.node("AveragePool", y, count_include_pad=0, **pool), 0.0237, 0, "int8"))
    dilated = written.node("AveragePool", y, kernel_shape=[2, 2], dilations=[2, 3])
    written.output(written.quanta(dilated, 0.0237, 0, "int8"))
    kinds = {
        "average_pool",
        "QLinearAdd",
        "QLinearMul",
        "QLinearConcat",
        "qlinear_average_pool",
        "qlinear_global_average_pool",
    }
    assert kinds <= written.operators()
    written.check(differing=0.02)


@pytest.mark.slow
def test_functions_of_one_element_are_looked_up() -> None:
    written = Written(x=image(3, 50))
    x = written.quanta("x", 0.02, 100)
    half = written.constant(np.float32(0.5))
    for real in (
        written.node("Sigmoid", x),
        written.node("Mul", x, written.node("Sigmoid", x)),
        written.node("HardSwish", x),
        written.node("LeakyRelu", x, alpha=0.2),
        written.node("Tanh", written.node("Add", x, half)),
        written.node("Relu", x),
        written.node("Clip", x, "", half),
        written.node("Log", x),
    ):
        written.output(written.quanta(real, 0.01, 128))
    assert written.operators() == {"QuantizeLinear", "DequantizeLinear", "quantised.lookup"}
    written.check(0.01)


def test_functions_one_after_the_other_are_one_look_up() -> None:
    written = Written(x=image(3, 50), y=image(3, 50))
    total = written.quanta(written.node("Add", written.quanta("x"), written.quanta("y")), 0.0413)
    scaled = written.quanta(written.node("Mul", total, written.quanta(written.constant(np.float32(0.7)))), 0.03)
    written.output(written.quanta(written.node("Sigmoid", scaled), 0.004, 0))
    names = [node.operator for node in written.graph().nodes]
    assert names.count("quantised.lookup") == names.count("QLinearAdd") == 1
    assert "QLinearMul" not in names
    written.check(0.02)


def test_what_moves_quanta_stays_a_move() -> None:
    written = Written(x=image(1, 4, 6, 6))
    x = written.quanta("x")
    moved = written.quanta(written.node("Transpose", x, perm=[0, 2, 3, 1]))
    shape = written.constant(np.array([6, 24]))
    written.output(written.quanta(written.node("Reshape", moved, shape)))
    written.output(written.quanta(written.node("MaxPool", x, kernel_shape=[2, 2])))
    # Clipped, and under another scale: not the same quanta.
    written.output(written.quanta(written.node("Relu", written.node("Reshape", x, shape))))
    written.output(written.quanta(written.node("Reshape", x, shape), 0.04, 128))
    found = [written.graph().nodes, {node.operator for node in written.graph().nodes}]
    assert "Transpose" in found[1]
    written.check()


def test_bytes_are_interpolated_as_reals() -> None:
    written = Written(x=image(1, 2, 5, 6))
    given = (written.constant(np.float32(SCALE)), written.constant(np.uint8(120)))
    factors = written.constant(np.float32([1, 1, 1.7, 2]))
    wider = written.node("Resize", written.node("QuantizeLinear", "x", *given), "", factors, mode="linear")
    written.output(written.node("DequantizeLinear", wider, *given))
    assert [node.operator for node in written.graph().nodes].count("Cast") == 2
    written.check()


def test_quanta_are_computed_in_the_place_of_an_operand() -> None:
    """Of values that nobody else reads: as the left operand, as the right one, and of a function."""
    written = Written(x=image(3, 41), y=image(3, 41))
    x, y = written.quanta("x", 0.06, 131), written.quanta("y", 0.03, -5, "int8")
    first = written.quanta(written.node("Add", x, y), 0.0713, 120)
    second = written.quanta(written.node("Mul", y, first), 0.0713, 120)
    written.output(written.quanta(written.node("Tanh", second), 0.0079, 120))
    graph = written.graph()
    in_place = {node.outputs[0] for node in graph.nodes if node.operator in QUANTA_IN_PLACE}
    assert len(in_place) == 3
    assert in_place <= shared(graph).keys()
    written.check(0.0713, differing=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [1.0, 0.5])
def test_products_of_matrices_and_their_biases(alpha: float) -> None:
    written = Written(x=image(5, 24), y=image(24, 7))
    x, y = written.quanta("x", 0.03, 120), written.quanta("y", 0.03, 1, "int8")
    written.output(written.quanta(written.node("MatMul", x, y), 0.2, 128))
    bias = written.constant(RNG.normal(size=11).astype(np.float32))
    right = written.weights(11, 24)
    gemm = written.node("Gemm", x, right, bias, transB=1, alpha=alpha)
    written.output(written.quanta(gemm, 0.1, 128))
    assert written.operators() == {"QuantizeLinear", "DequantizeLinear", "QLinearMatMul", "quantised.gemm"}
    written.check(0.2)


@pytest.mark.slow
def test_reals_come_out_of_integer_products_where_nothing_quantises_them() -> None:
    written = Written(x=image(1, 8, 5, 5), a=image(4, 24))
    bias = written.constant(RNG.normal(size=12).astype(np.float32))
    written.output(written.node("Conv", written.quanta("x"), written.weights(12, 8, 3, 3), bias))
    a = written.quanta("a", 0.03, 120)
    written.output(written.node("Add", written.node("MatMul", a, written.weights(24, 12, axis=1)), bias))
    written.output(written.node("Gemm", a, written.weights(24, 12, axis=1), bias))
    names = [node.operator for node in written.graph().nodes]
    assert names.count("quantised.conv_last") == 1
    assert names.count("quantised.matmul") == 2
    written.check(1e-5, differing=1)


def test_dynamic_quantisation() -> None:
    written = Written(x=image(6, 24), y=image(1, 6, 8, 8))
    zero = written.constant(np.int8(0))
    for name, operator, shape, bias in (
        ("x", "MatMulInteger", (24, 12), (12,)),
        ("y", "ConvInteger", (10, 6, 3, 3), (1, 10, 1, 1)),
    ):
        w = written.constant(RNG.integers(-127, 128, shape).astype(np.int8))
        quantum = written.node("DynamicQuantizeLinear", name, count=3)
        scale, point = quantum.replace(".0", ".1"), quantum.replace(".0", ".2")
        sums = written.node(operator, quantum, w, point, zero)
        real = written.node("Cast", sums, to=onnx.TensorProto.FLOAT)
        scaled = written.node("Mul", real, written.node("Mul", scale, written.constant(np.float32(0.01))))
        written.output(written.node("Add", scaled, written.constant(RNG.normal(size=bias).astype(np.float32))))
    names = {node.operator for node in written.graph().nodes}
    assert names <= {"DynamicQuantizeLinear", "quantised.matmul", "quantised.conv_last", "Transpose"}
    assert [node.operator for node in written.graph().nodes].count("Transpose") == 2
    written.check(1e-5, differing=1)


@pytest.mark.parametrize("block", [0, 8])
def test_weights_alone_become_reals(block: int) -> None:
    written = Written(x=image(3, 24))
    blocks = written.constant(RNG.integers(-127, 128, (24, 12)).astype(np.int8))
    scales = written.constant((RNG.random((3, 12)) + 0.1).astype(np.float32))
    blocked = written.node("DequantizeLinear", blocks, scales, axis=0, block_size=8)
    written.output(written.node("MatMul", "x", blocked if block else written.weights(24, 12, axis=1)))
    graph = written.graph()
    assert [node.operator for node in graph.nodes] == ["MatMul"]
    assert graph.constant(graph.nodes[0].inputs[1]) is not None
    written.check(1e-5 * (60 if block else 1), differing=1)


def test_a_result_that_is_read_twice_is_computed_once() -> None:
    written = Written(x=image(1, 8, 5, 5))
    conv = written.node("Conv", written.quanta("x"), written.weights(12, 8, 3, 3))
    written.output(conv)
    written.output(written.quanta(conv))
    names = [node.operator for node in written.graph().nodes]
    assert names.count("quantised.conv_last") == 1
    assert "qlinear_conv" not in names
    written.check()
