"""What depends on shapes and constants alone: computed here, copied when the module runs."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from publisher.compiler.errors import UnsupportedError
from publisher.compiler.graph import Node
from publisher.compiler.operators.moving import fill
from publisher.compiler.operators.parameters import check
from publisher.compiler.operators.registry import operator
from publisher.compiler.step import Step


@operator("Shape")
def shape_of(node: Node, step: Step) -> None:
    """ONNX Shape, of some of the dimensions too."""
    shape = step.value(node.inputs[0]).shape
    end = node.integer("end", len(shape))
    _emit(node, step, np.array(shape[slice(node.integer("start", 0), end)], np.int64))


@operator("Size")
def size_of(node: Node, step: Step) -> None:
    """ONNX Size."""
    _emit(node, step, np.array(step.value(node.inputs[0]).size, np.int64))


@operator("ConstantOfShape")
def constant_of_shape(node: Node, step: Step) -> None:
    """ONNX ConstantOfShape: the output's shape is known."""
    value = node.attributes.get("value", np.zeros(1, np.float32))
    check(isinstance(value, np.ndarray) and value.size == 1, node, "the value is not one number")
    out = step.value(node.outputs[0])
    element = np.asarray(value).reshape(1)
    check(element.dtype.name == out.dtype, node, "the output is of another type")
    fill(step, out, f"{step.constant(element)}[0]")


@operator("EyeLike")
def eye_like(node: Node, step: Step) -> None:
    """ONNX EyeLike."""
    out = step.value(node.outputs[0])
    check(len(out.shape) == 2, node, "the output is no matrix")
    rows, columns = out.shape
    diagonal = max(-rows, min(columns, node.integer("k", 0)))
    _emit(node, step, np.eye(rows, columns, diagonal, dtype=out.dtype))


@operator("Range")
def range_of(node: Node, step: Step) -> None:
    """ONNX Range of constants."""
    bounds = [step.value(name).data for name in node.inputs]
    if any(each is None for each in bounds):
        raise UnsupportedError("Range", "computes its bounds", "export the model with constant bounds")
    start, _, delta = (np.asarray(each).reshape(()) for each in bounds)
    count = step.value(node.outputs[0]).size
    _emit(node, step, (start + np.arange(count) * delta).astype(start.dtype))


def _emit(node: Node, step: Step, data: NDArray[Any]) -> None:
    out = step.value(node.outputs[0])
    check((data.dtype.name, data.shape) == (out.dtype, out.shape), node, "the output is of another shape or type")
    if data.size:
        step.call("__builtin_memcpy", step.pointer(out.name), step.constant(data), out.bytes)
