"""What ONNX's shape inference leaves open although it is plain: outputs that are like an input."""

from typing import Any, Final

import onnx
from onnx import helper

from publisher.compiler.importing.describing_ml import Described, outputs_of
from publisher.compiler.importing.parsing import EXTENSION

LIKE_ITS_INPUT: Final = frozenset({"GroupNormalization", "MeanVarianceNormalization"})
"""Inferred through their functions, which fail where attributes have their defaults or sizes are left to a Reshape."""

EXTENSIONS: Final = frozenset({"BiasGelu", "FastGelu", "SkipLayerNormalization", "SkipSimplifiedLayerNormalization"})
"""onnxruntime's own whose first output is like their first input."""

DEFAULTS: Final[dict[str, tuple[str, Any]]] = {
    "MeanVarianceNormalization": ("axes", [0, 2, 3]),
    "STFT": ("onesided", 1),
}
"""By operator: an attribute, and what it is where it is left out."""


def described(model: onnx.ModelProto) -> bool:
    """Say which type and shape such outputs have, in place, where their input's are known; whether any was added."""
    known = _known(model.graph)
    added = False
    for node in model.graph.node:
        alike = LIKE_ITS_INPUT if not node.domain else EXTENSIONS if node.domain == EXTENSION else frozenset[str]()
        like = node.op_type in alike and node.input[0] in known
        outputs = (known[node.input[0]],) if like else outputs_of(node, known)
        for name, (elem, shape) in zip(node.output, outputs, strict=False):
            if name and name not in known:
                known[name] = (elem, shape)
                _say(model.graph, helper.make_tensor_value_info(name, elem, shape))
                added = True
    return added


def _known(graph: onnx.GraphProto) -> dict[str, Described]:
    """Values whose type and whole shape are said."""
    found: dict[str, Described] = {each.name: (each.data_type, tuple(each.dims)) for each in graph.initializer}
    for info in (*graph.input, *graph.value_info, *graph.output):
        tensor = info.type.tensor_type
        if tensor.HasField("shape") and all(each.HasField("dim_value") for each in tensor.shape.dim):
            found[info.name] = (tensor.elem_type, tuple(each.dim_value for each in tensor.shape.dim))
    return found


def _say(graph: onnx.GraphProto, info: onnx.ValueInfoProto) -> None:
    said = [each for each in (*graph.value_info, *graph.output) if each.name == info.name]
    for each in said:
        each.CopyFrom(info)
    if not said:
        graph.value_info.append(info)


def with_defaults(model: onnx.ModelProto) -> None:
    """Say defaults that shape inference does not know or takes for others, in place."""
    for node in model.graph.node:
        name, value = DEFAULTS.get(node.op_type, ("", None))
        if name and not node.domain and not any(each.name == name for each in node.attribute):
            node.attribute.append(onnx.helper.make_attribute(name, value))
