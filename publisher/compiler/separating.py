"""Whether a model computes each element of an open dimension on its own, or one after the other as a sequence.

The same model at two lengths shows where the dimension stands in every value. A value is then
fixed     the same at every length,
along     spread along one axis: that part of it depends on the same part of the inputs (and on earlier ones, where a
          recurrent layer runs along the axis), or
final     what a recurrent layer knows at the end.
Operators say by rules below under which conditions that holds; one without a rule, or outside its conditions, makes
the model inseparable. The rules follow from ONNX's definitions of the operators.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from publisher.compiler.graph import Graph, Node

SHORT: Final = 2
LONG: Final = 3
"""The lengths that are compared. 1 is none of them: it looks like a dimension that is not there."""


class InseparableError(Exception):
    """The model mixes what stands at different places of the dimension, or nobody here knows that it does not."""


@dataclass(frozen=True, slots=True)
class Along:
    """Spread along an axis: `each` elements of it for every count of the dimension."""

    axis: int
    each: int


FIXED: Final = "fixed"
FINAL: Final = "final"
Kind = Along | str


@dataclass(frozen=True, slots=True)
class Place:
    """A node, and what the rules need to know of its surroundings."""

    node: Node
    graph: Graph
    kinds: Mapping[str, Kind]
    shaped: Mapping[str, Along | None]

    def kind(self, number: int) -> Kind:
        """Of an input; one that is left out is fixed."""
        return self.kinds[self.node.inputs[number]] if self.node.has(number) else FIXED

    def axis(self, number: int) -> int | None:
        """Along which axis an input is spread."""
        kind = self.kind(number)
        return kind.axis if isinstance(kind, Along) else None

    def out(self, number: int = 0) -> int | None:
        """Along which axis an output's shape grows."""
        along = self.shaped[self.node.outputs[number]]
        return None if along is None else along.axis

    def rank(self, number: int) -> int:
        """Dimensions of an input."""
        return len(self.shape(number))

    def shape(self, number: int) -> tuple[int, ...]:
        """Of an input, at the short length."""
        return self.graph.values[self.node.inputs[number]].shape

    def out_shape(self) -> tuple[int, ...]:
        """Of the first output, at the short length."""
        return self.graph.values[self.node.outputs[0]].shape

    def constant(self, number: int) -> NDArray[Any] | None:
        """An input that is constant and fixed."""
        if not self.node.has(number) or self.kind(number) != FIXED:
            return None
        return self.graph.constant(self.node.inputs[number])

    def only(self, *numbers: int) -> None:
        """All other inputs are fixed."""
        for number in range(len(self.node.inputs)):
            self.require(number in numbers or self.kind(number) == FIXED)

    def require(self, holds: bool) -> None:
        """Raises `InseparableError` where a condition does not hold."""
        if not holds:
            raise InseparableError(f"the operator {self.node.operator} may mix what stands at different places of it")


def spread(short: Graph, long: Graph) -> dict[str, Along | None]:
    """Where the dimension stands in each value, by the shapes of one model at both lengths."""
    _check_same(short, long)
    found: dict[str, Along | None] = {}
    for name, value in short.values.items():
        other = long.values[name].shape
        if len(value.shape) != len(other):
            raise InseparableError("a value has another number of dimensions at another length")
        axes = [axis for axis, (one, two) in enumerate(zip(value.shape, other, strict=True)) if one != two]
        found[name] = _along(value.shape, other, axes) if value.data is None else None
    return found


def _along(short: Sequence[int], long: Sequence[int], axes: Sequence[int]) -> Along | None:
    if not axes:
        return None
    each = long[axes[0]] - short[axes[0]]
    if len(axes) > 1 or short[axes[0]] != SHORT * each:
        raise InseparableError("a value does not grow evenly with it")
    return Along(axes[0], each)


def _check_same(short: Graph, long: Graph) -> None:
    """Raises `InseparableError` where the nodes differ, or what they are told besides constants."""
    if len(short.nodes) != len(long.nodes) or not short.values.keys() == long.values.keys():
        raise InseparableError("the model has other operators at another length")
    for one, two in zip(short.nodes, long.nodes, strict=True):
        same = (one.operator, one.inputs, one.outputs) == (two.operator, two.inputs, two.outputs)
        if not same or not same_attributes(one, two):
            raise InseparableError(f"the operator {one.operator} is told something else at another length")


def same_attributes(one: Node, two: Node) -> bool:
    """Whether two nodes have the same attributes."""
    return one.attributes.keys() == two.attributes.keys() and all(
        _same(each, two.attributes[name]) for name, each in one.attributes.items()
    )


def _same(one: object, two: object) -> bool:
    if isinstance(one, np.ndarray) and isinstance(two, np.ndarray):
        return one.dtype == two.dtype and np.array_equal(one, two)
    return type(one) is type(two) and one == two


def constant_kind(short: NDArray[Any], long: NDArray[Any]) -> Kind | None:
    """Of a constant: fixed, or the same part again and again along an axis; None when it is neither."""
    if _same(short, long):
        return FIXED
    axes = [axis for axis, (one, two) in enumerate(zip(short.shape, long.shape, strict=False)) if one != two]
    if short.dtype != long.dtype or short.ndim != long.ndim or len(axes) != 1:
        return None
    each = long.shape[axes[0]] - short.shape[axes[0]]
    if each <= 0 or short.shape[axes[0]] != SHORT * each:
        return None
    part = np.take(short, range(each), axes[0])
    spread_evenly = all(
        np.array_equal(np.concatenate([part] * count, axes[0]), whole)
        for count, whole in ((SHORT, short), (LONG, long))
    )
    return Along(axes[0], each) if spread_evenly else None
