"""What the compiler works on: a graph in which every shape is fixed and every constant known."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Attribute = int | float | str | tuple[int, ...] | tuple[float, ...] | tuple[str, ...] | NDArray[Any]
"""What a node may be told besides its inputs."""

C_TYPES: Final = {
    "float32": "float",
    "float64": "double",
    "int8": "int8_t",
    "uint8": "uint8_t",
    "int16": "int16_t",
    "uint16": "uint16_t",
    "int32": "int32_t",
    "uint32": "uint32_t",
    "int64": "int64_t",
    "uint64": "uint64_t",
    # Any byte may come from outside, and a `_Bool` that is neither 0 nor 1 is undefined: kernels ask `!= 0`.
    "bool": "uint8_t",
}
"""The types of elements, by numpy's names, and what each is in C."""

SEPARATOR: Final = "\x1f"
"""In no name that a model may have, so that names made with it are new."""


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor, row-major: `shape` may be () and may hold zeros. `data` where it is a constant."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    data: NDArray[Any] | None = field(default=None, repr=False, compare=False)

    @property
    def size(self) -> int:
        """How many elements."""
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        """How many bytes."""
        return self.size * np.dtype(self.dtype).itemsize


@dataclass(frozen=True, slots=True)
class Node:
    """One operation. An input that is left out is "". `operator` is ONNX's name; the planner's own are lower-case.

    `version` is that of the operator set its model was written for; operators of ai.onnx.ml are "ml.Scaler" and so on.
    """

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    name: str = ""
    version: int = 0

    def has(self, number: int) -> bool:
        """Whether an optional input is there."""
        return number < len(self.inputs) and self.inputs[number] != ""

    def integer(self, name: str, default: int) -> int:
        """An attribute that is one integer."""
        found = self.attributes.get(name, default)
        return found if isinstance(found, int) else default

    def number(self, name: str, default: float) -> float:
        """An attribute that is one number."""
        found = self.attributes.get(name, default)
        return float(found) if isinstance(found, int | float) else default

    def text(self, name: str, default: str) -> str:
        """An attribute that is a word."""
        found = self.attributes.get(name, default)
        return found if isinstance(found, str) else default

    def integers(self, name: str, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """An attribute that is a list of integers."""
        found = self.attributes.get(name, default)
        return tuple(int(each) for each in found if isinstance(each, int)) if isinstance(found, tuple) else default

    def numbers(self, name: str) -> tuple[float, ...]:
        """An attribute that is a list of numbers; () where it is left out."""
        found = self.attributes.get(name, ())
        return tuple(float(each) for each in found if isinstance(each, int | float)) if isinstance(found, tuple) else ()

    def texts(self, name: str) -> tuple[str, ...]:
        """An attribute that is a list of words; () where it is left out."""
        found = self.attributes.get(name, ())
        return tuple(each for each in found if isinstance(each, str)) if isinstance(found, tuple) else ()


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes in an order in which they can run; `inputs` and `outputs` name values that callers see, in order.

    `labels` are the names of an output's classes, by the output's name; `notes` say in words what the importer decided
    by itself.
    """

    nodes: tuple[Node, ...]
    values: Mapping[str, Value] = field(repr=False)
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def constant(self, name: str) -> NDArray[Any] | None:
        """The data of a constant; None for what is computed, and for the input that is left out."""
        return self.values[name].data if name else None

    def consumers(self, name: str) -> Iterator[Node]:
        """The nodes that read a value."""
        return (node for node in self.nodes if name in node.inputs)

    def with_nodes(self, nodes: tuple[Node, ...], *values: Value) -> "Graph":
        """This graph with other nodes, and with further or changed values."""
        return replace(self, nodes=nodes, values={**self.values, **{each.name: each for each in values}})
