"""What a graph says about quantised tensors: which reals are which quanta, and who reads what."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from publisher.compiler.graph import Graph, Node, Value

BYTES: Final = frozenset({"int8", "uint8"})
SEPARATOR: Final = "\x1f"
"""Names of models can be printed: none of theirs has this."""


@dataclass(frozen=True, slots=True)
class Quantised:
    """A tensor of quanta: names of it, of its scale and of its zero point ("" where that is 0)."""

    name: str
    scale: str
    zero: str
    axis: int = 0

    @property
    def inputs(self) -> tuple[str, str, str]:
        """As operators take it."""
        return self.name, self.scale, self.zero


class Wiring:
    """A graph with an index of who makes what, and room for further constants."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.values = dict(graph.values)
        self.makers = {name: node for node in graph.nodes for name in node.outputs if name}
        self.readers = Counter(name for node in graph.nodes for name in node.inputs)
        self.readers.update(graph.outputs)

    def data(self, name: str) -> NDArray[Any] | None:
        """The data of a constant."""
        return self.values[name].data if name else None

    def number(self, name: str) -> Any | None:
        """The one element of a constant."""
        data = self.data(name)
        return data.reshape(-1)[0] if data is not None and data.size == 1 else None

    def maker(self, name: str, *operators: str) -> Node | None:
        """Who makes a value, if it is one of these operators."""
        node = self.makers.get(name)
        return node if node is not None and node.operator in operators else None

    def only_reader(self, name: str) -> bool:
        """Whether a value is read once."""
        return self.readers[name] == 1

    def constant(self, near: str, data: NDArray[Any]) -> str:
        """Add a constant; its name."""
        name = f"{near}{SEPARATOR}{len(self.values)}"
        self.values[name] = Value(name, data.dtype.name, data.shape, data)
        return name

    def dequantised(self, name: str, dtypes: frozenset[str] = BYTES) -> Quantised | None:
        """The quanta that a real is made of, quantised as a whole or along an axis."""
        node = self.maker(name, "DequantizeLinear")
        if node is None or node.integer("block_size", 0) or self.values[node.inputs[0]].dtype not in dtypes:
            return None
        rank = len(self.values[node.inputs[0]].shape)
        axis = node.integer("axis", 1)
        return Quantised(
            node.inputs[0], node.inputs[1], node.inputs[2] if node.has(2) else "", axis % rank if rank else 0
        )

    def whole(self, name: str) -> Quantised | None:
        """Quanta of 8 bits with one scale, whose scale and zero point are constant."""
        found = self.dequantised(name)
        if found is None or self.number(found.scale) is None:
            return None
        return found if not found.zero or self.number(found.zero) is not None else None

    def whole_dynamic(self, name: str) -> Quantised | None:
        """Quanta of 8 bits with one scale, which may be computed."""
        found = self.dequantised(name)
        if found is None or self.values[found.scale].size != 1:
            return None
        return found if not found.zero or self.values[found.zero].size == 1 else None

    def weights(self, name: str, axis: int) -> Quantised | None:
        """Constant quanta of 8 bits, with one scale or one along `axis`."""
        found = self.dequantised(name)
        if found is None or any(self.data(each) is None for each in found.inputs if each):
            return None
        return found if self.values[found.scale].size == 1 or found.axis == axis else None

    def zero(self, tensor: Quantised, dtype: str = "") -> str:
        """The name of a zero point, which operators are told even where it is 0."""
        if tensor.zero:
            return tensor.zero
        return self.constant("zero", np.zeros((), dtype or self.values[tensor.name].dtype))

    def pruned(self, nodes: list[Node]) -> Graph:
        """The graph of these nodes, without those whose results nobody reads."""
        wanted = set(self.graph.outputs)
        kept: list[Node] = []
        for node in reversed(nodes):
            # What keeps a state has no results.
            if not node.outputs or wanted.intersection(node.outputs):
                wanted.update(node.inputs)
                kept.append(node)
        return replace(self.graph, nodes=tuple(reversed(kept)), values=self.values)
