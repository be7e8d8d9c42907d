"""Layers, instances and groups brought to mean 0 and variance 1; responses and norms."""

from math import prod

import numpy as np

from protocol.errors import ConfigurationError
from publisher.compiler.errors import UnsupportedError
from publisher.compiler.graph import Node, Value
from publisher.compiler.loops import Operand, broadcast, nest
from publisher.compiler.operators.registry import operator
from publisher.compiler.step import Step, row_major


@operator("LayerNormalization", "RMSNormalization")
def layers(node: Node, step: Step) -> None:
    """ONNX LayerNormalization and RMSNormalization: over all axes from `axis` on."""
    value = floats(node, step)
    axis = axis_of(node, value, -1)
    rows, count = prod(value.shape[:axis]), prod(value.shape[axis:])
    centred = node.operator == "LayerNormalization"
    scale, bias = (spread(node, step, number, value.shape[axis:]) for number in (1, 2))
    kept = [step.pointer(name) if name else "0" for name in (*node.outputs[1:3], "", "")[:2]]
    step.include("normalisation.h")
    epsilon = node.number("epsilon", 1e-5)
    step.call("normalise_rows", *_tensors(node, step), rows, count, scale, bias, epsilon, int(centred), *kept)


@operator("InstanceNormalization", "GroupNormalization")
def groups(node: Node, step: Step) -> None:
    """ONNX InstanceNormalization (a group has one channel) and GroupNormalization."""
    value = floats(node, step)
    if len(value.shape) < 2:
        raise ConfigurationError(f"{node.operator} is of [batch, channels, …]")
    channels = value.shape[1]
    count = channels if node.operator == "InstanceNormalization" else node.integer("num_groups", 1)
    if count < 1 or channels % count:
        raise ConfigurationError(f"{node.operator} has {channels} channels in {count} groups")
    factors = [step.value(name) for name in node.inputs[1:3]]
    if any((each.size, each.dtype) != (channels, "float32") for each in factors):
        raise ConfigurationError(f"{node.operator} has {channels} channels, and not as many factors")
    step.include("normalisation.h")
    step.call(
        "normalise_groups",
        *(*_tensors(node, step), value.shape[0], count, channels // count, prod(value.shape[2:])),
        *(step.pointer(name) for name in node.inputs[1:3]),
        node.number("epsilon", 1e-5),
    )


@operator("LRN")
def responses(node: Node, step: Step) -> None:
    """ONNX LRN: across channels."""
    value = floats(node, step)
    size = node.integer("size", 0)
    if len(value.shape) < 2 or size < 1:
        raise ConfigurationError("LRN is of [batch, channels, …], with a size")
    share = node.number("alpha", 1e-4) / size
    step.include("normalisation.h")
    step.call(
        "normalise_responses",
        *(*_tensors(node, step), value.shape[0], value.shape[1], prod(value.shape[2:]), size),
        *(share, node.number("beta", 0.75), node.number("bias", 1.0)),
    )


@operator("LpNormalization")
def norms(node: Node, step: Step) -> None:
    """ONNX LpNormalization: along one axis, p is 1 or 2."""
    value = floats(node, step)
    axis, power = axis_of(node, value, -1), node.integer("p", 2)
    if power not in {1, 2}:
        raise ConfigurationError("LpNormalization has p 1 or 2")
    outer, length, inner = prod(value.shape[:axis]), value.shape[axis], prod(value.shape[axis + 1 :])
    step.include("normalisation.h")
    step.call("divide_by_norm", *_tensors(node, step), outer, length, inner, power)


def floats(node: Node, step: Step) -> Value:
    """The first input. Raises `UnsupportedError` unless it is float32."""
    value = step.value(node.inputs[0])
    if value.dtype != "float32":
        raise UnsupportedError(node.operator, f"of {value.dtype} is not known", "cast to float32 before it")
    return value


def axis_of(node: Node, value: Value, default: int) -> int:
    """The attribute `axis`, counted from the front. Raises `ConfigurationError`."""
    axis, rank = node.integer("axis", default), len(value.shape)
    if not -rank <= axis < rank:
        raise ConfigurationError(f"{node.operator} has the axis {axis} of {rank}")
    return axis + rank if axis < 0 else axis


def spread(node: Node, step: Step, number: int, shape: tuple[int, ...]) -> str:
    """A C pointer to an input broadcast to `shape`, row-major; "0" where it is left out."""
    if not node.has(number):
        return "0"
    value = step.value(node.inputs[number])
    own = value.shape[max(0, len(value.shape) - len(shape)) :]
    if prod(own) != value.size or any(a not in {1, b} for a, b in zip(own[::-1], shape[::-1], strict=False)):
        raise UnsupportedError(node.operator, "with factors of its own for each row is not known", "multiply after it")
    if value.dtype != "float32":
        raise UnsupportedError(node.operator, f"with factors of {value.dtype} is not known", "cast them to float32")
    if value.data is not None:
        return step.constant(np.ascontiguousarray(np.broadcast_to(value.data.reshape(own), shape)))
    if value.size == prod(shape):
        return step.pointer(value.name)
    room = step.scratch(prod(shape))
    operands = {
        "o": Operand(room, row_major(shape), "float"),
        "a": Operand(step.pointer(value.name), broadcast(own, shape), "const float"),
    }
    nest(step, shape, operands, "{o} = {a};")
    return room


def _tensors(node: Node, step: Step) -> tuple[str, str]:
    return step.pointer(node.outputs[0]), step.pointer(node.inputs[0])
