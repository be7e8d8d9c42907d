"""Which values share a buffer, and from which step to which each buffer is needed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from publisher.compiler.graph import Graph, Node

VIEWS: Final = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout"})
"""Operators whose first output is their first input, byte for byte: nothing is computed."""

_IN_PLACE: Final = """
fused Abs Add And BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Ceil Celu Clip Cos Div Elu Erf Exp Floor Gelu HardSigmoid
HardSwish LeakyRelu Log Max Mean Min Mish Mul Neg Not Or PRelu Reciprocal Relu Round Selu Sigmoid Sign Sin Softplus
Softsign Sqrt Sub Sum Swish Tanh ThresholdedRelu Xor
"""
IN_PLACE: Final = frozenset(_IN_PLACE.split())
"""Operators that read each element of an input of the output's shape and type just before they write it there."""
QUANTA_IN_PLACE: Final = frozenset({"QLinearAdd", "QLinearMul", "quantised.lookup"})
"""Those of quanta."""


@dataclass(frozen=True, slots=True)
class Buffer:
    """The bytes of a value and of all that share them, from its first step to its last."""

    name: str
    size: int
    first: int
    last: int


def is_view(node: Node) -> bool:
    """Whether a node's only output is its first input under another shape."""
    # A Dropout with a third input may be in training mode: its operator says.
    trained = node.operator == "Dropout" and node.has(2)
    return node.operator in VIEWS and not any(node.outputs[1:]) and not trained


def shared(graph: Graph) -> dict[str, str]:
    """For values in another's buffer, whose it is: views at what they view, results in the place of an operand.

    An operand gives its place away in the last step that reads it or anything else in its buffer.
    """
    reads = _last_reads(graph)
    roots: dict[str, str] = {}
    needed: dict[str, int] = {}
    for number, node in enumerate(graph.nodes):
        free = {name for name in node.inputs if needed.get(roots.get(name, name)) == number}
        operand = node.inputs[0] if is_view(node) else _operand(node, graph, free, roots)
        if operand:
            roots[node.outputs[0]] = roots.get(operand, operand)
        for name in filter(None, node.outputs):
            root = roots.get(name, name)
            if root == name or root in needed:  # inputs and constants have no buffer in the arena to give away
                needed[root] = max(needed.get(root, number), reads.get(name, number))
    return roots


def _operand(node: Node, graph: Graph, free: set[str], roots: Mapping[str, str]) -> str:
    """An input in whose place the only output may be computed, or ""."""
    if node.operator not in IN_PLACE | QUANTA_IN_PLACE or len(node.outputs) != 1:
        return ""
    out = graph.values[node.outputs[0]]
    for name in node.inputs:
        if name in free:
            value, buffer = graph.values[name], graph.values[roots.get(name, name)]
            if (value.dtype, value.shape, buffer.bytes) == (out.dtype, out.shape, out.bytes):
                return name
    return ""


def _last_reads(graph: Graph) -> dict[str, int]:
    """The last step that reads each value; the end for outputs."""
    reads = {name: number for number, node in enumerate(graph.nodes) for name in node.inputs}
    return {**reads, **dict.fromkeys(graph.outputs, len(graph.nodes))}


def buffers(graph: Graph, roots: Mapping[str, str]) -> list[Buffer]:
    """The buffers of what is computed. Inputs and constants lie elsewhere."""
    lives: dict[str, tuple[int, int]] = {}
    for number, node in enumerate(graph.nodes):
        for name in filter(None, (*node.outputs, *node.inputs)):
            root = roots.get(name, name)
            if root in lives or (name in node.outputs and root == name):
                first, _ = lives.get(root, (number, number))
                lives[root] = (first, number)
    for name in graph.outputs:
        root = roots.get(name, name)
        if root in lives:
            lives[root] = (lives[root][0], len(graph.nodes))
    return [Buffer(name, graph.values[name].bytes, first, last) for name, (first, last) in lives.items()]
