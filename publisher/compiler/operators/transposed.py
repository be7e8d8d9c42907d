"""Transposed convolution over channels-last images (`conv_transpose`): a product, then sums where results overlap."""

from dataclasses import dataclass
from math import prod
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protocol.errors import ConfigurationError
from publisher.compiler.errors import UnsupportedError
from publisher.compiler.graph import Node
from publisher.compiler.operators.epilogue import finish_function
from publisher.compiler.operators.packing import bias_pointer, packed, packed_columns
from publisher.compiler.operators.products import Product, emit_product
from publisher.compiler.operators.registry import operator
from publisher.compiler.operators.window import MOST, Three, check_reach, three
from publisher.compiler.step import Step

NARROWEST: Final = 4
"""Of fewer channels, a whole line of the kernel is a row of the product."""


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
    own = weights.shape[1]
    direct = _is_direct(lists)
    space = "0" if direct else step.scratch(prod((*spatial, *weights.shape[1:])))
    step.line(f"for (int n = 0; n < {images}; n++) {{")
    for group in range(groups):
        first, size = group * (channels // groups), channels // groups
        part = Part(weights[first : first + size], None if bias is None else bias[group * own : (group + 1) * own])
        given = f"({step.pointer(source.name)} + {first} + n * {prod(source.shape[1:])})"
        numbers = (*lists[0], channels, 0, size, *(number for each in lists[1:] for number in each))
        target = (step.pointer(out.name), f"n * {prod(out.shape[1:])}", out.shape[-1], group * own, own, finish)
        image = (f"(Patches){{{', '.join(map(str, numbers))}}}", given)
        if direct:
            _spread(step, part, image, target, own == out.shape[-1] < NARROWEST)
        else:
            matrix = np.ascontiguousarray(np.moveaxis(part.weights, 1, -1).reshape(size, -1))
            strides = ((channels, 1), (matrix.shape[1], 1))
            product = Product("float32", prod(spatial), matrix.shape[1], size, *strides)
            emit_product(step, product, given, "0", space, matrix, "0", "unchanged")
            step.call("sum_overlapping", image[0], space, bias_pointer(step, part.bias), *target)
    step.line("}")


@dataclass(frozen=True, slots=True)
class Part:
    """What a group multiplies, [channels, own, …], and adds."""

    weights: NDArray[np.float32]
    bias: NDArray[np.float32] | None


def _is_direct(lists: tuple[Three, ...]) -> bool:
    """Whether kernels lie side by side, in two dimensions."""
    source, kernel, strides, dilations, begin, out = lists
    covered = tuple(size * stride for size, stride in zip(source, strides, strict=True))
    flat = source[0] == kernel[0] == 1 and dilations == (1, 1, 1)
    return flat and kernel == strides and begin == (0, 0, 0) and covered == out


def _spread(step: Step, part: Part, given: tuple[str, str], target: tuple[str | int, ...], wide: bool) -> None:
    channels, own, *kernel = part.weights.shape
    _, height, width = three(kernel, 1)
    columns = own * width if wide else own
    weights = np.moveaxis(part.weights.reshape(channels, own, height, width), 1, -1).reshape(channels, -1, columns)
    panels = np.concatenate([packed(np.ascontiguousarray(weights[:, each])) for each in range(weights.shape[1])])
    bias = None if part.bias is None else np.tile(part.bias, columns // own)
    size = channels * packed_columns(columns)
    words = (step.constant(panels), size, bias_pointer(step, bias))
    step.call("spread", given[0], int(wide), given[1], *words, *target)


def _lists(node: Node, source: tuple[int, ...], kernel: tuple[int, ...], out: tuple[int, ...]) -> tuple[Three, ...]:
    """Of three dimensions each: input, kernel, strides, dilations, padding at the beginning, output."""
    rank = len(source)
    if not 1 <= rank <= 3:
        raise UnsupportedError("ConvTranspose", f"has {rank} spatial dimensions", "use one, two or three")
    strides, dilations = (node.integers(name) or (1,) * rank for name in ("strides", "dilations"))
    fit = len(kernel) == len(out) == len(strides) == len(dilations) == rank
    if not fit or min((*kernel, *strides, *dilations)) < 1:
        raise ConfigurationError("ConvTranspose: its kernel does not fit its input")
    reach = [(size - 1) * gap + 1 for size, gap in zip(kernel, dilations, strict=True)]
    check_reach(node, reach, strides, source)
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
