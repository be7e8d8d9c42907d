"""Bytes to an ONNX model whose structure was looked through: counts, names, domains, versions.

What this module passes may still be wrong in ways that only ONNX's checker and shape inference find.
"""

from collections.abc import Iterator
from typing import Final

import onnx

from publisher.compiler.errors import UnsupportedError
from publisher.compiler.importing.bounds import MODEL_BYTES, NAME, NESTING, NODES
from publisher.compiler.importing.refusing import quoted, refused

DOMAINS: Final = {"": onnx.defs.onnx_opset_version(), "ai.onnx.ml": onnx.defs.onnx_ml_opset_version()}
"""The newest operator sets whose meaning this installation's onnx package knows."""
EXTENSION: Final = "com.microsoft"
"""onnxruntime's own operators: its quantiser writes them."""


def parse_untrusted(data: bytes) -> onnx.ModelProto:
    """A model with a graph, outputs and known operator sets. Raises `ConfigurationError`."""
    if len(data) > MODEL_BYTES:
        raise refused("the model is too large for ONNX", "bytes", f"at most {MODEL_BYTES}", len(data))
    try:
        model: onnx.ModelProto = onnx.ModelProto.FromString(data)
    except Exception:  # protobuf's own DecodeError; its package has no types
        raise refused(
            "this is no ONNX model, or it was cut short", "bytes", "a ModelProto", f"{len(data)} bytes"
        ) from None
    if not model.HasField("graph") or not model.opset_import:
        raise refused("this is no ONNX model, or it was cut short", "fields", "graph and opset_import", "not both")
    if not model.graph.output:
        raise refused("the model has no outputs", "outputs", "at least 1", 0)
    _check_versions(model)
    check_names(model)
    return model


def graphs(graph: onnx.GraphProto, depth: int = 0) -> Iterator[onnx.GraphProto]:
    """A graph and all that are inside its nodes, outermost first."""
    if depth > NESTING:
        raise refused("branches of the model are nested too deeply", "levels", f"at most {NESTING}", "more")
    yield graph
    for node in graph.node:
        for each in branches(node):
            yield from graphs(each, depth + 1)


def branches(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The graphs inside a node."""
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs


def _check_versions(model: onnx.ModelProto) -> None:
    sets = {(_domain(each.domain), each.version) for each in model.opset_import}
    if len({domain for domain, _ in sets}) != len(sets):
        raise refused("the model imports two versions of an operator set", "operator sets", "one version", "two")
    for each in model.opset_import:
        newest = DOMAINS.get(_domain(each.domain))
        if newest is not None and not 1 <= each.version <= newest:
            claim = f"version of operator set {each.domain or 'ai.onnx'}"
            raise refused("the model's operators are newer than this compiler", claim, f"1 to {newest}", each.version)


def _domain(name: str) -> str:
    return "" if name == "ai.onnx" else name


def check_names(model: onnx.ModelProto) -> None:
    """Every name can be printed, and the nodes can be counted. Raises `ConfigurationError`."""
    count = 0
    for nodes in _nodes(model):
        count += len(nodes)
        if count > NODES:
            raise refused("the model has too many nodes", "nodes", f"at most {NODES}", "more")
        for node in nodes:
            _check(node.name, node.op_type, node.domain, *node.input, *node.output)
            _check(*(each.name for each in node.attribute))
    for graph in graphs(model.graph):
        named = (*graph.input, *graph.output, *graph.initializer, *graph.value_info)
        _check(*(each.name for each in named))
        for info in (*graph.input, *graph.output):
            _check(*(each.dim_param for each in info.type.tensor_type.shape.dim))


def _nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    for graph in graphs(model.graph):
        yield graph.node
    for function in model.functions:
        _check(function.name, function.domain, *function.input, *function.output)
        yield function.node


def _check(*names: str) -> None:
    for name in names:
        if len(name) > NAME:
            raise refused("a name in the model is too long", "characters", f"at most {NAME}", len(name))
        if not name.isprintable():
            raise refused(
                f"a name in the model cannot be printed: {quoted(name)}", "name", "printable", "control characters"
            )


def check_operators(model: onnx.ModelProto) -> None:
    """Every operator is one that somebody here could know. Raises `UnsupportedError` by its name.

    Called after functions took the place of their calls.
    """
    for graph in graphs(model.graph):
        for node in graph.node:
            if _domain(node.domain) not in (*DOMAINS, EXTENSION):
                raise UnsupportedError(
                    f"{node.domain}.{node.op_type}", "is nobody's standard", "export the model without it"
                )
            if node.op_type in REFUSED and not node.domain:
                raise UnsupportedError(node.op_type, *REFUSED[node.op_type])


_LOOP: Final = ("runs its body a number of times that the input decides", "unroll it, or use LSTM, GRU or RNN")
_KIND: Final = ("works on something else than tensors", "give and take tensors")
REFUSED: Final = {
    **dict.fromkeys(("Loop", "Scan"), _LOOP),
    **dict.fromkeys(("Optional", "OptionalGetElement", "OptionalHasElement"), _KIND),
    **dict.fromkeys(("SequenceAt", "SequenceConstruct", "SequenceEmpty", "SequenceErase", "SequenceInsert"), _KIND),
    **dict.fromkeys(("SequenceLength", "SequenceMap", "SplitToSequence", "ConcatFromSequence"), _KIND),
}
