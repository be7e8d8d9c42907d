"""Multiplications are those of the definitions, counted by hand."""

from typing import Any

import numpy as np
import pytest

from publisher.compiler.cost import cost_of
from publisher.compiler.graph import Graph, Node, Value

Shapes = dict[str, tuple[int, ...]]


def graph(node: Node, shapes: Shapes, constants: Shapes) -> Graph:
    values = {name: Value(name, "float32", shape) for name, shape in shapes.items()}
    data: dict[str, Any] = {name: np.zeros(shape, np.float32) for name, shape in constants.items()}
    values |= {name: Value(name, "float32", each.shape, each) for name, each in data.items()}
    return Graph((node,), values, (), ())


CASES: dict[str, tuple[Node, Shapes, Shapes, int]] = {
    "convolution": (Node("Conv", ("x", "w"), ("y",)), {"y": (1, 16, 8, 8)}, {"w": (16, 3, 5, 5)}, 16 * 64 * 75),
    "depthwise": (Node("Conv", ("x", "w"), ("y",)), {"y": (1, 16, 8, 8)}, {"w": (16, 1, 3, 3)}, 16 * 64 * 9),
    "quantised": (
        Node("QLinearConv", ("x", "s", "z", "w", "s", "z", "s", "z"), ("y",)),
        {"y": (1, 4, 2, 2), "s": (), "z": ()},
        {"w": (4, 2, 3, 3)},
        16 * 18,
    ),
    "transposed": (
        Node("ConvTranspose", ("x", "w"), ("y",)),
        {"x": (1, 3, 4, 4), "y": (1, 8, 8, 8)},
        {"w": (3, 8, 2, 2)},
        48 * 32,
    ),
    "batched product": (
        Node("MatMul", ("x", "w"), ("y",)),
        {"x": (5, 2, 3), "w": (5, 3, 7), "y": (5, 2, 7)},
        {},
        5 * 2 * 3 * 7,
    ),
    "vectors": (Node("MatMul", ("x", "w"), ("y",)), {"x": (9,), "w": (9,), "y": ()}, {}, 9),
    "gemm": (
        Node("Gemm", ("x", "w"), ("y",), {"transA": 1}),
        {"x": (3, 2), "y": (2, 7)},
        {"w": (3, 7)},
        2 * 3 * 7,
    ),
    "recurrent": (
        Node("LSTM", ("x", "w", "r"), ("y",)),
        {"x": (10, 1, 6), "y": (10, 1, 1, 4)},
        {"w": (1, 16, 6), "r": (1, 16, 4)},
        10 * (96 + 64),
    ),
    "linear": (
        Node("ml.LinearClassifier", ("x",), ("y",), {"coefficients": (0.5,) * 12}),
        {"x": (2, 4), "y": (2,)},
        {},
        24,
    ),
    "elementwise": (Node("Add", ("x", "x"), ("y",)), {"x": (9,), "y": (9,)}, {}, 0),
}


@pytest.mark.parametrize("case", CASES)
def test_multiplications(case: str) -> None:
    node, shapes, constants, macs = CASES[case]
    shapes = {"x": (1, 3, 12, 12), **shapes}
    assert cost_of(graph(node, shapes, constants)).macs == macs


def test_what_is_counted_besides() -> None:
    node, shapes, constants, _ = CASES["recurrent"]
    cost = cost_of(graph(node, shapes, {**constants, "unused": (1000,)}))
    assert (cost.operators, cost.parameters, cost.parameter_bytes) == ({"LSTM": 1}, 160, 640)
    node, shapes, constants, _ = CASES["linear"]
    assert cost_of(graph(node, shapes, constants)).parameter_bytes == 48
