"""Convolution of each channel alone, and what is before and after it, as kernels/chain.h computes them."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from publisher.compiler.operators.window import Window
from publisher.compiler.step import Step

REGISTERS: Final = 15
MOST_PADDING: Final = 64
"""More is not worth memory."""

BAND_BYTES: Final = 192 * 1024
"""What a band of all channels may take."""

PLANE_BYTES: Final = 48 * 1024
"""What the planes of `ABREAST` channels may take where a whole image passes by, a few channels at a time."""

ABREAST: Final = 16
MOST_PIXELS: Final = 4
WIDEST_UNROLLED: Final = 5
AT_ONCE: Final = 4
"""As in kernels/chain.h and kernels/depthwise.h."""


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


def suits_planes(window: Window) -> bool:
    """Whether the padding is worth being kept."""
    return window.kernel[0] == window.source[0] == 1 and max(*window.begin, *window.end) < MOST_PADDING


def is_small(window: Window) -> bool:
    """Whether a few channels of the whole image stay near."""
    height, width = _padded(window)
    return 4 * ABREAST * height * width <= PLANE_BYTES


def emit_depthwise(
    middle: Middle,
    step: Step,
    source: str,
    size: int,
    out: str,
    first: Product | None = None,
    last: Product | None = None,
) -> None:
    """Write a convolution of two dimensions from and to typed pointers, with a product before and after it.

    `size` is how many elements an image of the source has.
    """
    step.include("chain.h")
    window, channels = middle.window, middle.channels
    lines, keeps = _band(window, channels, first)
    height, width = (lines - 1) * window.strides[1] + window.reach[1], _padded(window)[1]
    planes = -(-(channels if keeps else min(channels, ABREAST)) // 4)
    band = step.scratch(4 * planes * height * width)
    space = step.scratch(lines * window.out[2] * channels) if last else "0"
    before, after = (each or Product("0", "0", channels, channels, "unchanged") for each in (first, last))
    patches = step.scratch(height * window.source[2] * before.depth) if before.patches else "0"
    bounds = ", ".join(map(str, (*window.source[1:], *window.begin[1:], lines, int(keeps))))
    step.line(f"for (int n = 0; n < {middle.images}; n++) {{")
    step.call(
        "chain",
        *(f"(Band){{{bounds}}}", _numbers(middle, height, width)),
        *(f"(Seen){{{before.patches or '{0}'}, {patches}}}", before.literal, before.finish),
        *(_weights(middle, step), middle.finish, after.literal, after.finish),
        *(f"({source} + n * {size})", band, planes, space, out, f"n * {window.places * after.columns}"),
    )
    step.line("}")


def _band(window: Window, channels: int, first: Product | None) -> tuple[int, bool]:
    """How many lines of the output make a band, and whether what it shares with the next is kept.

    As many as fit, in bands of nearly equal height. What is only copied is rather copied again than kept.
    """
    if is_small(window):
        return window.out[1], False
    abreast, size = (ABREAST, PLANE_BYTES) if first is None else (channels, BAND_BYTES)
    fit = (size // (4 * abreast * _padded(window)[1]) - window.reach[1]) // window.strides[1] + 1
    bands = -(-window.out[1] // max(1, min(fit, window.out[1])))
    lines = -(-window.out[1] // bands)
    return lines, first is not None and lines < window.out[1] and window.reach[1] > window.strides[1]


def _padded(window: Window) -> tuple[int, int]:
    """Height and width of the image with its padding."""
    height, width = (sum(each) for each in zip(window.begin[1:], window.source[1:], window.end[1:], strict=True))
    return height, width


def _weights(middle: Middle, step: Step) -> str:
    """The C struct `Weights`."""
    blocks = -(-middle.channels // 4)
    more = (0, 4 * blocks - middle.channels)
    by_channel = np.pad(middle.weights.reshape(middle.channels, -1), (more, (0, 0)))
    taps = step.constant(np.ascontiguousarray(by_channel.reshape(blocks, 4, -1).swapaxes(1, 2), np.float32))
    bias = "0" if middle.bias is None else step.constant(np.pad(middle.bias.astype(np.float32), more))
    return f"(Weights){{{taps}, {bias}, {_pixels(middle.window)}}}"


def _numbers(middle: Middle, height: int, width: int) -> str:
    """The C struct `Depthwise`, of planes of this size."""
    window = middle.window
    lists = (window.kernel[1:], window.strides[1:], window.dilations[1:], window.out[1:])
    numbers = (height, width, middle.channels, *(number for each in lists for number in each))
    return f"(Depthwise){{{', '.join(map(str, numbers))}}}"


def _pixels(window: Window) -> int:
    """How many places at a time fit into the registers, with what they read and a line of the kernel."""
    stride, gap = window.strides[2], window.dilations[2]
    width = window.kernel[2] if window.kernel[2] <= WIDEST_UNROLLED else AT_ONCE
    for pixels in range(min(MOST_PIXELS, window.out[2]), 1, -1):
        reads = len({place * stride + tap * gap for place in range(pixels) for tap in range(width)})
        if reads + width + pixels <= REGISTERS:
            return pixels
    return 1
