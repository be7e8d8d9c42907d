"""A model taken apart along an open dimension: the graph of any number of its parts, one after the other."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from publisher.compiler.graph import SEPARATOR, Graph, Node, Value
from publisher.compiler.planning.carrying import carried
from publisher.compiler.separating import (
    FINAL,
    FIXED,
    Along,
    InseparableError,
    Kind,
    Place,
    constant_kind,
    spread,
)
from publisher.compiler.separating_rules import RULES

RECURRENT: Final = frozenset({"LSTM", "GRU", "RNN"})
SHAPED: Final = frozenset({"Reshape", "Expand"})
"""Their second input is the output's shape, which is known besides."""

LONGEST: Final = 2**31 - 1
"""An end that exporters write for no end."""
UNKNOWN: Final = "unknown"
"""A constant that depends on the length in some way."""


@dataclass(frozen=True, slots=True)
class Separation:
    """What is known of each value of a model whose short form is `short`; `sequences` are the numbers of nodes
    that run along it."""

    short: Graph
    kinds: Mapping[str, Kind]
    sequences: frozenset[int]

    def axis(self, name: str) -> int | None:
        """Where the dimension stands in a value."""
        kind = self.kinds[name]
        return kind.axis if isinstance(kind, Along) else None


def separated(short: Graph, long: Graph) -> Separation:
    """The model at both lengths, taken apart. Raises `InseparableError`."""
    shaped = spread(short, long)
    kinds: dict[str, Kind] = {name: shaped[name] or FIXED for name in short.inputs}
    for name, value in short.values.items():
        other = long.values[name].data
        if value.data is not None and other is not None:
            kinds[name] = constant_kind(value.data, other) or UNKNOWN
    sequences: set[int] = set()
    for number, node in enumerate(short.nodes):
        place = Place(node, short, kinds, shaped)
        kinds.update(_outputs(place))
        if node.operator in RECURRENT and place.axis(0) == _time(node):
            sequences.add(number)
    if not any(isinstance(kinds[name], Along) for name in short.inputs):
        raise InseparableError("no input of the model has it")
    if any(kinds[name] == UNKNOWN for name in short.outputs):
        raise InseparableError("a constant output of the model depends on it")
    return Separation(short, kinds, frozenset(sequences))


def _outputs(place: Place) -> dict[str, Kind]:
    node = place.node
    kinds = [place.kind(number) for number in range(len(node.inputs))]
    if node.operator in SHAPED and kinds[1:] == [UNKNOWN]:
        kinds[1:] = [FIXED]
        place = replace(place, kinds={**place.kinds, node.inputs[1]: FIXED})
    place.require(UNKNOWN not in kinds)
    names = [name for name in node.outputs if name]
    grown = [name for name in names if place.shaped[name] is not None]
    if not any(isinstance(kind, Along) for kind in kinds) and not (grown and node.operator == "Expand"):
        place.require(not grown)
        return dict.fromkeys(names, FINAL if FINAL in kinds else FIXED)
    place.require(FINAL not in kinds)
    if node.operator in RECURRENT:
        return _recurrent(place)
    if _is_last(place):
        return dict.fromkeys(names, FINAL)
    place.require(node.operator in RULES)
    RULES[node.operator](place)
    return {name: _along(place, name) for name in names}


def _along(place: Place, name: str) -> Along:
    along = place.shaped[name]
    if along is None:
        raise InseparableError(f"the operator {place.node.operator} reduces it")
    return along


def _time(node: Node) -> int:
    """Which axis of a recurrent layer's input is time; the other of the first two is the batch."""
    return 1 if node.integer("layout", 0) else 0


def _recurrent(place: Place) -> dict[str, Kind]:
    """Along its batch a recurrent layer is separable, along time it goes on from where the part before ended."""
    node, axis = place.node, place.axis(0)
    place.require(axis in {0, 1})
    if axis != _time(node):
        return _recurrent_batch(place)
    place.only(0)
    place.require(node.text("direction", "forward") == "forward" and not node.has(4))
    states = {name: FINAL for name in node.outputs[1:] if name}
    place.require(all(place.shaped[name] is None for name in states))
    if node.outputs[0]:
        place.require(place.out() == _time(node))
        return {node.outputs[0]: _along(place, node.outputs[0]), **states}
    return dict(states)


def _recurrent_batch(place: Place) -> dict[str, Kind]:
    node = place.node
    by_batch = node.integer("layout", 0) == 1
    place.only(0, 4, 5, 6)
    for number, axis in ((4, 0), (5, 0 if by_batch else 1), (6, 0 if by_batch else 1)):
        place.require(not node.has(number) or place.axis(number) == axis)
    for number, name in enumerate(node.outputs):
        expected = 0 if by_batch else 2 if number == 0 else 1
        place.require(not name or place.out(number) == expected)
    return {name: _along(place, name) for name in node.outputs if name}


def _is_last(place: Place) -> bool:
    """Whether a node takes the last element of the dimension, as models do that judge a whole sequence."""
    node, axis = place.node, place.axis(0)
    if axis is None or place.out() is not None:
        return False
    if node.operator == "Gather":
        return node.integer("axis", 0) % place.rank(0) == axis and _ones(place, 1) == -1
    if node.operator == "Slice" and node.version >= 10:
        axes, steps = _ones(place, 3), _ones(place, 4) if node.has(4) else 1
        to_the_end = (_ones(place, 2) or 0) >= LONGEST
        return axes is not None and axes % place.rank(0) == axis and _ones(place, 1) == -1 and to_the_end and steps == 1
    return False


def _ones(place: Place, number: int) -> int | None:
    """The only element of a fixed constant."""
    data = place.constant(number)
    return int(data.ravel()[0]) if data is not None and data.size == 1 else None


def part(separation: Separation, count: int) -> Graph:
    """The graph that computes `count` elements of the dimension, after those that it computed before."""
    short = separation.short
    values = {name: _part(value, separation.kinds[name], count) for name, value in short.values.items()}
    nodes = []
    for node in short.nodes:
        if node.operator in SHAPED and separation.kinds[node.inputs[1]] == UNKNOWN:
            out = values[node.outputs[0]]
            shape = np.asarray(out.shape, np.int64)
            name = f"{out.name}{SEPARATOR}shape"
            values[name] = Value(name, "int64", shape.shape, shape)
            nodes.append(replace(node, inputs=(node.inputs[0], name)))
        else:
            nodes.append(node)
    graph = replace(short, nodes=tuple(nodes), values=values)
    return carried(graph, separation.sequences)


def _part(value: Value, kind: Kind, count: int) -> Value:
    if not isinstance(kind, Along):
        return value
    shape = list(value.shape)
    shape[kind.axis] = kind.each * count
    return replace(value, shape=tuple(shape), data=_repeated(value.data, kind, count))


def _repeated(data: NDArray[Any] | None, kind: Along, count: int) -> NDArray[Any] | None:
    if data is None:
        return None
    one = np.take(data, range(kind.each), kind.axis)
    return np.ascontiguousarray(np.concatenate([one] * count, kind.axis))
