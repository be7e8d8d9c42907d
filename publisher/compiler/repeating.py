"""A model one of whose dimensions is open, up to a maximum: a batch, or the length of a sequence."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from publisher.compiler.graph import Graph


@dataclass(frozen=True, slots=True)
class Dim:
    """An open dimension by the model's name for it, and the lengths that the module takes."""

    name: str
    maximum: int
    minimum: int = 1


@dataclass(frozen=True, slots=True)
class Layout:
    """How tensors lie one after the other: of each, bytes whatever the count, and bytes for each count."""

    parts: tuple[tuple[int, int], ...]

    @property
    def fixed(self) -> int:
        """Bytes whatever the count."""
        return sum(fixed for fixed, _ in self.parts)

    @property
    def each(self) -> int:
        """Bytes more for each repetition."""
        return sum(each for _, each in self.parts)

    def places(self) -> Iterator[str]:
        """Where each tensor begins, as a C expression of `count`."""
        fixed = each = 0
        for own_fixed, own_each in self.parts:
            yield f"({fixed} + {each} * count)"
            fixed, each = fixed + own_fixed, each + own_each


@dataclass(frozen=True, slots=True)
class Repeated:
    """One model for every length of a dimension between `minimum` and `maximum`.

    `graphs` compute so many repetitions each. With `loops`, any number is a sum of them, one pass after the other;
    without, there is one graph for every length. `axes` say where the dimension stands in inputs and outputs.
    """

    minimum: int
    maximum: int
    loops: bool
    graphs: Mapping[int, Graph]
    axes: Mapping[str, int | None]

    def changed(self, change: Callable[[Graph], Graph]) -> "Repeated":
        """With every graph changed, e.g. `planned`."""
        return replace(self, graphs={count: change(graph) for count, graph in self.graphs.items()})

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of inputs, in order."""
        return self._one[1].inputs

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of outputs, in order."""
        return self._one[1].outputs

    @property
    def input_layout(self) -> Layout:
        """How inputs lie in what the caller gives."""
        return self._layout(self.inputs)

    @property
    def output_layout(self) -> Layout:
        """How outputs lie in what the caller gets."""
        return self._layout(self.outputs)

    @property
    def input_bytes(self) -> int:
        """Of the longest input."""
        return self.input_layout.fixed + self.input_layout.each * self.maximum

    @property
    def output_bytes(self) -> int:
        """Of the longest output."""
        return self.output_layout.fixed + self.output_layout.each * self.maximum

    @property
    def _one(self) -> tuple[int, Graph]:
        return min(self.graphs.items(), key=lambda each: each[0])

    def _layout(self, names: Sequence[str]) -> Layout:
        count, graph = self._one
        parts = []
        for name in names:
            size = graph.values[name].bytes
            parts.append((size, 0) if self.axes[name] is None else (0, size // count))
        return Layout(tuple(parts))
