"""Where values lie: one arena in which the bytes of a value are another's when nobody reads it any more."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from publisher.compiler.graph import Graph
from publisher.compiler.planning.liveness import Buffer, buffers, shared

ALIGNMENT: Final = 64

ORDERS: Final[tuple[Callable[[Buffer, int], tuple[int, ...]], ...]] = (
    lambda each, _: (-each.size, each.first, each.last),
    lambda each, pressure: (-pressure, each.first - each.last, -each.size, each.first),
    lambda each, _: (-each.size * (each.last - each.first + 1), each.first),
    lambda each, _: (each.first - each.last, -each.size, each.first),
)
"""Orders in which buffers are placed, given the most that is needed while each is: the best for a graph is kept."""


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """`offsets` of buffers in the arena; `roots` say in whose buffer a value is that has none of its own."""

    offsets: Mapping[str, int]
    roots: Mapping[str, str]
    arena_bytes: int


def plan_memory(graph: Graph) -> MemoryPlan:
    """Each buffer at the lowest place that is free while it is needed, in the order that takes the least."""
    roots = shared(graph)
    needed = buffers(graph, roots)
    pressures = _pressures(needed)
    best: dict[str, int] = {}
    size = -1
    for order in ORDERS:
        offsets = _placed(sorted(needed, key=lambda each: order(each, pressures[each.name])))
        total = max((offsets[each.name] + _aligned(each.size) for each in needed), default=0)
        if size < 0 or total < size:
            best, size = offsets, total
        if size == max(pressures.values(), default=0):
            break
    return MemoryPlan(best, roots, size)


def lower_bound(graph: Graph) -> int:
    """Bytes that are needed at the same time, at the step that needs the most: no plan can do with less."""
    return max(_pressures(buffers(graph, shared(graph))).values(), default=0)


def _pressures(needed: Sequence[Buffer]) -> dict[str, int]:
    """For each buffer, the most bytes that are needed at one time while it is, itself included."""
    totals: dict[int, int] = {}
    for each in needed:
        for step in range(each.first, each.last + 1):
            totals[step] = totals.get(step, 0) + _aligned(each.size)
    return {each.name: max(totals[step] for step in range(each.first, each.last + 1)) for each in needed}


def _placed(order: Sequence[Buffer]) -> dict[str, int]:
    """First fit. Each step knows the buffers that are there then, so that only those are looked at."""
    present: dict[int, list[tuple[int, int]]] = {}
    offsets: dict[str, int] = {}
    for each in order:
        steps = range(each.first, each.last + 1)
        offset = _fit(sorted({place for step in steps for place in present.get(step, ())}), _aligned(each.size))
        offsets[each.name] = offset
        for step in steps:
            present.setdefault(step, []).append((offset, offset + _aligned(each.size)))
    return offsets


def _fit(taken: Sequence[tuple[int, int]], size: int) -> int:
    offset = 0
    for start, end in taken:
        if start >= offset + size:
            break
        offset = max(offset, end)
    return offset


def _aligned(size: int) -> int:
    return max(ALIGNMENT, -(-size // ALIGNMENT) * ALIGNMENT)
