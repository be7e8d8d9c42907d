"""Normalisation over other axes than the last: BatchNormalization and MeanVarianceNormalization."""

from math import prod
from typing import Final

import numpy as np

from protocol.errors import ConfigurationError
from publisher.compiler.errors import UnsupportedError
from publisher.compiler.graph import Node, Value
from publisher.compiler.loops import Operand, nest
from publisher.compiler.operators.normalisation import floats
from publisher.compiler.operators.registry import operator
from publisher.compiler.step import Step, literal, row_major

_TINY: Final = 1e-9
"""What MeanVarianceNormalization adds to the deviation."""


@operator("BatchNormalization")
def batches(node: Node, step: Step) -> None:
    """ONNX BatchNormalization: a factor and an offset for each channel; in training mode from the batch itself."""
    value = floats(node, step)
    if not value.shape:
        raise ConfigurationError("BatchNormalization is of [batch, channels, …]")
    shape = value.shape if len(value.shape) > 1 else (*value.shape, 1)
    # Before operator set 9 `spatial` 0 gave each element of a channel statistics of its own.
    wide = node.version < 9 and not node.integer("spatial", 1)
    channels = prod(shape[1:]) if wide else shape[1]
    inner = 1 if wide else prod(shape[2:])
    if any(step.value(name).size != channels for name in node.inputs[1:5]):
        raise ConfigurationError(f"BatchNormalization has {channels} channels, and not as many statistics")
    training = node.version >= 14 and node.integer("training_mode", 0)
    statistics = _trained(node, step, (shape[0], channels, inner)) if training else node.inputs[3:5]
    factor, offset = _affine(node, step, channels, statistics)
    step.include("normalisation.h")
    tensors = step.pointer(node.outputs[0]), step.pointer(value.name)
    step.call("scale_channels", *tensors, shape[0], channels, inner, factor, offset)


def _affine(node: Node, step: Step, channels: int, statistics: tuple[str, ...]) -> tuple[str, str]:
    """C pointers to scale / sqrt(variance + epsilon), and to what is added after it."""
    epsilon = node.number("epsilon", 1e-5)
    names = (*node.inputs[1:3], *statistics)
    known = [step.graph.values[each].data for each in names if each in step.graph.values]
    if len(known) == len(names) and all(each is not None for each in known):
        scale, bias, mean, variance = (np.asarray(each, np.float64).ravel() for each in known)
        # A variance below 0 gives NaN, as it does at run time.
        with np.errstate(all="ignore"):
            factor = scale / np.sqrt(variance + epsilon)
            offset = (bias - mean * factor).astype(np.float32)
            return step.constant(factor.astype(np.float32)), step.constant(offset)
    pointers = [step.pointer(each) if each in step.graph.values else each for each in names]
    made = step.scratch(channels), step.scratch(channels)
    step.line(
        f"for (int c = 0; c < {channels}; c++) {{",
        f"{made[0]}[c] = {pointers[0]}[c] / __builtin_sqrtf({pointers[3]}[c] + {literal(epsilon)});",
        f"{made[1]}[c] = {pointers[1]}[c] - {pointers[2]}[c] * {made[0]}[c]; }}",
    )
    return made


def _trained(node: Node, step: Step, shape: tuple[int, int, int]) -> tuple[str, ...]:
    """Mean and variance of the batch, and what the running ones become."""
    mean, variance = _moments(node, step, shape, (0, 2))
    momentum = literal(node.number("momentum", 0.9))
    for number, (found, given) in enumerate(zip((mean, variance), node.inputs[3:5], strict=True), 1):
        if number < len(node.outputs) and node.outputs[number]:
            out, before = step.pointer(node.outputs[number]), step.pointer(given)
            change = f"{before}[c] * {momentum} + {found}[c] * (1.0f - {momentum})"
            step.line(f"for (int c = 0; c < {shape[1]}; c++) {out}[c] = {change};")
    return mean, variance


def _moments(node: Node, step: Step, shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[str, str]:
    """C pointers to mean and variance over some axes of the first input."""
    count = prod(shape[axis] for axis in axes)
    kept = tuple(1 if axis in axes else length for axis, length in enumerate(shape))
    strides = tuple(0 if axis in axes else stride for axis, stride in enumerate(row_major(kept)))
    sums = step.scratch(prod(kept), "float64")
    mean, variance = step.scratch(prod(kept)), step.scratch(prod(kept))
    operands = {
        "x": Operand(step.pointer(node.inputs[0]), row_major(shape), "const float"),
        "s": Operand(sums, strides, "double"),
        "m": Operand(mean, strides, "float"),
    }
    for made, statement in ((mean, "{s} += {x};"), (variance, "{s} += ((double){x} - {m}) * ((double){x} - {m});")):
        step.line(f"for (int c = 0; c < {prod(kept)}; c++) {sums}[c] = 0.0;")
        used = operands if "{m}" in statement else {name: operands[name] for name in "xs"}
        nest(step, shape, used, statement)
        step.line(f"for (int c = 0; c < {prod(kept)}; c++) {made}[c] = (float)({sums}[c] / {max(1, count)});")
    return mean, variance


@operator("MeanVarianceNormalization")
def mean_variance(node: Node, step: Step) -> None:
    """ONNX MeanVarianceNormalization: (x - mean) / (deviation + 1e-9) over `axes`."""
    value = floats(node, step)
    axes = _axes(node, value)
    mean, variance = _moments(node, step, value.shape, axes)
    kept = tuple(1 if axis in axes else length for axis, length in enumerate(value.shape))
    strides = tuple(0 if axis in axes else stride for axis, stride in enumerate(row_major(kept)))
    operands = {
        "o": Operand(step.pointer(node.outputs[0]), row_major(value.shape), "float"),
        "x": Operand(step.pointer(value.name), row_major(value.shape), "const float"),
        "m": Operand(mean, strides, "float"),
        "v": Operand(variance, strides, "float"),
    }
    nest(step, value.shape, operands, f"{{o}} = ({{x}} - {{m}}) / (__builtin_sqrtf({{v}}) + {literal(_TINY)});")


def _axes(node: Node, value: Value) -> tuple[int, ...]:
    rank = len(value.shape)
    axes = tuple(axis + rank if axis < 0 else axis for axis in node.integers("axes", (0, 2, 3)))
    if any(not 0 <= axis < rank for axis in axes):
        raise UnsupportedError(node.operator, f"has axes that a tensor of {rank} has not", "name its axes")
    return axes
