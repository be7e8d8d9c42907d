"""Where kernels lie over images: ONNX's pads, strides and dilations, for images of one or two dimensions."""

from dataclasses import dataclass, replace
from typing import Final, Self

from protocol.errors import ConfigurationError
from publisher.compiler.errors import UnsupportedError
from publisher.compiler.graph import Node, Value
from publisher.compiler.operators.quantised_form import struct

Pair = tuple[int, int]
CHANNELS_LAST: Final = frozenset({"conv_integer", "qlinear_average_pool", "qlinear_conv", "quantised.conv_last"})
"""The planner's operators on images that have their channels last."""


@dataclass(frozen=True, slots=True)
class Window:
    """Images are height · width · channels here, whatever their layout; pairs are (y, x)."""

    images: int
    image: Pair
    channels: int
    out: Pair
    kernel: Pair
    strides: Pair
    dilations: Pair
    pads: Pair
    channels_last: bool

    @classmethod
    def of(cls, node: Node, x: Value, kernel: tuple[int, ...], out: Value) -> Self:
        """The window of a node on images `x`. Raises `ConfigurationError`, `UnsupportedError`."""
        rank = len(kernel)
        if len(x.shape) != rank + 2 or len(out.shape) != rank + 2:
            raise ConfigurationError(f"{node.operator}: the kernel does not fit the image")
        if rank not in {1, 2}:
            raise UnsupportedError(node.operator, f"has {rank} dimensions", "leave it in floating point")
        last = node.operator in CHANNELS_LAST
        spatial, to = (x.shape[1:-1], out.shape[1:-1]) if last else (x.shape[2:], out.shape[2:])
        strides = node.integers("strides") or (1,) * rank
        dilations = node.integers("dilations") or (1,) * rank
        pads = _pads(node, spatial, to, kernel, strides, dilations)
        sound = len(strides) == len(dilations) == len(pads) == rank and min(*strides, *dilations, *kernel) > 0
        if not sound or min(pads) < 0:
            raise ConfigurationError(f"{node.operator}: strides, dilations or pads do not fit the kernel")
        return cls(
            x.shape[0],
            _pair(spatial),
            x.shape[-1] if last else x.shape[1],
            _pair(to),
            _pair(kernel),
            _pair(strides),
            _pair(dilations),
            _pair(pads, 0),
            last,
        )

    @property
    def places(self) -> int:
        """How many places of the result one image has."""
        return self.out[0] * self.out[1]

    @property
    def pixels(self) -> int:
        """How many pixels one image has."""
        return self.image[0] * self.image[1]

    @property
    def pointwise(self) -> bool:
        """Whether each place of the result is made of the pixel at that place."""
        return self.kernel == self.strides == (1, 1) and self.pads == (0, 0) and self.out == self.image

    def of_group(self, channels: int) -> "Window":
        """That of so many of the channels."""
        return replace(self, channels=channels)

    def c(self, pixel: int) -> str:
        """The `Window` of kernels/quantised_convolution.h, in images of `pixel` channels."""
        names = {
            "image": ("height", "width"),
            "out": ("out_height", "out_width"),
            "kernel": ("kernel_height", "kernel_width"),
            "strides": ("stride_y", "stride_x"),
            "dilations": ("dilation_y", "dilation_x"),
            "pads": ("top", "left"),
        }
        fields = {
            name: value for key, pair in names.items() for name, value in zip(pair, getattr(self, key), strict=True)
        }
        return struct("Window", channels=self.channels, pixel=pixel, **fields)


def _pair(values: tuple[int, ...], missing: int = 1) -> Pair:
    return (missing, values[0]) if len(values) == 1 else (values[0], values[1])


def _pads(
    node: Node,
    spatial: tuple[int, ...],
    out: tuple[int, ...],
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
) -> tuple[int, ...]:
    """What is padded before the first element, by axis; what is padded after the last follows from the result."""
    rank = len(kernel)
    mode = node.text("auto_pad", "NOTSET")
    if mode == "VALID":
        return (0,) * rank
    if mode == "NOTSET":
        pads = node.integers("pads") or (0,) * (2 * rank)
        return pads[:rank]
    begins = []
    for axis in range(rank):
        reach = (out[axis] - 1) * strides[axis] + (kernel[axis] - 1) * dilations[axis] + 1
        total = max(0, reach - spatial[axis])
        begins.append(total // 2 if mode == "SAME_UPPER" else total - total // 2)
    return tuple(begins)
