"""Convolution of each channel alone, as kernels/depthwise.h computes it."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from publisher.compiler.graph import Node
from publisher.compiler.operators.window import Window
from publisher.compiler.step import Step

REGISTERS: Final = 15
NARROW: Final = 24
"""Lines of fewer places are padded beforehand: too many of them are at an edge."""

MOST_PIXELS: Final = 4
WIDEST_UNROLLED: Final = 5


def emit_depthwise(
    node: Node,
    step: Step,
    window: Window,
    images: int,
    weights: NDArray[np.float32],
    bias: NDArray[np.float32] | None,
    finish: str,
) -> None:
    """Write a convolution of two dimensions whose groups are its channels; weights are [channels, 1, …]."""
    step.include("depthwise.h")
    channels, taps = weights.shape[0], taps_of(weights, window)
    side = side_of(channels)
    added = "0" if bias is None else step.constant(np.pad(bias.astype(np.float32), (0, side - channels)))
    source, out = step.pointer(node.inputs[0]), step.pointer(node.outputs[0])
    pixels = pixels_at_once(window)
    if window.out[2] < NARROW and max(*window.begin, *window.end) > 0:
        image = window.source[1] * window.source[2] * channels
        place = window.places * channels
        space = step.scratch(_padded(window)[0] * _padded(window)[1] * channels)
        step.line(f"for (int n = 0; n < {images}; n++) {{")
        pads = (window.begin[1], window.begin[2], window.end[1], window.end[2])
        step.call("pad_image", f"{source} + n * {image}", *window.source[1:], channels, *pads, space)
        numbers = kernel_numbers(window, _padded(window), channels, (0, 0))
        last = (space, 1, step.constant(taps), added, out, f"n * {place}", finish)
        step.call("depthwise", numbers, pixels, 0, window.out[2], *last)
        step.line("}")
    else:
        numbers = kernel_numbers(window, window.source[1:], channels, window.begin[1:])
        whole = _whole(window)
        step.call("depthwise", numbers, pixels, *whole, source, images, step.constant(taps), added, out, 0, finish)


def side_of(channels: int) -> int:
    """How far apart the weights of two places of the kernel lie: whole vectors."""
    return -(-channels // 4) * 4


def taps_of(weights: NDArray[np.float32], window: Window) -> NDArray[np.float32]:
    """Weights [channels, 1, height, width] as [height, width, side]."""
    channels = weights.shape[0]
    taps = np.zeros((*window.kernel[1:], side_of(channels)), np.float32)
    taps[..., :channels] = np.moveaxis(weights.reshape(channels, *window.kernel[1:]), 0, -1)
    return taps


def kernel_numbers(window: Window, size: tuple[int, ...], channels: int, begin: tuple[int, ...]) -> str:
    """The C struct `Depthwise`, of an image of `size` (height, width) with padding `begin` that is not in it."""
    lists = (window.kernel[1:], window.strides[1:], window.dilations[1:], begin, window.out[1:])
    numbers = (*size, channels, side_of(channels), *(number for each in lists for number in each))
    return f"(Depthwise){{{', '.join(map(str, numbers))}}}"


def _padded(window: Window) -> tuple[int, int]:
    _, height, width = (sum(each) for each in zip(window.begin, window.source, window.end, strict=True))
    return height, width


def _whole(window: Window) -> tuple[int, int]:
    """The places of a line at which the kernel lies within the image."""
    stride, begin, reach = window.strides[2], window.begin[2], window.reach[2]
    first = min(-(-begin // stride), window.out[2])
    end = (window.source[2] + begin - reach) // stride + 1
    return first, min(max(end, first), window.out[2])


def pixels_at_once(window: Window) -> int:
    """How many places at a time fit into the registers, with what they read and a line of the kernel."""
    width, stride, gap = window.kernel[2], window.strides[2], window.dilations[2]
    if width > WIDEST_UNROLLED:
        return MOST_PIXELS
    for pixels in range(MOST_PIXELS, 1, -1):
        reads = len({place * stride + tap * gap for place in range(pixels) for tap in range(width)})
        if reads + width + pixels <= REGISTERS:
            return pixels
    return 1
