"""Pools that round up: shape inference before operator set 22 counts windows that would begin behind the image.

No window begins in the padding at the end (ONNX MaxPool, AveragePool, LpPool, `ceil_mode`; so do PyTorch and
onnxruntime). Without that window, rounding up is rounding down, which is what is said instead.
"""

from collections.abc import Sequence
from typing import Any, Final

import onnx
from onnx import helper, shape_inference

POOLS: Final = frozenset({"AveragePool", "LpPool", "MaxPool"})
ROUNDS: Final = 64


def round_down(model: onnx.ModelProto) -> None:
    """Clear `ceil_mode` of pools whose last windows it would make begin in padding, in place.

    One that does in one dimension and adds a window in another stays as it is.
    """
    for _ in range(ROUNDS):
        pools = [each for each in model.graph.node if each.op_type in POOLS and not each.domain and _rounds_up(each)]
        known = _shapes(model) if pools else {}
        found = [each for each in pools if each.input[0] in known and _adds_nothing(each, known[each.input[0]])]
        if not found:
            return
        for node in found:
            kept = [each for each in node.attribute if each.name != "ceil_mode"]
            del node.attribute[:]
            node.attribute.extend(kept)


def _rounds_up(node: onnx.NodeProto) -> bool:
    return any(each.name == "ceil_mode" and each.i for each in node.attribute) and bool(node.input)


def _shapes(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    graph = shape_inference.infer_shapes(model, data_prop=True).graph
    found = {}
    for info in (*graph.input, *graph.value_info, *graph.output):
        tensor = info.type.tensor_type
        if tensor.HasField("shape") and all(each.HasField("dim_value") for each in tensor.shape.dim):
            found[info.name] = tuple(each.dim_value for each in tensor.shape.dim)
    return found


def _adds_nothing(node: onnx.NodeProto, shape: Sequence[int]) -> bool:
    """Whether there is such a window, and none that is right."""
    said: dict[str, Any] = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    lengths, rank = shape[2:], len(shape[2:])
    kernel, strides, gaps = (said.get(name, [1] * rank) for name in ("kernel_shape", "strides", "dilations"))
    pads = said.get("pads", [0] * (2 * rank))
    sizes = {len(each) for each in (kernel, strides, gaps)}
    if sizes != {rank} or len(pads) != 2 * rank or min(strides) < 1 or said.get("auto_pad", b"NOTSET") != b"NOTSET":
        return False
    verdicts = set()
    for length, size, stride, gap, begin, end in zip(
        lengths, kernel, strides, gaps, pads[:rank], pads[rank:], strict=True
    ):
        beyond = length + begin + end - (size - 1) * gap - 1
        last = -(-beyond // stride) * stride
        verdicts.add("even" if beyond % stride == 0 else "dropped" if last >= length + begin else "added")
    return "dropped" in verdicts and "added" not in verdicts
