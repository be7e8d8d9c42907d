"""Channels last: convolutions and pools read images as [images, …, channels], and what lies between them follows.

ONNX has channels second. Values are moved to the other order once, where they first meet an operator that wants it, and
back where one wants ONNX's order. Operators that work element by element, and those that name a dimension, take
whatever order their inputs are in.
"""

from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from publisher.compiler.graph import Attribute, Graph, Node, Value

LAST: Final[dict[str, str]] = {
    "AveragePool": "average_pool",
    "Conv": "conv",
    "ConvInteger": "conv_integer",
    "ConvTranspose": "conv_transpose",
    "GlobalAveragePool": "global_average_pool",
    "GlobalLpPool": "global_lp_pool",
    "GlobalMaxPool": "global_max_pool",
    "LpPool": "lp_pool",
    "MaxPool": "max_pool",
    "QLinearAveragePool": "qlinear_average_pool",
    "QLinearConv": "qlinear_conv",
    "QLinearGlobalAveragePool": "qlinear_global_average_pool",
    "quantised.conv": "quantised.conv_last",
}
"""Operators of which the first input and all outputs are images, and their names when channels are last."""

POINTWISE: Final = frozenset(
    {
        *("Abs", "Add", "Cast", "Ceil", "Celu", "Clip", "Div", "Elu", "Equal"),
        *("Erf", "Exp", "Floor", "Gelu", "Greater", "GreaterOrEqual", "HardSigmoid", "HardSwish", "Identity"),
        *("LeakyRelu", "Less", "LessOrEqual", "Log", "Max", "Mean", "Min", "Mish", "Mul"),
        *("Neg", "PRelu", "Pow", "Reciprocal", "Relu", "Round", "Selu", "Shrink", "Sigmoid"),
        *("QLinearAdd", "QLinearMul", "Sign", "Softplus", "Softsign", "Sqrt", "Sub", "Sum", "Swish"),
        *("Tanh", "ThresholdedRelu"),
        *("Where", "quantised.lookup"),
    }
)
ALONG: Final = {"Concat": 0, "LogSoftmax": -1, "QLinearConcat": 0, "Softmax": -1, "Split": 0}
"""Operators that name a dimension in `axis`, which is one dimension from operator set 13 on, and its default."""

LISTS: Final = {"Pad": {1: 2}, "Resize": {1: 2, 2: 1, 3: 1}}
"""Operators with inputs that list one number for each dimension, or two: first all beginnings, then all ends."""

