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
from publisher.compiler.operators.packing import block_rows, filled, packed, packed_columns
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
    form = Form(lists, prod(spatial), channels // groups, weights.shape[1], own_line=weights.shape[-1])
    out_size = prod(out.shape[1:])
    numbers = (*lists[0], channels, 0, form.size, *(number for each in lists[1:] for number in each))
    image = f"(Patches){{{', '.join(map(str, numbers))}}}"
    given = f"({step.pointer(source.name)} + n * {prod(source.shape[1:])} + g * {form.size})"
    target = (step.pointer(out.name), f"n * {out_size}", out.shape[-1], f"g * {form.own}", form.own, finish)
    step.line(f"for (int n = 0; n < {images}; n++) for (int g = 0; g < {groups}; g++) {{")
    matrices = weights.reshape(groups, form.size, form.own, -1)
    if _is_direct(lists):
        wide = groups == 1 and form.own < NARROWEST
        right, added = _lines(step, form, matrices, bias, wide)
        step.call("spread", image, int(wide), given, *right, added, *target)
    else:
        space = _shares(step, form, matrices, given, channels)
        step.call("sum_overlapping", image, space, _biases(step, groups, bias, 1), *target)
    step.line("}")


@dataclass(frozen=True, slots=True)
class Form:
    """What a group `g` turns its `size` channels into: `own` channels at each place of a kernel."""

    lists: tuple[Three, ...]
    places: int
    size: int
    own: int
    own_line: int


def _is_direct(lists: tuple[Three, ...]) -> bool:
    """Whether kernels lie side by side, in two dimensions."""
    source, kernel, strides, dilations, begin, out = lists
    covered = tuple(size * stride for size, stride in zip(source, strides, strict=True))
    flat = source[0] == kernel[0] == 1 and dilations == (1, 1, 1)
    return flat and kernel == strides and begin == (0, 0, 0) and covered == out


def _lines(
    step: Step, form: Form, matrices: NDArray[np.float32], bias: NDArray[np.float32] | None, wide: bool
) -> tuple[tuple[str, int], str]:
    """Weights packed for each place of a kernel, or each line of one; how large one of them is; and the bias."""
    groups, across = matrices.shape[0], form.own_line if wide else 1
    columns = form.own * across
    parts = np.moveaxis(matrices, 2, -1).reshape(groups, form.size, -1, columns)
    panels = [packed(np.ascontiguousarray(each[:, part])) for each in parts for part in range(parts.shape[2])]
    right = f"{step.constant(np.concatenate(panels))} + g * {panels[0].size * parts.shape[2]}"
    return (right, form.size * packed_columns(columns)), _biases(step, groups, bias, across)


def _shares(step: Step, form: Form, matrices: NDArray[np.float32], given: str, stride: int) -> str:
    """What each element of the input contributes to its places: where that is, once it is computed."""
    flat = np.moveaxis(matrices, 2, -1).reshape(matrices.shape[0], form.size, -1)
    panels = [packed(np.ascontiguousarray(each)) for each in flat]
    columns = flat.shape[2]
    space = step.scratch(form.places * columns)
    right = f"{step.constant(np.concatenate(panels))} + g * {panels[0].size}"
    block = block_rows(form.places, form.size)
    words = (form.places, columns, form.size, block, "unchanged")
    step.call("gemm_by_blocks", given, stride, right, "0", space, columns, 0, 0, *words)
    return space


def _biases(step: Step, groups: int, bias: NDArray[np.float32] | None, times: int) -> str:
    """That of group `g`, repeated and filled up."""
    if bias is None:
        return "0"
    each = [filled(np.tile(part.astype(np.float32), times)) for part in bias.reshape(groups, -1)]
    return f"{step.constant(np.concatenate(each))} + g * {each[0].size}"


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
