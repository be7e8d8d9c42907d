"""A settled model becomes a `Graph`."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import onnx
from onnx import AttributeProto, numpy_helper

from publisher.compiler.errors import UnsupportedError
from publisher.compiler.graph import C_TYPES, Attribute, Graph, Node, Value
from publisher.compiler.importing.bounds import TENSOR_BYTES
from publisher.compiler.importing.parsing import EXTENSION
from publisher.compiler.importing.refusing import quoted, refused

DATA: Final = "has an output whose shape depends on the data"
DATA_REMEDY: Final = "give shapes that do not, e.g. a mask instead of a selection"
CONDITION: Final = ("has a condition that depends on the input", "export the branch that is needed alone")


def graph_of(
    model: onnx.ModelProto,
    inputs: Sequence[str],
    labels: Mapping[str, tuple[str, ...]] | None = None,
    notes: Sequence[str] = (),
) -> Graph:
    """The graph of a model that is settled. Raises `UnsupportedError` where a shape is not known, or a branch left."""
    source = model.graph
    versions = {each.domain: each.version for each in model.opset_import}
    infos = {each.name: each for each in (*source.output, *source.value_info, *source.input)}
    values = {each.name: _constant(each) for each in source.initializer}
    for name in inputs:
        values.setdefault(name, _value(infos[name], "an input"))
    nodes = []
    for each in source.node:
        nodes.append(_node(each, versions))
        for name in filter(None, each.output):
            values[name] = _value(infos.get(name), each.op_type)
    outputs = tuple(each.name for each in source.output)
    return Graph(tuple(nodes), values, tuple(inputs), outputs, labels or {}, tuple(notes))


def _node(node: onnx.NodeProto, versions: Mapping[str, int]) -> Node:
    if node.op_type == "If" and not node.domain:
        raise UnsupportedError("If", *CONDITION)
    attributes = {each.name: attribute for each in node.attribute if (attribute := _attribute(each)) is not None}
    version = versions.get(node.domain, versions.get("", 0))
    return Node(_operator(node), tuple(node.input), tuple(node.output), attributes, node.name, version)


def _operator(node: onnx.NodeProto) -> str:
    """ONNX's name; "ml.…" for ai.onnx.ml; onnxruntime's own keep theirs unless ONNX has another of that name."""
    if node.domain == "ai.onnx.ml":
        return f"ml.{node.op_type}"
    if node.domain == EXTENSION and onnx.defs.has(node.op_type, ""):
        return f"{EXTENSION}.{node.op_type}"
    return node.op_type


def _attribute(attribute: AttributeProto) -> Attribute | None:
    """An attribute as the graph holds it; None for an empty one of no type, which means that it is left out."""
    if attribute.type == AttributeProto.UNDEFINED:
        return None
    found: Any = onnx.helper.get_attribute_value(attribute)
    if isinstance(found, bytes):
        return found.decode("utf-8", "replace")
    if isinstance(found, onnx.TensorProto):
        return _array(found)
    if isinstance(found, int | float):
        return found
    return tuple(each.decode("utf-8", "replace") if isinstance(each, bytes) else each for each in found)


def _array(tensor: onnx.TensorProto) -> Attribute:
    if tensor.data_type == onnx.TensorProto.STRING:
        return tuple(each.decode("utf-8", "replace") for each in tensor.string_data)
    return numpy_helper.to_array(tensor)


def _constant(tensor: onnx.TensorProto) -> Value:
    data = np.ascontiguousarray(numpy_helper.to_array(tensor)).reshape(tuple(tensor.dims))
    if data.dtype.name not in C_TYPES:
        raise refused(
            f"the constant {quoted(tensor.name)} has a type that modules do not hold", "type", "numbers", data.dtype
        )
    return Value(tensor.name, data.dtype.name, tuple(data.shape), data)


def _value(info: onnx.ValueInfoProto | None, maker: str) -> Value:
    tensor = info.type.tensor_type if info is not None else onnx.TypeProto.Tensor()
    if info is None or not tensor.HasField("shape") or not all(each.HasField("dim_value") for each in tensor.shape.dim):
        raise UnsupportedError(maker, DATA, DATA_REMEDY)
    shape = tuple(each.dim_value for each in tensor.shape.dim)
    try:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    except KeyError:
        dtype = "nothing"
    if dtype not in C_TYPES:
        raise refused(f"{quoted(info.name)} has a type that modules do not hold", "type", "numbers", dtype)
    value = Value(info.name, dtype, shape)
    if min(shape, default=0) < 0 or value.bytes > TENSOR_BYTES:
        raise refused(f"{quoted(info.name)} is too large", "bytes", f"at most {TENSOR_BYTES}", value.bytes)
    return value
