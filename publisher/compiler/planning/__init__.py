"""From the graph as it was trained to the graph as it runs: passes from graph to graph, then the memory plan."""

from collections.abc import Callable
from typing import Final

from publisher.compiler.graph import Graph
from publisher.compiler.planning.affine import fold_affine
from publisher.compiler.planning.chains import chains
from publisher.compiler.planning.fusion import fuse
from publisher.compiler.planning.layout import channels_last
from publisher.compiler.planning.quantised import integer_forms

Pass = Callable[[Graph], Graph]

PASSES: Final[tuple[Pass, ...]] = (
    integer_forms,
    fold_affine,
    channels_last,
    fuse,
    chains,
)
"""In this order. Each leaves what the graph computes as it is."""


def planned(graph: Graph) -> Graph:
    """The graph after every pass."""
    for change in PASSES:
        graph = change(graph)
    return graph
