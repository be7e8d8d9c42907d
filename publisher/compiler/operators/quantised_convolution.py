"""Convolutions of bytes: QLinearConv, ConvInteger, and the planner's own that end in reals."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from protocol.errors import ConfigurationError
from publisher.compiler.graph import Node
from publisher.compiler.operators.quantised_form import (
    check_bytes,
    known,
    per_column,
    quanta,
    scale_of,
    scales_of,
    worth,
)
from publisher.compiler.operators.quantised_kernels import Kernels, kernels_of
from publisher.compiler.operators.quantised_matrix import zero_expression
from publisher.compiler.operators.quantised_right import Finish, Right, panel_width, product, workspace
from publisher.compiler.operators.quantised_window import Window
from publisher.compiler.operators.registry import operator
from publisher.compiler.step import Step

MOST_TAPS: Final = 64
"""Larger kernels of depthwise convolutions take the general way."""
GATHERED: Final = 32
"""Rows that kernels/quantised_convolution.h gathers at a time."""
ABREAST: Final = 4, 3, 5, 6, 7
"""Places of a depthwise convolution that may be computed beside one another; what is quickest comes first."""


@operator("QLinearConv", "qlinear_conv")
def qlinear_conv(node: Node, step: Step) -> None:
    """ONNX QLinearConv, as onnxruntime rounds it; in lower case with channels last."""
    out = step.value(node.outputs[0])
    check_bytes(node, step, node.inputs[0], node.inputs[3], out.name)
    channels = step.value(node.inputs[3]).shape[0]
    scales = per_column(node, scales_of(node, step, 4), channels, "scale")
    to = quanta(node, step, 6, out.dtype)
    scale = worth(to.scale, scale_of(node, step, 1), scales)
    start = per_column(node, known(node, step, 8, "bias"), channels, "bias") if node.has(8) else None
    _convolve(node, step, (0, 3), (2, 5), Finish(start=start, scale=scale, to=to))


@operator("ConvInteger", "conv_integer")
def conv_integer(node: Node, step: Step) -> None:
    """ONNX ConvInteger: the sums."""
    check_bytes(node, step, node.inputs[0], node.inputs[1])
    _convolve(node, step, (0, 1), (2, 3), Finish())


@operator("quantised.conv", "quantised.conv_last")
def conv_reals(node: Node, step: Step) -> None:
    """The planner's: x, its zero point, w, its zero point, x's scale, w's scale, bias: reals out of a product of bytes.

    The bias is of reals. x's scale and zero point may be computed, as after DynamicQuantizeLinear.
    """
    check_bytes(node, step, node.inputs[0], node.inputs[2])
    channels = step.value(node.inputs[2]).shape[0]
    scale = per_column(node, scales_of(node, step, 5), channels, "scale").astype(np.float32)
    bias = per_column(node, known(node, step, 6, "bias"), channels, "bias") if node.has(6) else None
    finish = Finish(scale=scale, bias=bias, factor=f"*{step.pointer(node.inputs[4])}")
    _convolve(node, step, (0, 2), (1, 3), finish)


def _convolve(node: Node, step: Step, at: tuple[int, int], zeros: tuple[int, int], finish: Finish) -> None:
    """The convolution of inputs `at`, with zero points at `zeros`."""
    x, w, out = step.value(node.inputs[at[0]]), step.value(node.inputs[at[1]]), step.value(node.outputs[0])
    window = Window.of(node, x, w.shape[2:], out)
    kernels = kernels_of(node, step, at[1], zeros[1])
    if kernels.group < 1 or w.shape[0] % kernels.group or window.channels != w.shape[1] * kernels.group:
        raise ConfigurationError(f"{node.operator}: {kernels.group} groups do not fit {window.channels} channels")
    if out.size == 0:
        return
    step.include("quantised_depthwise.h", "transpose.h")
    form = _Form(window, kernels, finish, zero_expression(node, step, zeros[0]), int(x.dtype == "int8"))
    step.line(f"for (int image = 0; image < {window.images}; image++) {{")
    image = f"(const uint8_t *){step.pointer(x.name)} + (int64_t)image * {window.pixels * window.channels}"
    result = f"{step.pointer(out.name)} + (int64_t)image * {window.places * kernels.count}"
    if window.channels_last:
        _image(step, image, result, form)
    else:
        _turned(step, image, result, form, 8 if out.dtype in {"int8", "uint8"} else 32)
    step.line("}")


@dataclass(frozen=True, slots=True)
class _Form:
    """A convolution of one image. `zero` is a C expression."""

    window: Window
    kernels: Kernels
    finish: Finish
    zero: str
    is_signed: int

    def product(self, right: Right) -> str:
        """The `Product` of kernels/quantised_product.h that each group is."""
        return product(
            right,
            self.finish,
            rows=self.window.places,
            left_signed=self.is_signed,
            left_stride=self.window.channels,
            stride=self.kernels.count,
        )


def _turned(step: Step, image: str, result: str, form: _Form, bits: int) -> None:
    """An image whose channels come first: they are brought last for the time of the convolution."""
    window, count = form.window, form.kernels.count
    last = step.scratch(window.pixels * window.channels, "uint8")
    made = step.scratch(window.places * count, f"uint{bits}")
    step.call("transpose_8", last, window.channels, image, window.pixels, window.channels, window.pixels)
    _image(step, last, made, form)
    target = f"(uint{bits}_t *)({result})"
    step.call(f"transpose_{bits}", target, window.places, made, count, window.places, count)


def _image(step: Step, image: str, result: str, form: _Form) -> None:
    window, kernels = form.window, form.kernels
    alone = kernels.group == window.channels == kernels.count and kernels.data is not None
    small = max(kernels.taps, (window.kernel[0] - 1) * window.dilations[0] + 1) <= MOST_TAPS
    if alone and small and form.zero.lstrip("-").isdigit():
        _depthwise(step, image, result, form)
        return
    many, inner = kernels.count // kernels.group, kernels.taps * kernels.channels
    step.line(f"for (int group = 0; group < {kernels.group}; group++) {{")
    right = kernels.right(step)
    packed, wide = workspace(step, right, window.places)
    source, target = f"{image} + group * {kernels.channels}", f"{result} + group * {many}"
    operands = (source, form.zero, right.c(step, "group"), right.zero("0"))
    given, by = form.product(right), form.finish.columns(step, kernels.group, "group")
    if window.pointwise:
        step.call("quantised_product", *operands, target, given, by, packed, wide)
    else:
        gathered = step.scratch(GATHERED * panel_width(inner), "uint8")
        shape = window.of_group(kernels.channels).c(window.channels)
        step.call("quantised_convolution", *operands, target, given, shape, by, packed, wide, gathered)
    step.line("}")


def _depthwise(step: Step, image: str, result: str, form: _Form) -> None:
    """Each channel by itself: see kernels/quantised_depthwise.h."""
    window, finish, zero = form.window, form.finish, int(form.zero)
    channels = window.channels
    taps = form.kernels.numbers.reshape(channels, *window.kernel)
    start = -zero * taps.sum(axis=(1, 2))
    start = start if finish.start is None else start + finish.start
    by = replace(finish, start=start).columns(step)
    right = Right(form.kernels.taps, channels, taps.reshape(1, channels, -1).transpose(0, 2, 1))
    kept = step.scratch(_kept_bytes(window), "uint8")
    given = (form.product(right), window.c(channels), by, kept, _abreast(window.out[1]))
    step.call("quantised_depthwise", image, zero & 255, step.constant(_weights(taps, window)), result, *given)


def _abreast(width: int) -> int:
    """Places beside one another in rows of `width`, so that the fewest are computed twice."""
    return min(width, min(ABREAST, key=lambda each: -(-width // each) * each))


def _weights(taps: NDArray[np.int32], window: Window) -> NDArray[np.int16]:
    """As kernels/quantised_depthwise.h has them: perhaps a second time, a row further down."""
    if window.kernel[0] % 2 == 0 or window.strides[0] != 1 or window.dilations[0] != 1:
        return _pairs_of_taps(taps, 0)
    return np.stack([_pairs_of_taps(taps, first) for first in (0, 1)])


def _pairs_of_taps(taps: NDArray[np.int32], first: int) -> NDArray[np.int16]:
    """[channel, y, x] as [channel / 8, pair of rows, x, 8, 2], padded with zeros; `first` is the row they begin in."""
    channels, height, width = taps.shape
    blocks, pairs = -(-channels // 8), -(-height // 2)
    full = np.zeros((blocks * 8, pairs * 2, width), np.int16)
    full[:channels, first : first + height] = taps
    return np.ascontiguousarray(full.reshape(blocks, 8, pairs, 2, width).transpose(0, 2, 4, 1, 3))


def _kept_bytes(window: Window) -> int:
    channels = -(-window.channels // 8) * 8
    across = (window.out[1] - 1) * window.strides[1] + (window.kernel[1] - 1) * window.dilations[1] + 1
    return 2 * channels * across * ((window.kernel[0] - 1) * window.dilations[0] + 1)
