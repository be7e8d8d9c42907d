"""What an import makes: shapes fixed, constants known, branches taken, and the same graph from a child process."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from protocol.errors import ConfigurationError
from publisher.compiler.errors import UnsupportedError
from publisher.compiler.graph import Graph
from publisher.compiler.importing import import_model, import_model_untrusted, prepare_model_untrusted
from publisher.compiler.importing.isolation import isolated
from publisher.compiler.importing.preparing import prepared
from publisher.compiler.importing.transfer import decode_untrusted, encode
from publisher.compiler.importing.wishes import Wishes

FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL


def value(name: str, *shape: int | str, kind: int = FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def node(operator: str, inputs: str, outputs: str, **attributes: object) -> onnx.NodeProto:
    return helper.make_node(operator, inputs.split(), outputs.split(), **attributes)


def model(
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    **constants: object,
) -> bytes:
    weights = [numpy_helper.from_array(np.asarray(each), name) for name, each in constants.items()]
    graph = helper.make_graph(nodes, "g", inputs, outputs, weights)
    sets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=sets, ir_version=10).SerializeToString()


def operators(graph: Graph) -> list[str]:
    return [each.operator for each in graph.nodes]


ONE = [value("x", "batch", 4)]
OUT = [value("y", "batch", 4)]
NUMBERS = np.arange(4, dtype=np.float32)


def test_a_batch_is_one_unless_somebody_says_otherwise() -> None:
    data = model([node("Relu", "x", "y")], ONE, OUT)
    assert import_model(data).values["y"].shape == (1, 4)
    assert any("'batch'" in each for each in import_model(data).notes)
    assert import_model(data, dims={"batch": 3}).values["y"].shape == (3, 4)
    assert import_model(data, shapes={"x": (5, 4)}).values["y"].shape == (5, 4)
    assert import_model(data, dims={"batch": 3}).notes == ()


def test_lengths_without_a_name_are_called_by_their_place() -> None:
    unnamed = helper.make_tensor_value_info("x", FLOAT, [None, 4])
    data = model([node("Relu", "x", "y")], [unnamed], OUT)
    assert import_model(data, dims={"x:0": 3}).values["y"].shape == (3, 4)


def test_what_depends_on_shapes_alone_is_folded() -> None:
    nodes = [
        node("Shape", "x", "s"),
        node("Gather", "s i", "n"),
        node("Concat", "n m", "r", axis=0),
        node("Reshape", "x r", "y"),
    ]
    graph = import_model(
        model(nodes, ONE, [value("y", "a", "b")], i=np.array([0]), m=np.array([-1])), dims={"batch": 3}
    )
    assert operators(graph) == ["Reshape"]
    assert graph.values["y"].shape == (3, 4)


@pytest.mark.parametrize("simplify", [True, False])
@pytest.mark.parametrize("positive", [True, False])
def test_a_decided_branch_is_taken(positive: bool, simplify: bool) -> None:
    branches = [
        helper.make_graph([node("Add", "x w", "z"), node(each, "z", "y")], "b", [], [value("y", 1, 4)])
        for each in ("Relu", "Neg")
    ]
    decision = node("If", "c", "y", then_branch=branches[0], else_branch=branches[1])
    nodes = [node("Size", "x", "n"), node("Greater", "n k", "c"), decision, node("Abs", "y", "a")]
    data = model(nodes, ONE, [value("a", "batch", 4), *OUT], k=np.array(3 if positive else 5), w=NUMBERS)
    graph = prepared(data, Wishes(simplify=simplify)).graph()
    kept = [each for each in operators(graph) if each != "Identity"]
    assert kept == ["Add", "Relu" if positive else "Neg", "Abs"]
    assert graph.outputs == ("a", "y")


def test_an_outer_branch_gives_its_inner_branch_what_it_made() -> None:
    inner = helper.make_graph([node("Mul", "z z", "q")], "i", [], [value("q", 1, 4)])
    outer = helper.make_graph(
        [node("Neg", "x", "z"), node("If", "c", "p", then_branch=inner, else_branch=inner)], "o", [], [value("p", 1, 4)]
    )
    decision = node("If", "c", "y", then_branch=outer, else_branch=outer)
    graph = prepared(model([decision], ONE, OUT, c=np.array(True)), Wishes(simplify=False)).graph()
    assert [each for each in operators(graph) if each != "Identity"] == ["Neg", "Mul"]


def test_functions_take_the_place_of_their_calls() -> None:
    made = onnx.ModelProto.FromString(model([node("Twice", "x", "y", domain="own")], ONE, OUT))
    made.opset_import.append(helper.make_opsetid("own", 1))
    body = [node("Add", "a a", "b")]
    made.functions.append(helper.make_function("own", "Twice", ["a"], ["b"], body, [helper.make_opsetid("", 21)]))
    assert operators(import_model(made.SerializeToString())) == ["Add"]


def test_nodes_may_stand_in_any_order() -> None:
    graph = import_model(model([node("Neg", "a", "y"), node("Relu", "x", "a")], ONE, OUT))
    assert operators(graph) == ["Relu", "Neg"]


def test_what_nobody_reads_is_dropped_but_inputs_are_not() -> None:
    nodes = [node("Neg", "x", "unread"), node("Dropout", "x", "y mask")]
    graph = prepared(model(nodes, [*ONE, value("also", 3)], OUT), Wishes(simplify=False)).graph()
    assert operators(graph) == ["Dropout"]
    assert graph.nodes[0].outputs == ("y",)
    assert graph.inputs == ("x", "also")


def test_constants_that_are_named_as_inputs_are_no_inputs() -> None:
    graph = import_model(model([node("Add", "x w", "y")], [*ONE, value("w", 4)], OUT, w=NUMBERS))
    assert graph.inputs == ("x",)
    np.testing.assert_array_equal(graph.constant("w"), NUMBERS)


def test_inputs_that_are_bound_become_constants() -> None:
    graph = import_model(model([node("Add", "x w", "y")], [*ONE, value("w", 4)], OUT), constants={"w": [0, 1, 2, 3]})
    assert graph.inputs == ("x",)
    np.testing.assert_array_equal(graph.constant("w"), NUMBERS)


def test_half_precision_is_widened() -> None:
    half = TensorProto.FLOAT16
    nodes = [
        node("Add", "x w", "z"),
        node("Cast", "z", "d", to=int(TensorProto.DOUBLE)),
        node("Cast", "d", "y", to=int(half)),
    ]
    data = model(nodes, [value("x", 1, 4, kind=half)], [value("y", 1, 4, kind=half)], w=NUMBERS.astype(np.float16))
    graph = import_model(data)
    assert {graph.values[each].dtype for each in ("x", "y", "w")} == {"float32"}
    assert any("float16" in each for each in graph.notes)


def test_scalars_and_empty_tensors_are_tensors() -> None:
    nodes = [node("Add", "x s", "y"), node("Relu", "e", "r")]
    graph = import_model(model(nodes, [value("x"), value("e", 0, 3)], [value("y"), value("r", 0, 3)], s=np.float32(2)))
    assert [graph.values[each].shape for each in ("x", "y", "e", "r")] == [(), (), (0, 3), (0, 3)]


def test_large_constants_are_not_made_of_small_ones() -> None:
    nodes = [node("ConstantOfShape", "n", "c"), node("ReduceSum", "c", "s", keepdims=0), node("Add", "x s", "y")]
    graph = prepared(model(nodes, ONE, OUT, n=np.array([2**27])), Wishes(simplify=False)).graph()
    assert "ConstantOfShape" in operators(graph)


def everything() -> bytes:
    """A model with attributes of every kind, a tensor among them, and constants of several types."""
    nodes = [
        node("LeakyRelu", "x", "a", alpha=0.25),
        node("Transpose", "a", "b", perm=[1, 0]),
        node("Gather", "b i", "c", axis=0),
        node("QuickGelu", "c", "d", domain="com.microsoft", alpha=1.5),
        node("Pad", "c p", "y", mode="edge"),
    ]
    return model(nodes, ONE, [value("y", "a", "b")], i=np.array([0, 2]), p=np.array([0, 1, 0, 1]))


def test_a_graph_travels_whole() -> None:
    graph = import_model(everything())
    same(decode_untrusted(encode(graph)), graph)


def test_the_child_process_says_the_same() -> None:
    same(import_model_untrusted(everything(), dims={"batch": 2}), import_model(everything(), dims={"batch": 2}))


def same(found: Graph, expected: Graph) -> None:
    assert (found.nodes, found.inputs, found.outputs, found.notes) == (
        expected.nodes,
        expected.inputs,
        expected.outputs,
        expected.notes,
    )
    assert dict(found.values) == dict(expected.values)
    for name, each in expected.values.items():
        np.testing.assert_array_equal(found.values[name].data, each.data)


def test_a_prepared_model_is_onnx_with_fixed_shapes() -> None:
    made = onnx.ModelProto.FromString(prepare_model_untrusted(everything(), Wishes({"batch": 2})))
    onnx.checker.check_model(made)
    assert [each.dim_value for each in made.graph.input[0].type.tensor_type.shape.dim] == [2, 4]


def test_refusals_come_back_from_the_child_process() -> None:
    data = model([node("NonZero", "x", "y")], ONE, [value("y", "a", "b", kind=INT64)])
    with pytest.raises(UnsupportedError) as here:
        import_model(data)
    with pytest.raises(UnsupportedError) as there:
        import_model_untrusted(data)
    assert there.value.diagnostics == here.value.diagnostics
    assert there.value.operator == "NonZero"


def test_a_model_that_takes_too_long_or_too_much_is_refused() -> None:
    nodes = [
        node("ConstantOfShape", "n", "c"),
        node("CumSum", "c z", "d"),
        node("Gather", "d i", "s"),
        node("Add", "x s", "y"),
    ]
    data = model(nodes, ONE, OUT, n=np.array([2**28]), z=np.array(0), i=np.array(2**28 - 1))
    request = Wishes().request(data, [{}], onnx=False)
    with pytest.raises(ConfigurationError, match=r"needs more memory|crashed"):
        isolated(request, memory=2**29)


def test_a_graph_of_another_kind_is_not_believed() -> None:
    graph = import_model(everything())
    whole = encode(graph)
    for cut in range(0, len(whole), 17):
        with pytest.raises(ConfigurationError):
            decode_untrusted(whole[:cut])