REDUCTIONS: Final = frozenset({"ReduceL2", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum"})
MARK: Final = ":last"
"""In the name of a value whose channels are last."""


def channels_last(graph: Graph) -> Graph:
    """The graph with images in the order that kernels want."""
    return _Walk(graph).graph()


def to_last(rank: int) -> tuple[int, ...]:
    """Which dimension of ONNX's order comes where when channels are last."""
    return (0, *range(2, rank), 1)


def to_first(rank: int) -> tuple[int, ...]:
    """The way back."""
    return (0, rank - 1, *range(1, rank - 1))


class _Walk:
    """The nodes, one after the other; each value is known in ONNX's order, with channels last, or both."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._values = dict(graph.values)
        self._nodes: list[Node] = []
        # Names are anybody's: new ones must not be among them.
        self._mark = MARK
        while any(self._mark in name for name in graph.values):
            self._mark += "'"
        self._first = {name for name, value in graph.values.items() if value.data is not None} | set(graph.inputs)
        self._last: dict[str, str] = {}

    def graph(self) -> Graph:
        """The graph with every node visited."""
        for node in self._graph.nodes:
            self._visit(node)
        for name in self._graph.outputs:
            self._in_first(name)
        return replace(self._graph, nodes=tuple(self._nodes), values=self._values)

    def _visit(self, node: Node) -> None:
        carry = _CARRIERS.get(node.operator)
        if node.operator in LAST and self._rank(node.inputs[0]) >= 3:
            rest = [self._in_first(name) for name in node.inputs[1:]]
            self._emit(replace(node, operator=LAST[node.operator]), [self._in_last(node.inputs[0]), *rest])
        elif node.operator == "Transpose" and self._transpose(node):
            pass
        elif carry and self._is_near(node) and (found := carry(self, node)) is not None:
            self._emit(*found)
        else:
            self._nodes.append(replace(node, inputs=tuple(self._in_first(name) for name in node.inputs)))
            self._first.update(node.outputs)

    def _emit(self, node: Node, inputs: list[str]) -> None:
        """A node whose outputs that are images have their channels last."""
        images = {name for name in node.outputs if name and self._rank(name) >= 3}
        self._first.update(set(node.outputs) - images)
        outputs = tuple(self._declare(name) if name in images else name for name in node.outputs)
        self._nodes.append(replace(node, inputs=tuple(inputs), outputs=outputs))

    def _declare(self, name: str) -> str:
        value = self._values[name]
        self._last[name] = name + self._mark
        shape = tuple(value.shape[each] for each in to_last(len(value.shape)))
        self._values[name + self._mark] = Value(name + self._mark, value.dtype, shape)
        return name + self._mark

    def _rank(self, name: str) -> int:
        return len(self._values[name].shape)

    def _is_near(self, node: Node) -> bool:
        """Whether an input is known with channels last alone."""
        return any(name in self._last and name not in self._first for name in node.inputs)

    def _in_first(self, name: str) -> str:
        if name and name not in self._first and name in self._last:
            self._move(self._last[name], name, to_first(self._rank(name)))
            self._first.add(name)
        return name

    def _in_last(self, name: str) -> str:
        if name not in self._last:
            value = self._values[name]
            order = to_last(len(value.shape))
            new = self._declare(name)
            if value.data is None:
                self._move(self._in_first(name), new, order)
            else:
                self._values[new] = replace(self._values[new], data=np.ascontiguousarray(value.data.transpose(order)))
        return self._last[name]

    def _move(self, source: str, target: str, order: tuple[int, ...]) -> None:
        """Transpose; where no element changes its place, as a view."""
        shape = self._values[source].shape
        moved = [each for each in order if shape[each] != 1]
        operator = "Reshape" if moved == sorted(moved) or 0 in shape else "Transpose"
        attributes: dict[str, Attribute] = {} if operator == "Reshape" else {"perm": order}
        self._nodes.append(Node(operator, (source,), (target,), attributes, version=21))

    def _transpose(self, node: Node) -> bool:
        """A Transpose of the model between these orders is none."""
        source, target = node.inputs[0], node.outputs[0]
        rank = self._rank(source)
        order = node.integers("perm") or tuple(reversed(range(rank)))
        if rank < 3:
            return False
        if order == to_first(rank) and source in self._first:
            self._last[target] = source
            return True
        if source in self._last and source not in self._first:
            # Dimension `each` of ONNX's order is where it went when channels were moved to the end.
            self._move(self._last[source], target, tuple(to_first(rank)[each] for each in order))
            self._first.add(target)
            return True
        return False

    def pointwise(self, node: Node) -> tuple[Node, list[str]] | None:
        """Element by element: every operand is moved as the output is."""
        rank = self._rank(node.outputs[0])
        return (node, [name and self._operand(name, rank) for name in node.inputs]) if rank >= 3 else None

    def _operand(self, name: str, rank: int) -> str:
        value = self._values[name]
        if value.size == 1:
            return self._in_first(name)
        if len(value.shape) < rank:
            wider = replace(
                value, name=f"{name}{self._mark}{rank}", shape=(1,) * (rank - len(value.shape)) + value.shape
            )
            if wider.name not in self._first:
                self._widen(name, wider)
            name = wider.name
        return self._in_last(name)

    def _widen(self, name: str, wider: Value) -> None:
        if wider.data is None:
            self._nodes.append(Node("Reshape", (self._in_first(name),), (wider.name,), version=21))
        else:
            wider = replace(wider, data=wider.data.reshape(wider.shape))
        self._values[wider.name] = wider
        self._first.add(wider.name)

    def quantisation(self, node: Node) -> tuple[Node, list[str]] | None:
        """To quanta and back, a tensor as a whole."""
        if self._rank(node.inputs[0]) < 3 or any(self._values[name].size != 1 for name in node.inputs[1:] if name):
            return None
        return node, [self._in_last(node.inputs[0]), *(name and self._in_first(name) for name in node.inputs[1:])]

    def along(self, node: Node) -> tuple[Node, list[str]] | None:
        """What names a dimension."""
        rank = self._rank(node.outputs[0])
        if rank < 3 or (node.operator.endswith("Softmax") and node.version < 13):
            return None
        axis = to_first(rank)[node.integer("axis", ALONG[node.operator]) % rank]
        inputs = [self._in_last(name) if self._rank(name) == rank else self._in_first(name) for name in node.inputs]
        return replace(node, attributes={**node.attributes, "axis": axis}), inputs

    def listing(self, node: Node) -> tuple[Node, list[str]] | None:
        """What has an input that lists a number for each dimension."""
        rank = self._rank(node.inputs[0])
        counts = LISTS[node.operator]
        lists = {number: self._graph.constant(node.inputs[number]) for number in counts if node.has(number)}
        full = all(each is not None and each.size in {0, rank * counts[number]} for number, each in lists.items())
        if rank < 3 or not full or not lists or "axes" in node.attributes or (node.operator == "Pad" and node.has(3)):
            return None
        inputs = [self._in_last(node.inputs[0]), *node.inputs[1:]]
        for number, data in lists.items():
            if data is not None and data.size:
                inputs[number] = self._permuted(node.inputs[number], data, rank)
        return node, inputs

    def _permuted(self, name: str, data: NDArray[Any], rank: int) -> str:
        moved = data.reshape(-1, rank)[:, to_last(rank)].reshape(-1)
        self._values[name + self._mark] = Value(name + self._mark, data.dtype.name, moved.shape, moved)
        return name + self._mark

    def reduction(self, node: Node) -> tuple[Node, list[str]] | None:
        """A reduction that keeps its dimensions."""
        rank = self._rank(node.inputs[0])
        data = self._graph.constant(node.inputs[1]) if node.has(1) else None
        axes = node.integers("axes") if data is None else tuple(int(each) for each in data.reshape(-1))
        if rank < 3 or not node.integer("keepdims", 1) or not axes or (node.has(1) and data is None):
            return None
        moved = tuple(to_first(rank)[each % rank] for each in axes)
        inputs = [self._in_last(node.inputs[0])]
        if data is None:
            return replace(node, attributes={**node.attributes, "axes": moved}), inputs
        name = f"{node.inputs[1]}{self._mark}{rank}"
        self._values[name] = Value(name, "int64", (len(moved),), np.asarray(moved, np.int64))
        return node, [*inputs, name]


_CARRIERS: Final = {
    **dict.fromkeys(POINTWISE, _Walk.pointwise),
    **dict.fromkeys(ALONG, _Walk.along),
    **dict.fromkeys(LISTS, _Walk.listing),
    **dict.fromkeys(REDUCTIONS, _Walk.reduction),
    **dict.fromkeys(("DequantizeLinear", "DynamicQuantizeLinear", "QuantizeLinear"), _Walk.quantisation),
}
