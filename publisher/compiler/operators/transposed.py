"""Transposed convolution over channels-last images (`conv_transpose`): a product, then sums where results overlap."""

from math import prod

import numpy as np
from numpy.typing import NDArray

from protocol.errors import ConfigurationError
from publisher.compiler.errors import UnsupportedError
from publisher.compiler.graph import Node
from publisher.compiler.operators.epilogue import finish_function
from publisher.compiler.operators.packing import bias_pointer
from publisher.compiler.operators.products import Product, emit_product
from publisher.compiler.operators.registry import operator
from publisher.compiler.operators.window import MOST, Three, three
from publisher.compiler.step import Step


@operator("conv_transpose")
def conv_transpose(node: Node, step: Step) -> None:
    """ONNX ConvTranspose on [images, …, channels]; inputs: image, weights as ONNX has them, bias."""
    source, out = step.value(node.inputs[0]), step.value(node.outputs[0])
    weights = step.graph.constant(node.inputs[1])
    if weights is None or source.dtype != "float32":
        raise UnsupportedError("ConvTranspose", "has computed weights, or not float32", "make them a float32 constant")
    images, *spatial, channels = source.shape
    groups = node.integer("group", 1)
    if groups < 1 or weights.shape[0] != channels or channels % groups or weights.shape[1] * groups != out.shape[-1]:
        raise ConfigurationError("ConvTranspose: its weights do not fit its input")
    if out.size == 0:
        return
    step.include("transposed.h")
    bias = step.graph.constant(node.inputs[2]) if node.has(2) else None
    finish = finish_function(node, step, ("Add r0 i2",) if node.has(2) and bias is None else ())
    lists = _lists(node, tuple(spatial), weights.shape[2:], out.shape[1:-1])
    taps, own = prod(weights.shape[2:]), weights.shape[1]
    shares = step.scratch(prod(spatial) * taps * own)
    patches = ", ".join(
        map(str, (*lists[0], channels, 0, channels, *(number for each in lists[1:] for number in each)))
    )
    step.line(f"for (int n = 0; n < {images}; n++) {{")
    for group in range(groups):
        first, columns = group * own, group * (channels // groups)
        given = f"({step.pointer(source.name)} + {columns} + n * {prod(spatial) * channels})"
        matrix = _matrix(weights[columns : columns + channels // groups])
        strides = ((channels, 1), (taps * own, 1))
        product = Product("float32", prod(spatial), taps * own, channels // groups, *strides)
        emit_product(step, product, given, "0", shares, matrix, "0", "unchanged")
        added = bias_pointer(step, None if bias is None else bias[first : first + own])
        start = f"n * {prod(out.shape[1:])}"
        target = (step.pointer(out.name), start, out.shape[-1], first, own, finish)
        step.call("sum_overlapping", f"(Patches){{{patches}}}", shares, added, *target)
    step.line("}")


def _matrix(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """[channels, own, …] as [channels, taps · own]."""
    return np.ascontiguousarray(np.moveaxis(weights, 1, -1).reshape(weights.shape[0], -1))


def _lists(node: Node, source: tuple[int, ...], kernel: tuple[int, ...], out: tuple[int, ...]) -> tuple[Three, ...]:
    """Of three dimensions each: input, kernel, strides, dilations, padding at the beginning, output."""
    rank = len(source)
    if not 1 <= rank <= 3:
        raise UnsupportedError("ConvTranspose", f"has {rank} spatial dimensions", "use one, two or three")
    strides, dilations = (node.integers(name) or (1,) * rank for name in ("strides", "dilations"))
    fit = len(kernel) == len(out) == len(strides) == len(dilations) == rank
    if not fit or min((*kernel, *strides, *dilations)) < 1:
        raise ConfigurationError("ConvTranspose: its kernel does not fit its input")
    begin = _begin(node, source, kernel, out, strides, dilations)
    filled = (three(source, 1), three(kernel, 1), three(strides, 1), three(dilations, 1), three(begin, 0))
    return (*filled, three(out, 1))


def _begin(
    node: Node,
    source: tuple[int, ...],
    kernel: tuple[int, ...],
    out: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
) -> tuple[int, ...]:
    """What is cut off at the beginning: declared, or half of what the stated output's shape leaves over."""
    how, rank = node.text("auto_pad", "NOTSET"), len(source)
    pads = node.integers("pads") or (0,) * (2 * rank)
    if how == "NOTSET" and not node.integers("output_shape"):
        if len(pads) != 2 * rank or not all(0 <= each < MOST for each in pads):
            raise ConfigurationError("ConvTranspose: pads do not fit its input")
        return pads[:rank]
    if how == "VALID":
        return (0,) * rank
    further = node.integers("output_padding") or (0,) * rank
    begin = []
    for axis in range(rank):
        reach = (kernel[axis] - 1) * dilations[axis] + 1
        over = max((source[axis] - 1) * strides[axis] + further[axis] + reach - out[axis], 0)
        begin.append(over // 2 if how == "SAME_UPPER" else over - over // 2)
    return tuple(begin)
