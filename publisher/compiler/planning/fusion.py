"""Operators that work element by element become the epilogue of the product before them, or one step together.

A region begins with a convolution, a product, or the first of such operators, and takes in what follows as long as only
its last value is read from outside. Its instructions are those of operators/epilogue.py.
"""

from dataclasses import dataclass, replace
from typing import Final

from publisher.compiler.graph import Graph, Node, Value
from publisher.compiler.operators.epilogue import fits, number
from publisher.compiler.planning.instructions import RULES, Writer
from publisher.compiler.planning.liveness import is_view

HEADS: Final = {"Gemm": 3, "MatMul": 2, "conv": 3, "conv_transpose": 3}
"""Products that have an epilogue, and how many inputs of their own."""

MATRICES: Final = frozenset({"Gemm", "MatMul"})
"""Products that do not look at their output's shape."""

FUSED: Final = "fused"
MOST_INSTRUCTIONS: Final = 40
NARROWEST: Final = 4
"""Products of fewer columns are left alone: what follows is quicker along all elements than column by column."""


@dataclass(slots=True)
class Region:
    """A node while it grows. `words` says which operand a value is; `made` are the values that it computes."""

    node: Node
    out: Value
    words: dict[str, str]
    inputs: list[str]
    taken: tuple[int, ...] = ()
    program: tuple[str, ...] = ()
    made: tuple[str, ...] = ()

    def whole(self) -> Node:
        """The region as one node."""
        attributes = {**self.node.attributes, "epilogue": self.program}
        return replace(self.node, inputs=tuple(self.inputs), outputs=(self.out.name,), attributes=attributes)


def fuse(graph: Graph) -> Graph:
    """The graph with regions as single nodes, each where its last node was: all that it reads is computed by then."""
    return _Fusion(graph).graph()


class _Fusion:
    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._gone: set[int] = set()
        self._readers: dict[str, list[int]] = {name: [len(graph.nodes)] for name in graph.outputs}
        for index, node in enumerate(graph.nodes):
            for name in dict.fromkeys(node.inputs):
                self._readers.setdefault(name, []).append(index)

    def graph(self) -> Graph:
        placed: dict[int, Node] = {}
        for index, node in enumerate(self._graph.nodes):
            region = None if index in self._gone else self._region(index, node)
            if region is not None:
                self._gone.update(region.taken)
                placed[max(region.taken)] = region.whole()
        everything = enumerate(self._graph.nodes)
        nodes = [placed.get(index, node) for index, node in everything if index in placed or index not in self._gone]
        return self._graph.with_nodes(tuple(nodes))

    def _region(self, index: int, node: Node) -> Region | None:
        """The largest region that begins with a node; None where it would be that node alone."""
        if node.operator not in HEADS and node.operator not in RULES:
            return None
        out = self._graph.values[node.outputs[0]]
        if out.dtype != "float32" or not out.shape or out.size == 0:
            return None
        if node.operator in HEADS:
            if out.shape[-1] < NARROWEST or len(node.outputs) != 1:
                return None
            inputs = [*node.inputs, *[""] * (HEADS[node.operator] - len(node.inputs))]
            return self._grown(Region(node, out, {out.name: "r0"}, inputs, (index,), (), (out.name,)))
        main = next((name for name in node.inputs if name and self._is_main(name, out)), None)
        if main is None:
            return None
        started = self._with(Region(Node(FUSED, (), ()), out, {main: "r0"}, [main]), index)
        return None if started is None else self._grown(started)

    def _is_main(self, name: str, out: Value) -> bool:
        value = self._graph.values[name]
        return value.shape == out.shape and value.dtype == "float32" and value.data is None

    def _grown(self, region: Region) -> Region | None:
        best, refused = None, set(self._gone)
        while len(region.program) < MOST_INSTRUCTIONS:
            readers = {index for name in region.made for index in self._readers.get(name, ())}
            readers -= {*region.taken, *refused, len(self._graph.nodes)}
            if not readers:
                break
            further = self._with(region, min(readers))
            if further is None:
                refused.add(min(readers))
                continue
            region = further
            if self._is_closed(region):
                best = region
        return best

    def _is_closed(self, region: Region) -> bool:
        """Whether nothing outside reads a value of the region but its last."""
        return all(set(self._readers.get(name, ())) <= set(region.taken) for name in region.made[:-1])

    def _with(self, region: Region, index: int) -> Region | None:
        """The region and one node more, if there are instructions for it."""
        node = self._graph.nodes[index]
        rule = RULES.get(node.operator)
        if is_view(node):
            return self._seen(region, index)
        if rule is None or len(node.outputs) != 1:
            return None
        out = self._graph.values[node.outputs[0]]
        if out.dtype != "float32" or out.shape != region.out.shape:
            return None
        words, inputs = dict(region.words), list(region.inputs)
        operands = [self._word(name, out, words, inputs) if name else "" for name in node.inputs]
        writer = Writer(list(region.program))
        if None in operands or not rule(node, writer, [each or "" for each in operands]):
            return None
        words[out.name] = f"r{len(writer.program)}"
        made = (*region.made, out.name)
        return Region(region.node, out, words, inputs, (*region.taken, index), tuple(writer.program), made)

    def _seen(self, region: Region, index: int) -> Region | None:
        """The region and a view of its last value that adds dimensions of 1 in front."""
        node = self._graph.nodes[index]
        out, source, shape = self._graph.values[node.outputs[0]], node.inputs[0], region.out.shape
        further = len(out.shape) - len(shape)
        same = further >= 0 and out.shape == (*[1] * further, *shape)
        if source != region.out.name or not same or region.node.operator not in MATRICES:
            return None
        words, made = {**region.words, out.name: region.words[source]}, (*region.made, out.name)
        return replace(region, out=out, words=words, taken=(*region.taken, index), made=made)

    def _word(self, name: str, out: Value, words: dict[str, str], inputs: list[str]) -> str | None:
        value = self._graph.values[name]
        if name in words:
            return words[name]
        if (
            value.data is not None
            and value.size == 1
            and value.dtype == "float32"
            and len(value.shape) <= len(out.shape)
        ):
            return number(float(value.data.reshape(-1)[0]))
        if not fits(value, out):
            return None
        words[name] = f"i{len(inputs)}"
        inputs.append(name)
        return words[name]
