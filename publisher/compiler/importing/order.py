"""Nodes after what they read."""

from collections.abc import Sequence
from heapq import heapify, heappop, heappush

import onnx

from publisher.compiler.importing.parsing import branches
from publisher.compiler.importing.refusing import quoted, refused


def sort(graph: onnx.GraphProto) -> None:
    """Put nodes after what they read, in place: in their own order when it will do.

    Raises `ConfigurationError` for values that are nowhere defined, and for cycles.
    """
    known = {each.name for each in (*graph.initializer, *graph.input)}
    ordered = _sorted(list(graph.node), known)
    del graph.node[:]
    graph.node.extend(ordered)
    known.update(name for node in ordered for name in node.output)
    for info in graph.output:
        if info.name not in known:
            raise refused(f"the output {quoted(info.name)} is nowhere defined", "outputs", "defined", "missing")


def _sorted(nodes: Sequence[onnx.NodeProto], known: set[str]) -> list[onnx.NodeProto]:
    makers = {name: number for number, node in enumerate(nodes) for name in node.output if name}
    readers: list[list[int]] = [[] for _ in nodes]
    waits = [0] * len(nodes)
    for number, node in enumerate(nodes):
        for name in sorted(reads(node) - known):
            if name not in makers:
                message = f"the input {quoted(name)} of a {quoted(node.op_type)} is nowhere defined"
                raise refused(message, "inputs", "defined", "missing")
            readers[makers[name]].append(number)
            waits[number] += 1
    return [nodes[number] for number in _order(readers, waits, nodes)]


def _order(readers: list[list[int]], waits: list[int], nodes: Sequence[onnx.NodeProto]) -> list[int]:
    ready = [number for number, count in enumerate(waits) if count == 0]
    heapify(ready)
    order = []
    while ready:
        order.append(number := heappop(ready))
        for reader in readers[number]:
            waits[reader] -= 1
            if waits[reader] == 0:
                heappush(ready, reader)
    if len(order) < len(nodes):
        stuck = nodes[next(number for number, count in enumerate(waits) if count)]
        name = quoted(next(iter(stuck.output), ""))
        raise refused("the model's graph has a cycle", "graph", "acyclic", f"{name} waits for itself")
    return order


def reads(node: onnx.NodeProto) -> set[str]:
    """The names of values that a node reads, those that its branches take from outside included."""
    found = set(node.input)
    for graph in branches(node):
        inside = {each.name for each in (*graph.initializer, *graph.input)}
        inside |= {name for each in graph.node for name in each.output}
        found |= {name for each in graph.node for name in reads(each)} - inside
        found |= {each.name for each in graph.output} - inside
    return found - {""}
