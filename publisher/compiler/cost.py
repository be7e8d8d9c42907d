"""What a graph costs before anybody ran it: operators, multiplications with additions, parameters.

Counted are convolutions, products of matrices, recurrent layers and linear models: what edge models spend their time
in. Elementwise operators, pooling and trees count as nothing.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Final

from publisher.compiler.graph import Graph, Node, Value


@dataclass(frozen=True, slots=True)
class Cost:
    """`operators` by name, how often each; `macs` for one inference; `parameter_bytes` of all constants in use."""

    operators: Mapping[str, int]
    macs: int
    parameters: int
    parameter_bytes: int


def cost_of(graph: Graph) -> Cost:
    """Count. Take the graph as it was imported: the planner's own operators hide what they stand for."""
    names = Counter(node.operator for node in graph.nodes)
    read = {name for node in graph.nodes for name in node.inputs if name}
    constants = [graph.values[name] for name in sorted(read) if graph.values[name].data is not None]
    return Cost(
        operators=dict(sorted(names.items(), key=lambda each: (-each[1], each[0]))),
        macs=sum(_macs(node, graph) for node in graph.nodes),
        parameters=sum(each.size for each in constants) + (listed := sum(map(_listed, graph.nodes))),
        parameter_bytes=sum(each.bytes for each in constants) + 4 * listed,
    )


def _listed(node: Node) -> int:
    """Numbers that a node of ai.onnx.ml holds in its attributes, each as large as a float."""
    lists = [each for each in node.attributes.values() if isinstance(each, tuple) and node.operator.startswith("ml.")]
    return sum(len(each) for each in lists if each and not isinstance(each[0], str))


def _macs(node: Node, graph: Graph) -> int:
    count = _COUNTS.get(node.operator)
    return 0 if count is None else count(node, graph)


def _value(node: Node, graph: Graph, number: int) -> Value:
    return graph.values[node.inputs[number]]


def _output(node: Node, graph: Graph) -> Value:
    return graph.values[node.outputs[0]]


def _convolution(weights: int) -> Callable[[Node, Graph], int]:
    """Each output element is the sum over one filter: [M, C/group, k...]."""
    return lambda node, graph: _output(node, graph).size * prod(_value(node, graph, weights).shape[1:])


def _transposed(node: Node, graph: Graph) -> int:
    """Each input element is spread over one filter: [C, M/group, k...]."""
    return _value(node, graph, 0).size * prod(_value(node, graph, 1).shape[1:])


def _product(node: Node, graph: Graph) -> int:
    """Each output element is the sum over the inner dimension, the last of the first matrix."""
    return _output(node, graph).size * (_value(node, graph, 0).shape or (1,))[-1]


def _gemm(node: Node, graph: Graph) -> int:
    a = _value(node, graph, 0)
    return _output(node, graph).size * a.shape[0 if node.integer("transA", 0) else 1]


def _recurrent(node: Node, graph: Graph) -> int:
    """Each step and sequence of X [T, B, I] meets all of W and R once."""
    return prod(_value(node, graph, 0).shape[:2]) * sum(_value(node, graph, number).size for number in (1, 2))


def _linear(attribute: str) -> Callable[[Node, Graph], int]:
    """Each row of the input meets all coefficients (or all elements of all support vectors) once."""

    def count(node: Node, graph: Graph) -> int:
        shape = _value(node, graph, 0).shape
        found = node.attributes.get(attribute, ())
        return prod(shape[:-1]) * (len(found) if isinstance(found, tuple) else 0)

    return count


_COUNTS: Final[Mapping[str, Callable[[Node, Graph], int]]] = {
    "Conv": _convolution(1),
    "ConvInteger": _convolution(1),
    "QLinearConv": _convolution(3),
    "ConvTranspose": _transposed,
    "MatMul": _product,
    "MatMulInteger": _product,
    "QLinearMatMul": _product,
    "Gemm": _gemm,
    "LSTM": _recurrent,
    "GRU": _recurrent,
    "RNN": _recurrent,
    "ml.LinearClassifier": _linear("coefficients"),
    "ml.LinearRegressor": _linear("coefficients"),
    "ml.SVMClassifier": _linear("support_vectors"),
    "ml.SVMRegressor": _linear("support_vectors"),
}
