"""Whole models as onnxruntime's quantiser writes them, in all its formats, and its own operators one by one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from protocol.errors import ConfigurationError
from publisher.compiler.check import random_samples
from publisher.compiler.compiling import compile_model_untrusted
from publisher.compiler.emission import emit
from publisher.compiler.errors import MismatchError
from publisher.compiler.graph import Graph
from publisher.compiler.importing import import_model
from publisher.compiler.importing.wishes import Wishes
from publisher.compiler.planning import planned
from publisher.compiler.reference import Reference
from sealedge.operations.build_trial import Form, is_quantised, try_module
from tests.support.compiling import by_onnxruntime, compiled, model_of

Array = NDArray[Any]
RNG = np.random.default_rng(23)


def drawn(*shape: int, spread: float = 1.0) -> Array:
    return (RNG.normal(size=shape) * spread).astype(np.float32)


def network(seed: int = 0) -> onnx.ModelProto:
    """Every layer that small image models are made of."""
    random = np.random.default_rng(seed)
    nodes, constants = [], {"low": np.float32(0), "high": np.float32(6), "shape": np.array([1, -1])}

    def conv(x: str, count: int, channels: int, kernel: int, clipped: bool = True, **attributes: Any) -> str:
        name = f"c{len(nodes)}"
        fan = channels * kernel * kernel
        constants[f"{name}.w"] = (random.normal(size=(count, channels, kernel, kernel)) * (2 / fan) ** 0.5).astype("f4")
        constants[f"{name}.b"] = (random.normal(size=count) * 0.1).astype("f4")
        pads = [kernel // 2] * 4
        nodes.append(helper.make_node("Conv", [x, f"{name}.w", f"{name}.b"], [name], pads=pads, **attributes))
        if clipped:
            nodes.append(helper.make_node("Clip", [name, "low", "high"], [f"{name}.clip"]))
        return f"{name}.clip" if clipped else name

    first = conv("x", 16, 3, 3, strides=[2, 2])
    deep = conv(conv(first, 24, 16, 1), 24, 1, 3, group=24)
    back = conv(deep, 16, 24, 1, clipped=False)
    nodes.append(helper.make_node("Add", [first, back], ["sum"]))
    nodes.append(helper.make_node("Sigmoid", [conv("sum", 16, 16, 3, clipped=False)], ["gate"]))
    nodes.append(helper.make_node("Mul", ["sum", "gate"], ["gated"]))
    nodes.append(helper.make_node("Concat", ["gated", first], ["both"], axis=1))
    nodes.append(helper.make_node("MaxPool", ["both"], ["pool"], kernel_shape=[2, 2], strides=[2, 2]))
    nodes.append(helper.make_node("AveragePool", ["pool"], ["mean"], kernel_shape=[2, 2]))
    nodes.append(helper.make_node("GlobalAveragePool", ["mean"], ["whole"]))
    nodes.append(helper.make_node("Reshape", ["whole", "shape"], ["flat"]))
    constants["w"], constants["b"] = (random.normal(size=(10, 32)) * 0.3).astype("f4"), np.arange(10).astype("f4")
    nodes.append(helper.make_node("Gemm", ["flat", "w", "b"], ["y"], transB=1))
    return model_of(nodes, {"x": np.zeros((1, 3, 24, 24), np.float32)}, ["y"], constants, opset=17)


class Calibration:
    """Images, one after the other, as onnxruntime asks for them."""

    def __init__(self, images: list[Array]) -> None:
        self._left: Iterator[Array] = iter(images)

    def get_next(self) -> dict[str, Array] | None:
        image = next(self._left, None)
        return None if image is None else {"x": image}


def quantised(model: onnx.ModelProto, folder: Path, form: str, activations: str, per_channel: bool) -> onnx.ModelProto:
    quantization = pytest.importorskip("onnxruntime.quantization")
    onnx.save(model, folder / "float.onnx")
    quantization.quantize_static(
        folder / "float.onnx",
        folder / "int8.onnx",
        Calibration([drawn(1, 3, 24, 24) for _ in range(4)]),
        quant_format=quantization.QuantFormat[form],
        activation_type=quantization.QuantType[activations],
        weight_type=quantization.QuantType.QInt8,
        per_channel=per_channel,
    )
    return onnx.load(folder / "int8.onnx")


@pytest.mark.slow
@pytest.mark.parametrize("form", ["QDQ", "QOperator"])
@pytest.mark.parametrize(("activations", "per_channel"), [("QUInt8", True), ("QInt8", True), ("QUInt8", False)])
def test_static_quantisation(form: str, activations: str, per_channel: bool, tmp_path: Path) -> None:
    model = quantised(network(), tmp_path, form, activations, per_channel)
    module = compiled(model)
    names = {node.operator for node in module.graph.nodes}
    assert {"qlinear_conv", "QLinearAdd", "QLinearConcat", "qlinear_global_average_pool", "quantised.gemm"} <= names
    assert not names & {"conv", "Gemm", "Add", "Sigmoid"}
    for _ in range(4):
        image = drawn(1, 3, 24, 24)
        (found,), (wanted,) = module([image]), by_onnxruntime(model, {"x": image})
        quantum = np.diff(np.unique(np.concatenate([wanted.reshape(-1), found.reshape(-1)])))
        assert np.abs(found - wanted).max() <= 2 * quantum[quantum > 1e-6].min() * 1.001


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["QInt8", "QUInt8"])
def test_dynamic_quantisation(weights: str, tmp_path: Path) -> None:
    quantization = pytest.importorskip("onnxruntime.quantization")
    onnx.save(network(), tmp_path / "float.onnx")
    kind = quantization.QuantType[weights]
    quantization.quantize_dynamic(tmp_path / "float.onnx", tmp_path / "int8.onnx", weight_type=kind)
    model, image = onnx.load(tmp_path / "int8.onnx"), drawn(1, 3, 24, 24)
    module = compiled(model)
    names = {node.operator for node in module.graph.nodes}
    assert {"DynamicQuantizeLinear", "quantised.conv_last", "quantised.matmul"} <= names
    assert not names & {"conv", "Gemm", "MatMulInteger", "conv_integer", "Cast"}
    (found,), (wanted,) = module([image]), by_onnxruntime(model, {"x": image})
    assert np.abs(found - wanted).max() <= 0.01 * np.ptp(wanted)


def extension(
    operator: str, inputs: dict[str, Array], constants: dict[str, Array], out: Array, **attributes: Any
) -> Any:
    """One of onnxruntime's own operators; inputs and constants in their order."""
    order = attributes.pop("order")
    node = helper.make_node(operator, order, ["y"], domain="com.microsoft", **attributes)
    dtype = helper.np_dtype_to_tensor_dtype
    given = [helper.make_tensor_value_info(name, dtype(each.dtype), each.shape) for name, each in inputs.items()]
    made = [helper.make_tensor_value_info("y", dtype(out.dtype), out.shape)]
    held = [numpy_helper.from_array(np.asarray(each), name) for name, each in constants.items()]
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(helper.make_graph([node], "g", given, made, held), opset_imports=imports, ir_version=8)


