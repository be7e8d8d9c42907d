"""Softmax, LogSoftmax and Hardmax: along one axis, or in their old forms over all axes from one on."""

from math import prod

from protocol.errors import ConfigurationError
from publisher.compiler.errors import UnsupportedError
from publisher.compiler.graph import Node
from publisher.compiler.operators.registry import operator
from publisher.compiler.step import Step

ALONG_ONE_AXIS = 13
"""The operator set from which on the axis is one; before, the tensor is coerced to a matrix."""


@operator("Softmax", "LogSoftmax", "Hardmax")
def softmax(node: Node, step: Step) -> None:
    """ONNX Softmax and LogSoftmax of float32 and float64, Hardmax of float32."""
    value = step.value(node.inputs[0])
    double = value.dtype == "float64" and node.operator != "Hardmax"
    if value.dtype != "float32" and not double:
        raise UnsupportedError(node.operator, f"of {value.dtype} is not known", "cast to float32 before it")
    if value.size == 0:
        return
    outer, length, inner = _split(node, value.shape)
    step.include("softmax.h")
    tensors = step.pointer(node.outputs[0]), step.pointer(value.name)
    logarithm = int(node.operator == "LogSoftmax")
    if double:
        step.call("softmax_doubles", *tensors, outer, length, inner, logarithm)
    elif node.operator == "Hardmax":
        step.call("hardmax_columns", *tensors, outer, length, inner)
    elif inner == 1:
        step.call("log_softmax_rows" if logarithm else "softmax_rows", *tensors, outer, length)
    else:
        step.call("softmax_columns", *tensors, outer, length, inner, logarithm)


def _split(node: Node, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """How many elements lie before the axis, along it, and behind it."""
    coerced = node.version < ALONG_ONE_AXIS
    axis = node.integer("axis", 1 if coerced else -1)
    if not -len(shape) <= axis < max(1, len(shape) + coerced):
        raise ConfigurationError(f"{node.operator} has the axis {axis} of {len(shape)}")
    axis += len(shape) if axis < 0 else 0
    if coerced or not shape:
        return prod(shape[:axis]), prod(shape[axis:]), 1
    return prod(shape[:axis]), shape[axis], prod(shape[axis + 1 :])
