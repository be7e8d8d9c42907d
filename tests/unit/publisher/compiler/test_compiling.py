"""What a compiled model says of its lengths and shapes; models whose outputs are inputs."""

import pytest
from onnx import helper

from publisher.compiler.compiling import CompiledModel
from publisher.compiler.emission import Program
from publisher.compiler.graph import Graph, Value
from publisher.compiler.importing import import_model
from publisher.compiler.repeating import Repeated
from tests.support.models import model

PROGRAM = Program("", b"", 0, 0, 0, 0)


def part(count: int) -> Graph:
    shapes = {"x": (1, 3 * count), "h": (4,), "y": (count, 2)}
    values = {name: Value(name, "float32", shape) for name, shape in shapes.items()}
    return Graph((), values, ("x", "h"), ("y",))


def compiled(minimum: int, maximum: int) -> CompiledModel:
    repeated = Repeated(minimum, maximum, True, {1: part(1), 8: part(8)}, {"x": 1, "h": None, "y": 0})
    return CompiledModel(b"", part(1), PROGRAM, "sealedge", "", repeated)


def test_a_form_has_the_shapes_of_its_length() -> None:
    form = compiled(1, 32).form(5)
    assert {name: value.shape for name, value in form.values.items()} == {"x": (1, 15), "h": (4,), "y": (5, 2)}
    assert form.nodes == ()
    assert [compiled(1, 32).axis(name) for name in ("x", "h", "y")] == [(1, 3), None, (0, 1)]


@pytest.mark.parametrize(
    ("least", "most", "tried"), [(1, 64, (1, 2, 33, 64)), (1, 2, (1, 2)), (2, 4, (2, 3, 4)), (7, 9, (7, 8, 9))]
)
def test_the_lengths_that_are_tried(least: int, most: int, tried: tuple[int, ...]) -> None:
    assert set(compiled(least, most).lengths) <= set(range(least, most + 1))
    assert compiled(least, most).lengths == tried


def test_a_model_without_an_open_dimension_has_one_form() -> None:
    fixed = CompiledModel(b"", part(2), PROGRAM, "sealedge", "")
    assert fixed.lengths == (1,)
    assert fixed.form(1).values["x"].shape == (1, 6)


def test_an_input_may_be_an_output() -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    graph = import_model(model(nodes, {"x": ["N", 3]}, {"y": ["N", 3], "x": ["N", 3]}).SerializeToString())
    assert [graph.values[name].shape for name in graph.outputs] == [(1, 3), (1, 3)]
