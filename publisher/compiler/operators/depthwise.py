"""Convolution of each channel alone, as kernels/depthwise.h computes it."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from publisher.compiler.operators.window import Window
from publisher.compiler.step import Step

REGISTERS: Final = 15
NARROW: Final = 24
"""Lines of fewer places are copied into padded ones: too many of them are at an edge."""

MOST_PADDING: Final = 64
"""More is not worth memory."""

BAND_BYTES: Final = 96 * 1024
"""What a band may take: an instance pays for each page that it touches, and what is near is quicker."""


MOST_PIXELS: Final = 4
WIDEST_UNROLLED: Final = 5


@dataclass(frozen=True, slots=True)
class Product:
    """A packed matrix, a bias filled up ("0" for none), and what follows: C expressions. "0" is no product."""

    packed: str
    bias: str
    depth: int
    columns: int
    finish: str
    patches: str = ""
    """The C struct `Patches` of what it sees, or "" where its rows are the image's elements as they are."""

    @property
    def literal(self) -> str:
        """The C struct `Pointwise`."""
        return f"(Pointwise){{{self.packed}, {self.bias}, {self.depth}, {self.columns}}}"


@dataclass(frozen=True, slots=True)
class Middle:
    """A convolution of each channel alone: its place, weights [channels, 1, …], bias, and what follows."""

    window: Window
    images: int
    weights: NDArray[np.float32]
    bias: NDArray[np.float32] | None
    finish: str

    @property
    def channels(self) -> int:
        """How many channels."""
        return int(self.weights.shape[0])


def emit_depthwise(middle: Middle, step: Step, source: str, out: str) -> None:
    """Write a convolution of two dimensions from and to typed pointers."""
    step.include("depthwise.h")
    window = middle.window
    if window.out[2] < NARROW and 0 < max(*window.begin, *window.end) < MOST_PADDING:
        emit_bands(middle, step, source, window.source[1] * window.source[2] * middle.channels, out)
        return
    taps, added = _constants(middle, step)
    numbers = _numbers(middle, window.source[1:], window.begin[1:])
    whole = _whole(window)
    step.call("depthwise", numbers, _pixels(window), *whole, source, middle.images, taps, added, out, 0, middle.finish)


def emit_bands(
    middle: Middle,
    step: Step,
    source: str,
    size: int,
    out: str,
    first: Product | None = None,
    last: Product | None = None,
) -> None:
    """The same a band of lines at a time, with a product before and after it: kernels/chain.h.

    `size` is how many elements an image of the source has.
    """
    step.include("chain.h")
    window, channels = middle.window, middle.channels
    width = window.begin[2] + window.source[2] + window.end[2]
    lines = _lines(window, width, channels)
    height = (lines - 1) * window.strides[1] + window.reach[1]
    band = step.scratch(height * width * channels)
    space = step.scratch(lines * window.out[2] * channels) if last else "0"
    before, after = (each or Product("0", "0", 0, channels, "unchanged") for each in (first, last))
    taps, added = _constants(middle, step)
    patches = step.scratch(window.source[2] * before.depth) if before.patches else "0"
    seen = f"(Seen){{{before.patches or '{0}'}, {patches}}}"
    bounds = ", ".join(map(str, (*window.source[1:], *window.begin[1:], lines)))
    step.line(f"for (int n = 0; n < {middle.images}; n++) {{")
    step.call(
        "chain",
        *(f"(Band){{{bounds}}}", _numbers(middle, (height, width), (0, 0)), seen, before.literal, before.finish),
        *(f"(Weights){{{taps}, {added}, {_pixels(window)}}}", middle.finish, after.literal, after.finish),
        *(f"({source} + n * {size})", band, space, out, f"n * {window.places * after.columns}"),
    )
    step.line("}")


def _lines(window: Window, width: int, channels: int) -> int:
    """How many lines of the output make a band: as many as fit, in bands of nearly equal height."""
    fit = (BAND_BYTES // (4 * channels * width) - window.reach[1]) // window.strides[1] + 1
    bands = -(-window.out[1] // max(1, min(fit, window.out[1])))
    return -(-window.out[1] // bands)


def _constants(middle: Middle, step: Step) -> tuple[str, str]:
    """Weights as [height, width, whole vectors of channels], and the bias."""
    side = _side(middle.channels)
    taps = np.zeros((*middle.window.kernel[1:], side), np.float32)
    by_channel = middle.weights.reshape(middle.channels, *middle.window.kernel[1:])
    taps[..., : middle.channels] = np.moveaxis(by_channel, 0, -1)
    if middle.bias is None:
        return step.constant(taps), "0"
    return step.constant(taps), step.constant(np.pad(middle.bias.astype(np.float32), (0, side - middle.channels)))


def _side(channels: int) -> int:
    return -(-channels // 4) * 4


def _numbers(middle: Middle, size: tuple[int, ...], begin: tuple[int, ...]) -> str:
    """The C struct `Depthwise`, of an image of `size` (height, width) with padding `begin` that is not in it."""
    window, channels = middle.window, middle.channels
    lists = (window.kernel[1:], window.strides[1:], window.dilations[1:], begin, window.out[1:])
    numbers = (*size, channels, _side(channels), *(number for each in lists for number in each))
    return f"(Depthwise){{{', '.join(map(str, numbers))}}}"


def _whole(window: Window) -> tuple[int, int]:
    """The places of a line at which the kernel lies within the image."""
    stride, begin, reach = window.strides[2], window.begin[2], window.reach[2]
    first = min(-(-begin // stride), window.out[2])
    end = (window.source[2] + begin - reach) // stride + 1
    return first, min(max(end, first), window.out[2])


def _pixels(window: Window) -> int:
    """How many places at a time fit into the registers, with what they read and a line of the kernel."""
    width, stride, gap = window.kernel[2], window.strides[2], window.dilations[2]
    if width > WIDEST_UNROLLED:
        return MOST_PIXELS
    for pixels in range(MOST_PIXELS, 1, -1):
        reads = len({place * stride + tap * gap for place in range(pixels) for tap in range(width)})
        if reads + width + pixels <= REGISTERS:
            return pixels
    return 1
