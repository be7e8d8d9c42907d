"""No two buffers that are needed at once overlap, plans are close to the least, results may replace their operands."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import helper

from publisher.compiler.emission import emit
from publisher.compiler.graph import Graph, Node, Value
from publisher.compiler.importing.preparing import prepared
from publisher.compiler.importing.wishes import Wishes
from publisher.compiler.planning.liveness import IN_PLACE, VIEWS, shared
from publisher.compiler.planning.memory import ALIGNMENT, lower_bound, plan_memory
from publisher.compiler.toolchain import compile_program
from tests.support.compiling import by_onnxruntime, close, model_of, runtime

KINDS = ["Relu", "Add", "MatMul", "Reshape", "Split"]


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Nodes of one or two inputs and outputs over values of a few sizes; some values are read by nobody."""
    sizes = st.sampled_from([0, 1, 16, 17, 100, 1000])
    values = {"x": Value("x", "float32", (draw(sizes),)), "c": Value("c", "float32", (3,), np.zeros(3, np.float32))}
    nodes = []
    for number in range(draw(st.integers(1, 25))):
        kind = draw(st.sampled_from(KINDS))
        inputs = tuple(draw(st.sampled_from(sorted(values))) for _ in range(2 if kind == "Add" else 1))
        same = kind in {"Relu", "Add", "Reshape"}
        size = values[inputs[0]].size if same else draw(sizes)
        names = tuple(f"v{number}.{part}" for part in range(2 if kind == "Split" else 1))
        values |= {name: Value(name, "float32", (size,)) for name in names}
        nodes.append(Node(kind, inputs, names))
    outputs = draw(st.lists(st.sampled_from(sorted(values)), min_size=1, max_size=3))
    return Graph(tuple(nodes), values, ("x",), tuple(outputs))


def run_in(graph: Graph) -> None:
    """Run with an arena of names instead of bytes: whoever reads must find what the node wrote that made it."""
    plan = plan_memory(graph)
    roots = shared(graph)
    held: dict[int, str] = {}

    def places(name: str) -> range:
        root = roots.get(name, name)
        if root not in plan.offsets:
            return range(0)
        start = plan.offsets[root]
        assert start % ALIGNMENT == 0
        assert start + graph.values[name].bytes <= plan.arena_bytes
        return range(start, start + graph.values[name].bytes, 4)

    def check(name: str) -> None:
        assert all(held.get(place) == contents[name] for place in places(name))

    contents = {name: name for name in graph.values}
    for node in graph.nodes:
        for name in node.inputs:
            check(name)
        for name in node.outputs:
            # A view is its input by another name, and what it is made of stays readable by both.
            contents[name] = contents[node.inputs[0]] if node.operator in VIEWS else name
            held.update(dict.fromkeys(places(name), contents[name]))
    for name in graph.outputs:
        check(name)


@given(graphs())
def test_what_is_written_is_there_when_it_is_read(graph: Graph) -> None:
    run_in(graph)


@given(graphs())
def test_a_plan_takes_at_least_what_is_needed_at_once_and_not_twice_that(graph: Graph) -> None:
    least, found = lower_bound(graph), plan_memory(graph).arena_bytes
    assert least <= found <= 2 * least


def test_a_long_chain_needs_two_places_however_long() -> None:
    names = [f"v{number}" for number in range(5000)]
    values = {name: Value(name, "float32", (64,)) for name in ("x", *names)}
    nodes = tuple(Node("MatMul", (one,), (two,)) for one, two in zip(("x", *names), names, strict=False))
    graph = Graph(nodes, values, ("x",), (names[-1],))
    assert plan_memory(graph).arena_bytes == 2 * 256


def test_an_operand_that_is_read_again_keeps_its_place() -> None:
    values = {name: Value(name, "float32", (64,)) for name in "xabc"}
    nodes = (Node("MatMul", ("x",), ("a",)), Node("Relu", ("a",), ("b",)), Node("Add", ("a", "b"), ("c",)))
    again = Graph(nodes, values, ("x",), ("c",))
    assert "b" not in shared(again)
    assert shared(again)["c"] == "a"


_BINARY = "Add And BitwiseAnd BitwiseOr BitwiseXor Div Max Mean Min Mul Or PRelu Sub Sum Xor"
BINARY = frozenset(_BINARY.split())
LOGICAL = {"And", "Or", "Xor", "Not"}
WHOLE = {"BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor"}


def test_every_operator_that_may_replace_its_operand_can() -> None:
    """Each on copies that nobody else reads, in all forms that share a buffer; not planned, so that none is fused."""
    random = np.random.default_rng(3)
    nodes, outputs = [], []
    inputs: dict[str, NDArray[Any]] = {
        "f": random.normal(size=(5, 7)).astype(np.float32) * 2,
        "b": random.integers(0, 2, (5, 7)).astype(bool),
        "i": random.integers(-99, 99, (5, 7)).astype(np.int32),
    }
    for operator in sorted(IN_PLACE - {"fused"}):
        source = "b" if operator in LOGICAL else "i" if operator in WHOLE else "f"
        copy = {"b": "Not", "i": "BitwiseNot", "f": "Neg"}[source]
        for operands in ("ab", "ba", "aa") if operator in BINARY else ("a",):
            name = f"{operator}_{operands}"
            # The first operand is a copy that may be replaced, the other an input, or the copy again.
            read = [f"{name}_copy" if each == "a" else source for each in operands]
            nodes += [helper.make_node(copy, [source], [f"{name}_copy"]), helper.make_node(operator, read, [name])]
            outputs.append(name)
    model = model_of(nodes, inputs, outputs, opset=24)
    graph = prepared(model.SerializeToString(), Wishes(simplify=False)).graph()
    assert len(shared(graph)) == len(outputs)
    output = runtime().load(compile_program(emit(graph))).run(b"".join(inputs[name].tobytes() for name in graph.inputs))
    at = 0
    for name, answer in zip(outputs, by_onnxruntime(model, inputs), strict=True):
        found = np.frombuffer(output[at : at + answer.nbytes], answer.dtype).reshape(answer.shape)
        close(found, answer, 1e-6, name)
        at += answer.nbytes


@pytest.mark.parametrize("size", [0, 1])
def test_nothing_to_compute_needs_nothing(size: int) -> None:
    graph = Graph((), {"x": Value("x", "float32", (size,))}, ("x",), ("x",))
    assert plan_memory(graph).arena_bytes == 0
