"""A convolution of each channel alone, what is before and the product after it become one step: kernels/chain.h."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from publisher.compiler.graph import Attribute, Graph, Node
from publisher.compiler.operators.depthwise import is_small
from publisher.compiler.operators.epilogue import instructions
from publisher.compiler.operators.window import window_of

CHAIN: Final = "chain"
PARTS: Final = ("first", "middle", "last")
FEWEST_CHANNELS: Final = 16
"""From here on operators/winograd.py may be better at larger kernels."""

WIDEST: Final = 32
"""Lines are padded, which is not worth memory beyond this."""

MOST_WEIGHTS: Final = 32 * 1024
"""Products of more weights than this are better left alone: they would pass by once for every band."""


def chains(graph: Graph) -> Graph:
    """The graph with such chains as single nodes, each where its last node was."""
    makers = {name: number for number, node in enumerate(graph.nodes) for name in node.outputs}
    readers: dict[str, list[int]] = {name: [-1] for name in graph.outputs}
    for number, node in enumerate(graph.nodes):
        for name in dict.fromkeys(node.inputs):
            readers.setdefault(name, []).append(number)
    gone: set[int] = set()
    placed: dict[int, Node] = {}
    for number, node in enumerate(graph.nodes):
        if not _is_depthwise(node, graph):
            continue
        parts = {"middle": number, **_neighbours(number, graph, makers, readers)}
        if len(parts) > 1 and not gone.intersection(parts.values()):
            gone.update(parts.values())
            placed[max(parts.values())] = _chain({name: graph.nodes[each] for name, each in parts.items()})
    nodes = (
        placed.get(number, node) for number, node in enumerate(graph.nodes) if number in placed or number not in gone
    )
    return graph.with_nodes(tuple(nodes))


def part(node: Node, name: str) -> Node | None:
    """A part of a chain, as it was."""
    head = f"{name}."
    own = {key.removeprefix(head): each for key, each in node.attributes.items() if key.startswith(head)}
    inputs, outputs = own.pop("inputs", None), own.pop("outputs", None)
    if not isinstance(inputs, tuple) or not isinstance(outputs, tuple):
        return None
    return Node("conv", tuple(map(str, inputs)), tuple(map(str, outputs)), own)


def _chain(parts: Mapping[str, Node]) -> Node:
    attributes: dict[str, Attribute] = {}
    for name, node in parts.items():
        given: dict[str, Attribute] = {"inputs": node.inputs, "outputs": node.outputs, **node.attributes}
        attributes |= {f"{name}.{key}": each for key, each in given.items()}
    ordered = [parts[name] for name in PARTS if name in parts]
    made = {name for node in ordered[:-1] for name in node.outputs}
    inputs = dict.fromkeys(name for node in ordered for name in node.inputs if name and name not in made)
    return replace(ordered[-1], operator=CHAIN, inputs=tuple(inputs), attributes=attributes)


def _neighbours(
    number: int, graph: Graph, makers: Mapping[str, int], readers: Mapping[str, list[int]]
) -> dict[str, int]:
    """The convolution before and the product after, where nothing else reads what is in between."""
    node, found = graph.nodes[number], {}
    before, after = makers.get(node.inputs[0], -1), readers.get(node.outputs[0], [])
    if before >= 0 and readers[node.inputs[0]] == [number] and _may_be_first(graph.nodes[before], node, graph):
        found["first"] = before
    if len(after) == 1 and after[0] >= 0 and _is_by_channel(node, graph):
        reader = graph.nodes[after[0]]
        light = _is_pointwise(reader, graph) and _is_light(reader, graph)
        if light and reader.inputs[0] == node.outputs[0]:
            found["last"] = after[0]
    return found


def _may_be_first(maker: Node, node: Node, graph: Graph) -> bool:
    if not _is_plain(maker, graph) or not _is_by_channel(maker, graph):
        return False
    narrow = graph.values[maker.inputs[0]].shape[-1] < FEWEST_CHANNELS
    return (narrow or _is_pointwise(maker, graph)) and (_is_light(maker, graph) or _is_near(node, graph))


def _is_depthwise(node: Node, graph: Graph) -> bool:
    if node.operator != "conv" or not _is_constant(node, graph):
        return False
    shape, weights = graph.values[node.inputs[0]].shape, graph.values[node.inputs[1]].shape
    groups = node.integer("group", 1)
    if max((*node.integers("pads"), *node.integers("dilations")), default=0) >= WIDEST:
        return False
    return len(shape) == 4 and groups == shape[-1] == weights[0] > 1 and graph.values[node.outputs[0]].size > 0


def _is_near(node: Node, graph: Graph) -> bool:
    """Whether bands are whole images: all weights pass by once."""
    source, weights, out = (graph.values[name].shape for name in (*node.inputs[:2], node.outputs[0]))
    return is_small(window_of(node, source[1:-1], weights[2:], out[1:-1]))


def _is_pointwise(node: Node, graph: Graph) -> bool:
    if not _is_plain(node, graph):
        return False
    source, out = graph.values[node.inputs[0]].shape, graph.values[node.outputs[0]].shape
    weights = graph.values[node.inputs[1]]
    plain = set(node.integers("strides")) <= {1} and not any(node.integers("pads")) and weights.shape[2:] == (1, 1)
    return source[:-1] == out[:-1] and plain


def _is_plain(node: Node, graph: Graph) -> bool:
    """Whether it is a convolution of one group, of known weights."""
    if node.operator != "conv" or not _is_constant(node, graph) or node.integer("group", 1) != 1:
        return False
    return len(graph.values[node.inputs[0]].shape) == 4


def _is_light(node: Node, graph: Graph) -> bool:
    return graph.values[node.inputs[1]].size <= MOST_WEIGHTS


def _is_constant(node: Node, graph: Graph) -> bool:
    return all(graph.constant(name) is not None for name in node.inputs[1:3] if name)


def _is_by_channel(node: Node, graph: Graph) -> bool:
    """Whether the epilogue reads nothing that depends on the place: it is told places of a band."""
    words = {word for each in instructions(node) for word in each.split(" ")[1:] if word[0] == "i"}
    shapes = [graph.values[node.inputs[int(word[1:])]].shape for word in words]
    return all(all(length == 1 for length in shape[:-1]) for shape in shapes)
