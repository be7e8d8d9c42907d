"""From one type to another."""

from typing import Final

import numpy as np

from protocol.errors import ConfigurationError
from publisher.compiler.graph import C_TYPES, Node
from publisher.compiler.operators.pointwise import FLOATS, pointwise
from publisher.compiler.operators.registry import operator
from publisher.compiler.step import Step

_FROM_FLOAT: Final = {
    **dict.fromkeys(("int8", "uint8", "int16", "uint16", "int32"), "({O})int32_of({a})"),
    "uint32": "({O})int64_of({a})",
    "int64": "int64_of({a})",
    "uint64": "uint64_of({a})",
}


@operator("Cast", "CastLike")
def cast(node: Node, step: Step) -> None:
    """ONNX Cast and CastLike. Floats go towards zero, and what does not fit becomes the nearest 32- or 64-bit number.

    Integers wrap.
    """
    source, target = step.value(node.inputs[0]).dtype, step.value(node.outputs[0]).dtype
    only = Node(node.operator, node.inputs[:1], node.outputs[:1])
    if target == "bool":
        pointwise(only, step, "{a} != 0", target)
    elif source == "bool":
        pointwise(only, step, "{a} != 0 ? 1 : 0", target)
    elif source in FLOATS and target not in FLOATS:
        pointwise(only, step, _FROM_FLOAT[target], target, O=C_TYPES[target])
    else:
        pointwise(only, step, "({O}){a}", target, O=C_TYPES[target])


@operator("BitCast")
def bit_cast(node: Node, step: Step) -> None:
    """ONNX BitCast: the same bytes as another type of the same size."""
    source, target = step.value(node.inputs[0]), step.value(node.outputs[0])
    if source.bytes != target.bytes or np.dtype(source.dtype).itemsize != np.dtype(target.dtype).itemsize:
        raise ConfigurationError(f"BitCast: {source.dtype} and {target.dtype} are not of one size")
    step.call("__builtin_memcpy", step.pointer(target.name), step.pointer(source.name), target.bytes)
