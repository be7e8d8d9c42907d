"""Factors and summands by channel become part of the weights that they follow; batch normalisation becomes such."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from publisher.compiler.graph import Graph, Node, Value

FILTERS: Final = {"Conv": 0, "ConvTranspose": 1}
"""In which dimension of its weights an operator has its filters."""

SIGNS: Final = {"Add": 1.0, "Sub": -1.0}
FACTORS: Final = frozenset({"Mul", "Div"})
MARK: Final = ":folded"

Floats = NDArray[np.float64]


def fold_affine(graph: Graph) -> Graph:
    """The graph with what follows a convolution channel by channel folded into it."""
    return _Fold(_normalisations(graph)).graph()


def _normalisations(graph: Graph) -> Graph:
    """BatchNormalization of constants as a product and a sum."""
    nodes: list[Node] = []
    values: dict[str, Value] = {}
    mark = _fresh(graph.values)
    for node in graph.nodes:
        made = _normalisation(node, graph, f"{mark}{len(nodes)}") if node.operator == "BatchNormalization" else None
        nodes += made[0] if made else (node,)
        values |= made[1] if made else {}
    return graph.with_nodes(tuple(nodes), *values.values())


def _normalisation(node: Node, graph: Graph, name: str) -> tuple[tuple[Node, ...], dict[str, Value]] | None:
    given = [graph.constant(each) for each in node.inputs[1:5]]
    source = graph.values[node.inputs[0]]
    known = [each.astype(np.float64) for each in given if each is not None]
    plain = len(node.outputs) == 1 and not node.integer("training_mode", 0) and node.integer("spatial", 1)
    if len(known) != 4 or source.dtype != "float32" or len(source.shape) < 2 or not plain:
        return None
    if any(each.shape != source.shape[1:2] for each in known):
        return None
    scale, shift, mean, variance = known
    factor = scale / np.sqrt(variance + node.number("epsilon", 1e-5))
    shape = (source.shape[1], *(1 for _ in source.shape[2:]))
    numbers = {"f": factor, "s": shift - mean * factor}
    values = {key: _constant(name + key, each.reshape(shape)) for key, each in numbers.items()}
    product = replace(source, name=name + "p", data=None)
    nodes = (
        Node("Mul", (node.inputs[0], name + "f"), (product.name,), version=node.version),
        Node("Add", (product.name, name + "s"), node.outputs, version=node.version),
    )
    return nodes, {each.name: each for each in (*values.values(), product)}


def _constant(name: str, data: NDArray[Any]) -> Value:
    return Value(name, "float32", data.shape, data.astype(np.float32))


def _fresh(values: Mapping[str, Value]) -> str:
    """The beginning of names that nothing has."""
    mark = MARK
    while any(name.startswith(mark) for name in values):
        mark += "'"
    return mark


class _Fold:
    """Convolutions with the factor and summand of each filter that were found behind them."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._readers: dict[str, int] = {}
        for name in (*(name for node in graph.nodes for name in node.inputs), *graph.outputs):
            self._readers[name] = self._readers.get(name, 0) + 1
        self._mark = _fresh(graph.values)
        self._values: list[Value] = []

    def graph(self) -> Graph:
        """The graph, with each chain folded."""
        nodes: list[Node] = []
        # Which of `nodes` a value comes from, while only one node reads it.
        makers: dict[str, int] = {}
        for node in self._graph.nodes:
            number = next((makers[name] for name in node.inputs if name in makers), None)
            folded = None if number is None else self._folded(nodes[number], node)
            if folded is not None and number is not None:
                nodes[number] = folded
            else:
                number = len(nodes)
                nodes.append(node)
            if nodes[number].operator in FILTERS and self._readers.get(node.outputs[0]) == 1:
                makers[node.outputs[0]] = number
        return self._graph.with_nodes(tuple(nodes), *self._values)

    def _folded(self, maker: Node, node: Node) -> Node | None:
        """`maker` with `node` folded into it, if it is such a node."""
        if node.operator not in SIGNS and node.operator not in FACTORS:
            return None
        first = node.inputs[0] == maker.outputs[0]
        if len(node.inputs) != 2 or (node.operator in {"Div", "Sub"} and not first):
            return None
        weights = self._constant(maker.inputs[1])
        bias = self._constant(maker.inputs[2]) if maker.has(2) else 0.0
        out = self._graph.values[node.outputs[0]]
        if weights is None or bias is None or out.shape != self._graph.values[maker.outputs[0]].shape:
            return None
        numbers = self._by_channel(node.inputs[1 if first else 0], out)
        return None if numbers is None else self._made(maker, node, weights, bias, numbers)

    def _made(self, maker: Node, node: Node, weights: Floats, bias: Floats | float, numbers: Floats) -> Node | None:
        bias = bias + np.zeros_like(numbers)
        if node.operator in FACTORS:
            factor = numbers if node.operator == "Mul" else 1 / numbers
            if not np.isfinite(factor).all():
                return None
            weights, bias = self._scaled(maker, weights, factor), bias * factor
        else:
            bias = bias + SIGNS[node.operator] * numbers
        names = tuple(f"{self._mark}{len(self._values) + each}" for each in range(2))
        pairs = zip(names, (weights, bias), strict=True)
        self._values += [_constant(name, data) for name, data in pairs]
        return replace(maker, inputs=(maker.inputs[0], *names), outputs=node.outputs)

    def _scaled(self, maker: Node, weights: Floats, factor: Floats) -> Floats:
        """Every filter's weights times its factor. Those of ConvTranspose are numbered group by group."""
        if FILTERS[maker.operator] == 0:
            return weights * factor.reshape(-1, *(1 for _ in weights.shape[1:]))
        groups = maker.integer("group", 1)
        by_group = weights.reshape(groups, -1, *weights.shape[1:])
        factors = factor.reshape(groups, 1, weights.shape[1], *(1 for _ in weights.shape[2:]))
        return (by_group * factors).reshape(weights.shape)

    def _constant(self, name: str) -> Floats | None:
        made = {each.name: each for each in self._values}
        value = made.get(name, self._graph.values.get(name))
        known = value is not None and value.data is not None and value.dtype == "float32"
        return value.data.astype(np.float64) if known and value is not None and value.data is not None else None

    def _by_channel(self, name: str, out: Value) -> Floats | None:
        """A constant that is one number for each of the output's channels."""
        data = self._constant(name)
        if data is None or len(data.shape) > len(out.shape):
            return None
        shape = (1,) * (len(out.shape) - data.ndim) + data.shape
        if shape != (1, shape[1], *(1 for _ in shape[2:])) or shape[1] not in {1, out.shape[1]}:
            return None
        return np.asarray(np.broadcast_to(data.reshape(-1), out.shape[1]), np.float64)
