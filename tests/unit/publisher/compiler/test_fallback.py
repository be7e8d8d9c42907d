"""Models that the own generator does not know go through tinygrad as a whole, and it is said."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from publisher.compiler.compiling import Choice, compile_model_untrusted
from publisher.compiler.errors import UnsupportedError
from publisher.compiler.importing.wishes import Wishes
from tests.support.compiling import by_onnxruntime, close, runtime

pytestmark = pytest.mark.slow  # tinygrad alone takes seconds to import


def model(nodes: list[onnx.NodeProto], inputs: dict[str, Any], outputs: dict[str, Any], **constants: Any) -> bytes:
    def infos(arrays: dict[str, Any]) -> list[onnx.ValueInfoProto]:
        return [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(each.dtype), each.shape)
            for name, each in arrays.items()
        ]

    weights = [numpy_helper.from_array(each, name) for name, each in constants.items()]
    sets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    graph = helper.make_graph(nodes, "g", infos(inputs), infos(outputs), weights)
    return bytes(helper.make_model(graph, opset_imports=sets, ir_version=10).SerializeToString())


def run(data: bytes, inputs: dict[str, Any], choice: Choice = "auto") -> tuple[list[Any], str, str]:
    made = compile_model_untrusted(data, Wishes(), choice)
    output = runtime().load(made.wasm).run(b"".join(each.tobytes() for each in inputs.values()))
    answers, at = [], 0
    for value in (made.graph.values[name] for name in made.graph.outputs):
        answers.append(np.frombuffer(output[at : at + value.bytes], value.dtype).reshape(value.shape))
        at += value.bytes
    for found, expected in zip(answers, by_onnxruntime(data, inputs), strict=True):
        close(found, expected)
    return answers, made.compiler, made.why


def unknown() -> tuple[bytes, dict[str, Any]]:
    """onnxruntime's SkipLayerNormalization, which optimised transformers have."""
    r = np.random.default_rng(0)
    x = {name: r.normal(size=(1, 3, 8)).astype("f4") for name in ("a", "b")}
    nodes = [
        helper.make_node("SkipLayerNormalization", ["a", "b", "g", "s"], ["n"], domain="com.microsoft"),
        helper.make_node("Mul", ["n", "a"], ["y"]),
    ]
    return model(nodes, x, {"y": x["a"]}, g=np.ones(8, "f4"), s=np.zeros(8, "f4")), x


def test_an_operator_that_the_generator_does_not_know() -> None:
    data, inputs = unknown()
    _, compiler, why = run(data, inputs)
    assert (compiler, "SkipLayerNormalization" in why) == ("tinygrad", True)


def test_the_generator_alone_refuses_it_by_name() -> None:
    with pytest.raises(UnsupportedError, match="SkipLayerNormalization"):
        compile_model_untrusted(unknown()[0], Wishes(), "sealedge")


def test_several_kernels_types_and_odd_addresses() -> None:
    r = np.random.default_rng(1)
    inputs = {
        "mask": np.array([1, 0, 1], bool),
        "x": r.normal(size=(3, 16)).astype("f4"),
        "n": r.integers(-9, 9, 5).astype("i8"),
    }
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"]),
        helper.make_node("Softmax", ["h"], ["p"]),
        helper.make_node("Unsqueeze", ["mask", "one"], ["m"]),
        helper.make_node("Where", ["m", "p", "h"], ["y"]),
        helper.make_node("Mul", ["n", "n"], ["q"]),
    ]
    y, q = np.zeros((3, 4), "f4"), np.zeros(5, "i8")
    data = model(nodes, inputs, {"y": y, "q": q}, w=r.normal(size=(16, 4)).astype("f4"), one=np.array([1]))
    answers, compiler, why = run(data, inputs, "tinygrad")
    assert (compiler, why) == ("tinygrad", "it was asked for")
    assert answers[1].tolist() == (inputs["n"] ** 2).tolist()


def test_a_bool_that_is_neither_is_true() -> None:
    x = np.array([True, False])
    nodes = [helper.make_node("Not", ["x"], ["y"])]
    made = compile_model_untrusted(model(nodes, {"x": x}, {"y": x}), Wishes(), "tinygrad")
    assert runtime().load(made.wasm).run(b"\x02\x00") == b"\x00\x01"


def test_the_same_model_gives_the_same_bytes() -> None:
    data, _ = unknown()
    first, second = (compile_model_untrusted(data, Wishes()).wasm for _ in range(2))
    assert first == second


def test_what_neither_knows_is_refused_by_name() -> None:
    x = np.zeros((3, 3), "f4")
    nodes = [helper.make_node("Det", ["x"], ["y"])]
    with pytest.raises(UnsupportedError, match="Det"):
        compile_model_untrusted(model(nodes, {"x": x}, {"y": np.zeros((), "f4")}), Wishes())
