"""Where values lie: one arena in which the bytes of a value are another's when nobody reads it any more."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from publisher.compiler.graph import Graph, Node

ALIGNMENT: Final = 64
VIEWS: Final = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout"})
"""Operators whose first output is their first input, byte for byte: nothing is computed."""


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """`offsets` of computed values in the arena, views at what they view; `roots` say which value a view views."""

    offsets: Mapping[str, int]
    roots: Mapping[str, str]
    arena_bytes: int


def plan_memory(graph: Graph) -> MemoryPlan:
    """First fit, the largest first."""
    roots = _roots(graph)
    lives = _lives(graph, roots)
    placed: list[tuple[int, int, str]] = []
    offsets: dict[str, int] = {}
    for name in sorted(lives, key=lambda each: (-graph.values[each].bytes, lives[each], each)):
        size = _aligned(graph.values[name].bytes)
        offset = 0
        for start, end, other in sorted(placed):
            if _overlap(lives[name], lives[other]) and offset < end and start < offset + size:
                offset = end
        offsets[name] = offset
        placed.append((offset, offset + size, name))
    views = {name: offsets[root] for name, root in roots.items() if root in offsets}
    return MemoryPlan({**views, **offsets}, roots, max((end for _, end, _ in placed), default=0))


def is_view(node: Node) -> bool:
    """Whether a node's only output is its first input under another shape."""
    # A Dropout with a third input may be in training mode: its operator says.
    trained = node.operator == "Dropout" and node.has(2)
    return node.operator in VIEWS and not any(node.outputs[1:]) and not trained


def _roots(graph: Graph) -> dict[str, str]:
    roots: dict[str, str] = {}
    for node in graph.nodes:
        if is_view(node):
            roots[node.outputs[0]] = roots.get(node.inputs[0], node.inputs[0])
    return roots


def _lives(graph: Graph, roots: Mapping[str, str]) -> dict[str, tuple[int, int]]:
    """The first and last step of each value that is computed. Inputs and constants lie elsewhere."""
    lives: dict[str, tuple[int, int]] = {}
    for number, node in enumerate(graph.nodes):
        names = [roots.get(each, each) for each in (*node.inputs, *node.outputs) if each]
        for name in names:
            first, _ = lives.get(name, (number, number))
            lives[name] = (first, number)
    for name in graph.outputs:
        root = roots.get(name, name)
        if root in lives:
            lives[root] = (lives[root][0], len(graph.nodes))
    computed = {name for node in graph.nodes for name in node.outputs if name}
    return {name: life for name, life in lives.items() if name in computed and name not in roots}


def _overlap(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]


def _aligned(size: int) -> int:
    return max(ALIGNMENT, -(-size // ALIGNMENT) * ALIGNMENT)
