"""What is done to an input before the model sees it, as part of the model: the module then takes raw values.

raw ─(transposed: NHWC to NCHW)─> ─(cast: uint8 to float32)─> ─(- mean)─> ─(÷ std)─> what the model was trained on

Nothing of it is on the wire: the manifest describes the raw input.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from protocol.errors import ConfigurationError, Finding
from publisher.compiler.importing.parsing import parse_untrusted
from publisher.compiler.importing.refusing import explained

OLDEST: Final = 7
"""The first operator set whose Sub and Div broadcast as numpy does."""

_CHANNELS_FIRST: Final = (0, 3, 1, 2)


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """Of one input, by its name: one number of `mean` and `std` for all, or one for each channel.

    Channels are dimension 1 of an input of four dimensions, else the last. `raw` is "uint8" where the input comes as
    bytes; `channels_last` where an image comes as [N, H, W, C] and the model takes [N, C, H, W].
    """

    name: str
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    raw: str = "float32"
    channels_last: bool = False


def preprocess_untrusted(data: bytes, steps: Mapping[str, Preprocessing]) -> bytes:
    """`preprocessed`, of the bytes of a model. Raises `ConfigurationError` alone."""
    with explained("the model cannot be normalised"):
        made: bytes = preprocessed(parse_untrusted(data), steps).SerializeToString()
        return made


def preprocessed(model: onnx.ModelProto, steps: Mapping[str, Preprocessing]) -> onnx.ModelProto:
    """A copy of a model that does this to its inputs itself. Raises `ConfigurationError` for what does not fit."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    if steps:
        _check_version(made)
    for step in steps.values():
        _prepend(made.graph, step)
    return made


def _prepend(graph: onnx.GraphProto, step: Preprocessing) -> None:
    info = _input(graph, step.name)
    rank = len(info.type.tensor_type.shape.dim)
    names = _fresh(graph)
    inner = next(names)
    _rename(graph, step.name, inner)
    info.type.tensor_type.elem_type = TensorProto.UINT8 if step.raw == "uint8" else TensorProto.FLOAT
    if step.channels_last:
        _move_channels_last(info)
    nodes = []
    last = step.name
    for operator, attributes, constant in _operations(step, rank):
        inputs = [last]
        if constant is not None:
            inputs.append(next(names))
            graph.initializer.append(numpy_helper.from_array(constant, inputs[-1]))
        last = next(names)
        nodes.append(helper.make_node(operator, inputs, [last], **attributes))
    nodes.append(helper.make_node("Identity", [last], [inner]))
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend((*nodes, *rest))


Operation = tuple[str, dict[str, Any], "np.ndarray[tuple[int, ...], np.dtype[np.float32]] | None"]


def _operations(step: Preprocessing, rank: int) -> Iterator[Operation]:
    if step.channels_last:
        yield "Transpose", {"perm": _CHANNELS_FIRST}, None
    if step.raw != "float32":
        yield "Cast", {"to": TensorProto.FLOAT}, None
    for operator, numbers, nothing in (("Sub", step.mean, 0.0), ("Div", step.std, 1.0)):
        if set(numbers) != {nothing}:
            shape = (-1, 1, 1) if rank == 4 and len(numbers) > 1 else (-1,)
            yield operator, {}, np.array(numbers, np.float32).reshape(shape)


def _check_version(model: onnx.ModelProto) -> None:
    version = max((each.version for each in model.opset_import if each.domain in {"", "ai.onnx"}), default=0)
    if version < OLDEST:
        finding = Finding("operator set", f"at least {OLDEST}", str(version))
        raise ConfigurationError("the model is too old to have its input normalised", finding=finding)


def _input(graph: onnx.GraphProto, name: str) -> onnx.ValueInfoProto:
    constants = {each.name for each in graph.initializer}
    inputs: dict[str, onnx.ValueInfoProto] = {each.name: each for each in graph.input if each.name not in constants}
    if name not in inputs:
        raise ConfigurationError(
            "no input of the model has this name", finding=Finding("input", _listed(inputs), f"{name!a}")
        )
    found = inputs[name].type.tensor_type.elem_type
    if found != TensorProto.FLOAT:
        finding = Finding(f"input {name!a}", "float32", TensorProto.DataType.Name(found).lower())
        raise ConfigurationError("only an input of float32 can be normalised", finding=finding)
    return inputs[name]


def _listed(inputs: Mapping[str, onnx.ValueInfoProto]) -> str:
    return ", ".join(f"{name!a}" for name in inputs)


def _move_channels_last(info: onnx.ValueInfoProto) -> None:
    dims = list(info.type.tensor_type.shape.dim)
    if len(dims) != 4:
        finding = Finding(f"input {info.name!a}", "4 dimensions", str(len(dims)))
        raise ConfigurationError("only an image [N, C, H, W] can come with its channels last", finding=finding)
    moved = onnx.TensorShapeProto(dim=[dims[0], dims[2], dims[3], dims[1]])
    info.type.tensor_type.shape.CopyFrom(moved)


def _fresh(graph: onnx.GraphProto) -> Iterator[str]:
    """Names that nothing in the graph has."""
    taken = _names(graph)
    number = 0
    while True:
        number += 1
        if (name := f"preprocessed_{number}") not in taken:
            taken.add(name)
            yield name


def _names(graph: onnx.GraphProto) -> set[str]:
    found = {each.name for kind in (graph.input, graph.output, graph.initializer) for each in kind}
    for node in graph.node:
        found.update(node.input, node.output)
        for inner in _branches(node):
            found |= _names(inner)
    return found


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    """Every node that reads `old` reads `new`, also in branches. An output that is the input stays the raw input."""
    for node in graph.node:
        for number, name in enumerate(node.input):
            if name == old:
                node.input[number] = new
        for inner in _branches(node):
            _rename(inner, old, new)


def _branches(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs
