"""What ONNX's shape inference leaves open although it is plain: outputs that are like an input."""

from typing import Any, Final

import onnx

LIKE_ITS_INPUT: Final = frozenset({"GroupNormalization", "MeanVarianceNormalization"})
"""Inferred through their functions, which fail where attributes have their defaults or sizes are left to a Reshape."""

DEFAULTS: Final[dict[str, tuple[str, Any]]] = {
    "MeanVarianceNormalization": ("axes", [0, 2, 3]),
    "STFT": ("onesided", 1),
}
"""By operator: an attribute, and what it is where it is left out."""


def described(model: onnx.ModelProto) -> bool:
    """Say which type and shape such outputs have, in place, where their input's are known; whether any was added."""
    graph = model.graph
    known = {each.name: each for each in (*graph.input, *graph.value_info) if each.type.tensor_type.HasField("shape")}
    added = False
    for node in graph.node:
        if node.op_type not in LIKE_ITS_INPUT or node.domain or node.output[0] in known:
            continue
        source = known.get(node.input[0])
        if source is not None:
            info = onnx.ValueInfoProto(name=node.output[0], type=source.type)
            graph.value_info.append(info)
            known[info.name] = info
            added = True
    return added


def with_defaults(model: onnx.ModelProto) -> None:
    """Say defaults that shape inference does not know or takes for others, in place."""
    for node in model.graph.node:
        name, value = DEFAULTS.get(node.op_type, ("", None))
        if name and not node.domain and not any(each.name == name for each in node.attribute):
            node.attribute.append(onnx.helper.make_attribute(name, value))
