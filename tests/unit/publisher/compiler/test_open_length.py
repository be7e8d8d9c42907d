"""Models with an open batch or sequence, compiled and run at several lengths; and which are taken apart rightly."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from protocol.errors import ConfigurationError, EnclaveError
from publisher.compiler.emission import emit_repeated
from publisher.compiler.importing import import_each
from publisher.compiler.importing.wishes import Wishes
from publisher.compiler.open_length import BLOCK, import_open_untrusted
from publisher.compiler.planning import planned
from publisher.compiler.repeating import Dim, Repeated
from publisher.compiler.separating import LONG, SHORT, Along, InseparableError
from publisher.compiler.separation import separated
from publisher.compiler.toolchain import compile_program
from tests.support.compiling import by_onnxruntime, close, runtime

Shape = list[int | str]
Arrays = dict[str, NDArray[Any]]


def numbers(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def node(operator: str, inputs: str, outputs: str, **attributes: object) -> onnx.NodeProto:
    return helper.make_node(operator, [each.strip("_") for each in inputs.split()], outputs.split(), **attributes)


def model(nodes: list[onnx.NodeProto], inputs: dict[str, Shape], outputs: str, **constants: object) -> bytes:
    """Outputs have shapes that nobody says."""
    weights = [numpy_helper.from_array(np.asarray(each), name) for name, each in constants.items()]
    given = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in inputs.items()]
    types = {"top": onnx.TensorProto.INT64}
    made = [helper.make_tensor_value_info(name, types.get(name, 1), ["?"]) for name in outputs.split()]
    for each in made:
        each.type.tensor_type.ClearField("shape")
        each.type.tensor_type.shape.SetInParent()
    graph = helper.make_graph(nodes, "g", given, made, weights)
    found = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    inferred = {each.name: each for each in onnx.shape_inference.infer_shapes(_unsaid(found)).graph.output}
    for each in found.graph.output:
        each.CopyFrom(inferred[each.name])
    return found.SerializeToString()


def _unsaid(found: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto.FromString(found.SerializeToString())
    for each in copy.graph.output:
        each.type.tensor_type.ClearField("shape")
    return copy


def imported(data: bytes, name: str, maximum: int) -> Repeated:
    return import_open_untrusted(data, Dim(name, maximum), Wishes(), import_each)


def run(data: bytes, repeated: Repeated, given: Callable[[int], Arrays], counts: list[int]) -> None:
    """Compare with onnxruntime at several lengths; one more, and none, are refused."""
    module = runtime().load(compile_program(emit_repeated(repeated.changed(planned))))

    def answer(arrays: Arrays) -> bytes:
        return module.run(b"".join(arrays[name].tobytes() for name in repeated.inputs))

    for count in counts:
        arrays, at = given(count), 0
        output = answer(arrays)
        for expected in by_onnxruntime(data, arrays):
            found = np.frombuffer(output[at : at + expected.nbytes], expected.dtype).reshape(expected.shape)
            close(found, expected, 1e-5)
            at += expected.nbytes
        assert at == len(output)
    for count in (0, repeated.maximum + 1):
        with pytest.raises(EnclaveError, match="input"):
            answer(given(count))
    with pytest.raises(EnclaveError, match="input"):
        module.run(b"".join(each.tobytes() for each in given(2).values())[:-1])


@pytest.mark.slow
def test_a_perceptron_takes_batches() -> None:
    nodes = [node("Gemm", "x w b", "h"), node("Relu", "h", "r"), node("MatMul", "r v", "p"), node("Softmax", "p", "y")]
    data = model(nodes, {"x": ["N", 30]}, "y", w=numbers(30, 16), b=numbers(16), v=numbers(16, 4))
    repeated = imported(data, "N", 64)
    assert (repeated.loops, sorted(repeated.graphs), repeated.axes) == (True, [1, BLOCK], {"x": 0, "y": 0})
    run(data, repeated, lambda count: {"x": numbers(count, 30)}, [1, 2, 7, 8, 9, 63, 64])


def test_a_convolutional_network_takes_batches() -> None:
    nodes = [
        node("Conv", "x w b", "c", strides=[2, 2], pads=[1, 1, 1, 1]),
        node("Relu", "c", "r"),
        node("GlobalAveragePool", "r", "g"),
        node("Flatten", "g", "f"),
        node("Gemm", "f v", "y", transB=1),
    ]
    data = model(nodes, {"x": ["N", 3, 16, 16]}, "y r", w=numbers(8, 3, 3, 3), b=numbers(8), v=numbers(5, 8))
    repeated = imported(data, "N", 4)
    assert (repeated.loops, sorted(repeated.graphs)) == (True, [1])
    run(data, repeated, lambda count: {"x": numbers(count, 3, 16, 16)}, [1, 2, 3, 4])


def test_a_recurrent_network_takes_sequences() -> None:
    """Its state goes from part to part; what judges the whole sequence sees its end."""
    nodes = [
        node("Unsqueeze", "x one", "u"),
        node("LSTM", "u w r b _ h c", "all hn cn", hidden_size=5),
        node("GRU", "u w3 r3", "also", hidden_size=5),
        node("Squeeze", "all two", "s"),
        node("Gemm", "s v", "y"),
        node("Gather", "y last", "z", axis=0),
        node("Slice", "s minus far nil", "end"),
    ]
    weights = {"w": numbers(1, 20, 3), "r": numbers(1, 20, 5), "b": numbers(1, 40), "v": numbers(5, 2)}
    weights |= {"w3": numbers(1, 15, 3), "r3": numbers(1, 15, 5)}
    axes = {"one": np.array([1]), "two": np.array([1, 2]), "last": np.array(-1)}
    axes |= {"minus": np.array([-1]), "far": np.array([2**63 - 1]), "nil": np.array([0])}
    shapes: dict[str, Shape] = {"x": ["T", 3], "h": [1, 1, 5], "c": [1, 1, 5]}
    data = model(nodes, shapes, "y hn cn z also end", **weights, **axes)
    repeated = imported(data, "T", 32)
    assert (repeated.loops, repeated.axes["y"], repeated.axes["hn"]) == (True, 0, None)
    states = {"h": numbers(1, 1, 5), "c": numbers(1, 1, 5) + 1}
    run(data, repeated, lambda count: {"x": numbers(count, 3), **states}, [1, 2, 8, 15, 32])


@pytest.mark.slow
def test_the_dimension_may_stand_behind_others() -> None:
    nodes = [
        node("Transpose", "x", "t", perm=[1, 2, 0]),
        node("Add", "t w", "a"),
        node("Transpose", "a", "y", perm=[2, 1, 0]),
    ]
    data = model(nodes, {"x": [3, "T", 5], "w": [1]}, "y t")
    repeated = imported(data, "T", 20)
    assert (repeated.loops, repeated.axes) == (True, {"x": 1, "w": None, "y": 2, "t": 0})
    run(data, repeated, lambda count: {"x": numbers(3, count, 5), "w": numbers(1)}, [1, 7, 9, 20])


def test_a_model_that_reads_both_ways_gets_a_program_for_each_length() -> None:
    nodes = [node("RNN", "x w r", "y h", hidden_size=2, direction="bidirectional")]
    data = model(nodes, {"x": ["T", 1, 3]}, "y h", w=numbers(2, 2, 3), r=numbers(2, 2, 2))
    repeated = imported(data, "T", 3)
    assert (repeated.loops, sorted(repeated.graphs)) == (False, [1, 2, 3])
    run(data, repeated, lambda count: {"x": numbers(count, 1, 3)}, [1, 2, 3])
    with pytest.raises(ConfigurationError, match="one by one") as refusal:
        imported(data, "T", 64)
    assert "lengths: expected at most 32, found 64" in refusal.value.diagnostics


@pytest.mark.parametrize("dim", [Dim("N", 1), Dim("N", 2**20), Dim("N", 4, 5), Dim("N", 4, 0), Dim("M", 4)])
def test_lengths_that_are_none_are_refused(dim: Dim) -> None:
    data = model([node("Relu", "x", "y")], {"x": ["N", 4]}, "y")
    with pytest.raises(ConfigurationError):
        import_open_untrusted(data, dim, Wishes(), import_each)


APART: dict[str, list[onnx.NodeProto]] = {
    "elementwise": [node("Mul", "x w", "y")],
    "a constant as long as the dimension": [
        node("Shape", "x", "s"),
        node("ConstantOfShape", "s", "o"),
        node("Add", "x o", "y"),
    ],
    "places": [
        node("Shape", "x", "s", start=0, end=1),
        node("Squeeze", "s", "n"),
        node("Range", "zero n one", "p"),
        node("Cast", "p", "f", to=1),
        node("Unsqueeze", "f rest", "u"),
        node("Add", "x u", "y"),
    ],
    "its length": [
        node("Shape", "x", "s"),
        node("Cast", "s", "f", to=1),
        node("ReduceMax", "f", "m"),
        node("Mul", "x m", "y"),
    ],
    "transposed": [node("Transpose", "x", "y", perm=[2, 0, 1, 3])],
    "matrices": [node("MatMul", "x m", "y")],
    "matrices of itself": [node("Transpose", "x", "t", perm=[0, 1, 3, 2]), node("MatMul", "x t", "y")],
    "softmax 0": [node("Softmax", "x", "y", axis=0)],
    "softmax 1": [node("Softmax", "x", "y", axis=1)],
    "softmax -1": [node("Softmax", "x", "y")],
    "reduced 0": [node("ReduceSum", "x first", "y", keepdims=0)],
    "reduced 2": [node("ReduceMean", "x second", "y", keepdims=0)],
    "reduced, all": [node("ReduceMax", "x", "k"), node("Add", "x k", "y")],
    "reshaped": [node("Reshape", "x flat", "y")],
    "flattened": [node("Flatten", "x", "y", axis=2)],
    "concatenated 0": [node("Concat", "x x", "y", axis=0)],
    "concatenated 2": [node("Concat", "x x", "y", axis=2)],
    "sliced": [node("Slice", "x zeros ones first", "y")],
    "sliced 2": [node("Slice", "x zeros ones second", "y")],
    "reversed": [node("Slice", "x minus far first minus", "y")],
    "gathered 0": [node("Gather", "x pick", "y", axis=0)],
    "gathered 1": [node("Gather", "x pick", "y", axis=1)],
    "padded": [node("Pad", "x pads", "y")],
    "padded 2": [node("Pad", "x pads2", "y", mode="reflect")],
    "tiled": [node("Tile", "x twice", "y")],
    "split": [node("Split", "x", "y other", axis=1, num_outputs=2)],
    "normalised": [node("LayerNormalization", "x scale", "y")],
    "normalised 1": [node("LayerNormalization", "x scale1", "y", axis=1)],
    "instances": [node("InstanceNormalization", "x scale2 scale2", "y")],
    "pooled": [node("MaxPool", "x", "y", kernel_shape=[2, 2])],
    "convolved": [node("Conv", "x kernel", "y")],
    "convolved, wide": [node("Conv", "x wide", "y", pads=[1, 0, 1, 0])],
    "quantised by what it is": [node("DynamicQuantizeLinear", "x", "q s z"), node("DequantizeLinear", "q s z", "y")],
    "summed up": [node("CumSum", "x zero", "y")],
    "the best": [node("TopK", "x one1", "y top", axis=0)],
    "the best 2": [node("TopK", "x one1", "y top", axis=2)],
    "expanded": [node("Expand", "x more", "y")],
    "spread": [
        node("ReduceSum", "m first", "r", keepdims=0),
        node("Shape", "x", "s"),
        node("Expand", "r s", "e"),
        node("Add", "x e", "y"),
    ],
}
CONSTANTS: Arrays = {
    "w": numbers(3, 1), "m": numbers(3, 3), "flat": np.array([0, -1, 3]), "zero": np.array(0), "one": np.array(1),
    "one1": np.array([1]), "first": np.array([0]), "second": np.array([2]), "rest": np.array([1, 2, 3]),
    "zeros": np.array([0]), "ones": np.array([1]), "minus": np.array([-1]), "far": np.array([-99]),
    "pick": np.array([1, 0]), "pads": np.array([1, 0, 0, 0, 0, 0, 0, 0]), "pads2": np.array([0, 0, 1, 0, 0, 0, 1, 0]),
    "twice": np.array([2, 1, 1, 1]), "scale": np.ones(3, np.float32), "scale1": np.ones((2, 3, 3), np.float32),
    "scale2": np.ones(2, np.float32), "kernel": numbers(2, 2, 1, 1), "wide": numbers(2, 2, 3, 1),
    "more": np.array([2, 1, 1, 1, 1]),
}  # fmt: skip
ALWAYS = frozenset({"elementwise", "transposed", "softmax -1", "reduced 2", "concatenated 2", "sliced 2", "convolved"})


@pytest.mark.parametrize("axis", [0, 2])
@pytest.mark.parametrize("kind", APART)
def test_models_are_taken_apart_only_where_their_parts_are_independent(kind: str, axis: int) -> None:
    """Whatever is taken apart gives, by onnxruntime, for two parts together what it gives for each."""
    sizes = [2, 2, 3, 3]
    shape: Shape = ["N" if each == axis else size for each, size in enumerate(sizes)]
    used = {name for each in APART[kind] for name in each.input}
    constants = {name: each for name, each in CONSTANTS.items() if name in used}
    try:
        data = model(APART[kind], {"x": shape}, "y", **constants)
        graphs = import_each(data, Wishes(), [{"N": SHORT}, {"N": LONG}])
    except (ConfigurationError, onnx.shape_inference.InferenceError):
        pytest.skip("no model at these lengths")
    try:
        separation = separated(*graphs)
    except InseparableError:
        assert axis != 0 or kind not in ALWAYS
        return
    along = separation.kinds["y"]
    assert isinstance(along, Along)
    parts = [numbers(*[count if each == axis else size for each, size in enumerate(sizes)]) for count in (4, 5)]
    whole = by_onnxruntime(data, {"x": np.concatenate(parts, axis)})[0]
    apart = np.concatenate([by_onnxruntime(data, {"x": each})[0] for each in parts], along.axis)
    np.testing.assert_allclose(whole, apart, rtol=1e-5, atol=1e-6)
