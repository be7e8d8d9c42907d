"""Functions that a model defines are put in the place of their calls, when that makes no enormous model."""

from collections.abc import Iterable, Iterator

import onnx
from onnx import inliner

from publisher.compiler.importing.bounds import NODES
from publisher.compiler.importing.parsing import branches, check_names
from publisher.compiler.importing.refusing import explained, quoted, refused

Key = tuple[str, str, str]


def inlined(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model without functions. Raises `ConfigurationError` where they call themselves, or one another too often."""
    if not model.functions:
        return model
    sizes = _sizes({(each.domain, each.name, each.overload): each for each in model.functions})
    if sum(sizes.get(_key(node), 1) for node in _all(model.graph.node)) > NODES:
        raise refused("the model has too many nodes", "nodes", f"at most {NODES}", "more, in functions")
    with explained("the functions in the model cannot be resolved"):
        model = inliner.inline_local_functions(model)
    check_names(model)
    return model


def _sizes(functions: dict[Key, onnx.FunctionProto]) -> dict[Key, int]:
    """How many nodes each function becomes, those that it calls before itself."""
    sizes: dict[Key, int] = {}
    waiting = {key: [_key(node) for node in _all(each.node)] for key, each in functions.items()}
    while waiting:
        ready = [key for key, calls in waiting.items() if not any(each in waiting for each in calls)]
        if not ready:
            name = quoted(next(iter(waiting))[1])
            raise refused("a function of the model calls itself", "functions", "acyclic", name)
        for key in ready:
            sizes[key] = sum(sizes.get(each, 1) for each in waiting.pop(key))
    return sizes


def _key(node: onnx.NodeProto) -> Key:
    return node.domain, node.op_type, node.overload


def _all(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    for node in nodes:
        yield node
        for graph in branches(node):
            yield from _all(graph.node)