BYTES = RNG.integers(0, 256, (1, 6, 5, 4)).astype(np.uint8)
ROWS = RNG.integers(0, 256, (3, 12)).astype(np.uint8)
SCALES = {"as": np.float32(0.021), "az": np.uint8(120), "bs": np.float32(0.013), "bz": np.uint8(131)}
TO = {"ys": np.float32(0.0177), "yz": np.uint8(119)}
A, B, Y = ["a", "as", "az"], ["b", "bs", "bz"], ["ys", "yz"]
MATRIX = {"b": RNG.integers(-127, 128, (12, 7)).astype(np.int8), "bs": drawn(7) ** 2 + 0.01, "bz": np.zeros(7, np.int8)}
BIAS = drawn(7)
OWN = {
    "QLinearAdd": ([*A, *B, *Y], {"a": BYTES, "b": BYTES[:, ::-1].copy()}, {}, BYTES, {}),
    "QLinearMul": ([*A, *B, *Y], {"a": BYTES, "b": BYTES[:, :1].copy()}, {}, BYTES, {}),
    "QLinearSigmoid": ([*A, *Y], {"a": BYTES}, {}, BYTES, {}),
    "QLinearLeakyRelu": ([*A, *Y], {"a": BYTES}, {}, BYTES, {"alpha": 0.1}),
    "QLinearConcat": ([*Y, *A, *B], {"a": BYTES, "b": BYTES}, {}, BYTES.repeat(2, 2), {"axis": 2}),
    "QLinearGlobalAveragePool": ([*A, *Y], {"a": BYTES}, {}, BYTES[:, :, :1, :1], {}),
    "QLinearAveragePool": ([*A, *Y], {"a": BYTES}, {}, BYTES[:, :, :4, :3], {"kernel_shape": [2, 2]}),
    "QGemm": ([*A, *B, "c", *Y], {"a": ROWS}, {**MATRIX, "c": np.arange(7, dtype="i4") * 40}, ROWS[:, :7], {}),
    "MatMulIntegerToFloat": (["a", "b", "as", "bs", "az", "bz"], {"a": ROWS}, MATRIX, drawn(3, 7), {}),
    "DynamicQuantizeMatMul": (["x", "b", "bs", "bz", "c"], {"x": drawn(3, 12)}, {**MATRIX, "c": BIAS}, drawn(3, 7), {}),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("operator", OWN)
def test_onnxruntimes_own_operators(operator: str) -> None:
    order, inputs, constants, out, attributes = OWN[operator]
    every = {**SCALES, **TO, **constants}
    held = {name: every[name] for name in order if name in every and name not in inputs}
    model = extension(operator, inputs, held, out, order=order, **attributes)
    (found,), (wanted,) = compiled(model)(inputs), by_onnxruntime(model, inputs)
    assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
    error = np.abs(found.astype(np.float64) - wanted)
    assert error.max() <= (1 if found.dtype == np.uint8 else 1e-5 * np.abs(wanted).max())
    assert np.mean(error > 0.5) < 0.02


def trial(model: onnx.ModelProto, reference: onnx.ModelProto) -> float:
    """The error that a build of one model reports against another."""
    module = compile_model_untrusted(model.SerializeToString(), Wishes())
    values = [module.graph.values[name] for name in module.graph.inputs]
    asked = reference.SerializeToString()

    def refer(graph: Graph) -> Reference:
        return Reference(asked, graph)

    def as_written(graph: Graph) -> Reference:
        return Reference(asked, graph, as_written=True)

    forms = [Form(module.graph, random_samples(values, 1))]
    tried = try_module(
        module, forms, refer, 1e-4, lambda _: None, lambda graph: Reference(asked, graph, as_written=True)
    )
    assert is_quantised(module.graph)
    return tried.checked.error


@pytest.mark.slow
def test_a_build_holds_quantised_models_to_a_quantum(tmp_path: Path) -> None:
    """Not to every bit; and another model's answers are found out."""
    model = quantised(network(), tmp_path, "QDQ", "QInt8", True)
    assert trial(model, model) <= 0.1
    other = quantised(network(seed=1), tmp_path, "QDQ", "QInt8", True)
    with pytest.raises(MismatchError):
        trial(other, model)


def quantised_by_hand() -> onnx.ModelProto:
    """Static and dynamic forms, with every kind of constant that there is."""
    make, quanta = helper.make_node, ["s", "z"]
    nodes = [
        make("QuantizeLinear", ["x", *quanta], ["q"]),
        make("DequantizeLinear", ["q", *quanta], ["r"]),
        make("DequantizeLinear", ["w", "ws", "wz"], ["wr"], axis=0),
        make("DequantizeLinear", ["b", "bs", "bz"], ["br"], axis=0),
        make("Conv", ["r", "wr", "br"], ["c"]),
        make("QuantizeLinear", ["c", *quanta], ["cq"]),
        make("DequantizeLinear", ["cq", *quanta], ["cr"]),
        make("Sigmoid", ["cr"], ["g"]),
        make("QuantizeLinear", ["g", *quanta], ["gq"]),
        make("DequantizeLinear", ["gq", *quanta], ["gr"]),
        make("Mul", ["cr", "gr"], ["m"]),
        make("QuantizeLinear", ["m", *quanta], ["mq"]),
        make("DequantizeLinear", ["mq", *quanta], ["mr"]),
        make("DequantizeLinear", ["v", "vs", "vz"], ["vr"], axis=1),
        make("MatMul", ["mr", "vr"], ["y"]),
        make("DynamicQuantizeLinear", ["y"], ["dq", "ds", "dz"]),
        make("MatMulInteger", ["dq", "u", "dz", "uz"], ["sums"]),
        make("Cast", ["sums"], ["reals"], to=onnx.TensorProto.FLOAT),
        make("Mul", ["ds", "us"], ["both"]),
        make("Mul", ["reals", "both"], ["scaled"]),
        make("Add", ["scaled", "ub"], ["out"]),
    ]
    constants = {
        "s": np.float32(0.1),
        "z": np.uint8(3),
        "w": np.ones((4, 3, 2, 2), np.int8),
        "ws": np.full(4, 0.1, "f4"),
        "wz": np.zeros(4, np.int8),
        "b": np.ones(4, np.int32),
        "bs": np.full(4, 0.01, "f4"),
        "bz": np.zeros(4, np.int32),
        "v": np.ones((4, 6), np.int8),
        "vs": np.full(6, 0.1, "f4"),
        "vz": np.zeros(6, np.int8),
        "u": np.ones((6, 5), np.int8),
        "us": np.full(5, 0.1, "f4"),
        "uz": np.int8(0),
        "ub": np.ones(5, "f4"),
    }
    return model_of(nodes, {"x": drawn(1, 3, 5, 5)}, ["y", "out"], constants)


@pytest.mark.slow
def test_broken_quantised_models_are_refused() -> None:
    """Whatever single constant is changed in size, value or type: a program, or one clear line."""
    model = quantised_by_hand()
    refused = 0
    for number, tensor in enumerate(model.graph.initializer):
        data = numpy_helper.to_array(tensor)
        negative = data if data.dtype == np.uint8 else -data
        for other in (data.reshape(-1)[:0], np.zeros_like(data), np.tile(data.reshape(-1), 3), negative,
                      data.reshape(-1)[:1], data.reshape(-1, 1, 1), data.astype(np.int16)):  # fmt: skip
            changed = onnx.ModelProto.FromString(model.SerializeToString())
            changed.graph.initializer[number].CopyFrom(numpy_helper.from_array(other, tensor.name))
            refused += is_refused(changed)
    assert refused > 30
    assert not is_refused(model)
    names = [node.operator for node in planned(import_model(model.SerializeToString())).nodes]
    assert names.count("quantised.matmul") == 2
    assert {"qlinear_conv", "quantised.lookup"} <= set(names)


def is_refused(model: onnx.ModelProto) -> bool:
    try:
        emit(planned(import_model(model.SerializeToString())))
    except ConfigurationError:
        return True
    return False
