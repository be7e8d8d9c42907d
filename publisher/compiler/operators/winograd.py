"""Convolution by 3 x 3 without gaps with fewer products, where it pays: kernels/winograd.h."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from publisher.compiler.operators.packing import bias_pointer, packed
from publisher.compiler.operators.window import Window
from publisher.compiler.step import Step

FEWEST_CHANNELS: Final = 16
FEWEST_PLACES: Final = 96
"""Of fewer, larger weights cost more than is saved."""

BLOCK_BYTES: Final = 96 * 1024
_G: Final = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])


def suits(window: Window, channels: int, filters: int) -> bool:
    """Whether a convolution of one group is of that kind and large enough."""
    kind = (window.kernel, window.strides, window.dilations) == ((1, 3, 3), (1, 1, 1), (1, 1, 1))
    whole = channels % 4 == filters % 4 == 0 and min(channels, filters) >= FEWEST_CHANNELS
    return kind and whole and window.source[0] == 1 and window.places >= FEWEST_PLACES


def emit_winograd(
    step: Step,
    window: Window,
    images: int,
    weights: NDArray[np.float32],
    bias: NDArray[np.float32] | None,
    source: str,
    out: str,
    finish: str,
) -> None:
    """Write it from and to typed pointers; weights are [filters, channels, 3, 3]."""
    step.include("winograd.h")
    filters, channels = weights.shape[:2]
    matrices = np.einsum("ik,nckl,jl->ijcn", _G, weights.astype(np.float64), _G).reshape(16, channels, filters)
    panels = [packed(each.astype(np.float32)) for each in matrices]
    tiles = -(-window.out[1] // 2) * -(-window.out[2] // 2)
    block = min(tiles, max(8, BLOCK_BYTES // (64 * channels) // 2 * 2))
    numbers = (*window.source[1:], channels, *window.begin[1:], *window.out[1:], filters)
    spaces = [step.scratch(16 * size) for size in (channels, block * channels, block * filters)]
    step.call(
        "winograd",
        *(f"(Winograd){{{', '.join(map(str, numbers))}}}", source, images),
        *(step.constant(np.concatenate(panels)), panels[0].size, bias_pointer(step, bias)),
        *(*spaces, out, block, finish),
    )
