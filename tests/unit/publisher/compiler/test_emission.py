"""What callers see of a program: its inputs and outputs, wherever they lie and whatever they are."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from protocol.errors import ConfigurationError
from publisher.compiler.emission import emit
from publisher.compiler.graph import Graph, Node, Value
from publisher.compiler.importing import import_model
from tests.support.compiling import compiled, model_of


def test_inputs_at_odd_addresses_and_outputs_that_nothing_computes() -> None:
    """A float after three bytes; an input, a constant and one value twice as outputs; an input that nobody reads."""
    random = np.random.default_rng(0)
    mask, x, c = (
        np.array([True, False, True]),
        random.normal(size=(2, 3)).astype("f"),
        random.normal(size=3).astype("f"),
    )
    unread = np.zeros(5, np.float32)
    nodes = [helper.make_node("Where", ["m", "x", "c"], ["y"]), helper.make_node("Identity", ["c"], ["k"])]
    model = model_of(nodes, {"m": mask, "x": x, "unread": unread}, ["y", "k"], {"c": c})
    model.graph.output.append(helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3]))
    model.graph.output.append(model.graph.output[0])
    module = compiled(model)
    y, k, same, again = module({"m": mask, "x": x, "unread": unread})
    np.testing.assert_array_equal(y, np.where(mask, x, c))
    np.testing.assert_array_equal(k, c)
    np.testing.assert_array_equal(same, x)
    np.testing.assert_array_equal(again, y)
    assert (module.program.input_bytes, module.program.output_bytes) == (3 + 24 + 20, 24 + 12 + 24 + 24)


def test_the_same_graph_is_the_same_program() -> None:
    x = np.ones((2, 3), np.float32)
    data = model_of([helper.make_node("Exp", ["x"], ["y"])], {"x": x}, ["y"]).SerializeToString()
    assert emit(import_model(data)) == emit(import_model(data))


def test_names_of_a_model_are_in_no_program() -> None:
    x = np.ones(3, np.float32)
    words = ["x*/ #include", "int main(void) {", '"; evil(); "']
    nodes = [
        helper.make_node("Neg", [words[0]], [words[1]], name="#pragma"),
        helper.make_node("Exp", [words[1]], [words[2]]),
    ]
    source = emit(import_model(model_of(nodes, {words[0]: x}, [words[2]]).SerializeToString())).source
    assert not any(each in source for each in (*words, "evil", "#pragma", "main"))


def test_what_no_module_can_hold_is_refused() -> None:
    large = Value("y", "float32", (2**28,))
    values = {"x": Value("x", "float32", (2**28,)), "y": large}
    with pytest.raises(ConfigurationError, match="more memory than a module can have"):
        emit(Graph((Node("Exp", ("x",), ("y",)),), values, ("x",), ("y",)))
