"""ONNX bytes of anybody become a `Graph`, or one clear line why not."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper, shape_inference

from protocol.errors import ConfigurationError
from publisher.compiler.graph import C_TYPES, Attribute, Graph, Node, Value


def import_model_untrusted(data: bytes, *, dims: Mapping[str, int] | None = None) -> Graph:
    """The graph of a model whose shapes are all fixed. Raises `ConfigurationError`."""
    return import_model(data, dims=dims)


def import_model(data: bytes, *, dims: Mapping[str, int] | None = None) -> Graph:
    """`import_model_untrusted` in this process, for models whose makers are trusted: tests."""
    del dims
    model = onnx.ModelProto.FromString(data)
    onnx.checker.check_model(model)
    return graph_of(shape_inference.infer_shapes(model, strict_mode=True, data_prop=True))


def graph_of(model: onnx.ModelProto) -> Graph:
    """The graph of a model that was checked and has its shapes."""
    source = model.graph
    versions = {each.domain: each.version for each in model.opset_import}
    values = {each.name: _constant(each.name, numpy_helper.to_array(each)) for each in source.initializer}
    for info in (*source.input, *source.value_info, *source.output):
        values.setdefault(info.name, _value(info))
    nodes = []
    for each in source.node:
        node = _node(each, versions)
        if node.operator == "Constant":
            data = next(iter(node.attributes.values()))
            values[node.outputs[0]] = _constant(node.outputs[0], np.asarray(data))
        else:
            nodes.append(node)
    constants = {each.name for each in source.initializer}
    inputs = tuple(each.name for each in source.input if each.name not in constants)
    return Graph(tuple(nodes), values, inputs, tuple(each.name for each in source.output))


def _node(node: onnx.NodeProto, versions: dict[str, int]) -> Node:
    prefix = "ml." if node.domain == "ai.onnx.ml" else ""
    attributes = {each.name: _attribute(each) for each in node.attribute}
    version = versions.get(node.domain, versions.get("", 0))
    return Node(prefix + node.op_type, tuple(node.input), tuple(node.output), attributes, node.name, version)


def _attribute(attribute: onnx.AttributeProto) -> Attribute:
    found: Any = onnx.helper.get_attribute_value(attribute)
    if isinstance(found, bytes):
        return found.decode("utf-8", "replace")
    if isinstance(found, onnx.TensorProto):
        return numpy_helper.to_array(found)
    if isinstance(found, int | float):
        return found
    return tuple(each.decode("utf-8", "replace") if isinstance(each, bytes) else each for each in found)


def _constant(name: str, data: Any) -> Value:
    return Value(name, data.dtype.name, tuple(data.shape), data)


def _value(info: onnx.ValueInfoProto) -> Value:
    tensor = info.type.tensor_type
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    if dtype not in C_TYPES:
        raise ConfigurationError(f"{info.name}: {dtype} is no type of a tensor")
    return Value(info.name, dtype, tuple(each.dim_value for each in tensor.shape.dim))
