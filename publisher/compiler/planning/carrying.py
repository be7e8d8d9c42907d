"""Recurrent layers that run along a sequence which is computed part by part: each part starts where the last ended."""

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Final

from publisher.compiler.graph import SEPARATOR, Graph, Node, Value

STATES: Final = {"LSTM": ((5, 1), (6, 2)), "GRU": ((5, 1),), "RNN": ((5, 1),)}
"""For each state that a layer has: the input with its beginning, the output with its end."""


def carried(graph: Graph, sequences: Collection[int]) -> Graph:
    """The graph in which the layers of these numbers begin with what they ended with in the pass before."""
    values = dict(graph.values)
    nodes: list[Node] = []
    for number, node in enumerate(graph.nodes):
        nodes.extend(_carried(node, f"{number}", values) if number in sequences else [node])
    return replace(graph, nodes=tuple(nodes), values=values)


def _carried(node: Node, number: str, values: dict[str, Value]) -> Iterator[Node]:
    """The layer between nodes that bring its states in and out; the layer may not say yet that it has them."""
    pairs = STATES[node.operator]
    inputs = [*node.inputs, *[""] * (pairs[-1][0] + 1 - len(node.inputs))]
    outputs = [*node.outputs, *[""] * (pairs[-1][1] + 1 - len(node.outputs))]
    after = []
    for begins, ends in pairs:
        slot = f"{number}/{ends}"
        outputs[ends] = outputs[ends] or f"{slot}{SEPARATOR}end"
        state = _state(node, values)
        values.setdefault(outputs[ends], replace(state, name=outputs[ends]))
        start = f"{slot}{SEPARATOR}begin"
        values[start] = replace(state, name=start)
        initial = (inputs[begins],) if inputs[begins] else ()
        yield Node("carry", initial, (start,), {"slot": slot})
        after.append(Node("keep", (outputs[ends],), (), {"slot": slot}))
        inputs[begins] = start
    yield replace(node, inputs=tuple(inputs), outputs=tuple(outputs))
    yield from after


def _state(node: Node, values: dict[str, Value]) -> Value:
    """What a state looks like: one direction, the batch, the hidden size; batch first where the layout says so."""
    source, recurrence = values[node.inputs[0]], values[node.inputs[2]]
    hidden = recurrence.shape[-1]
    by_batch = node.integer("layout", 0) == 1
    shape = (source.shape[0], 1, hidden) if by_batch else (1, source.shape[1], hidden)
    return Value("", source.dtype, shape)
