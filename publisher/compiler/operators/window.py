"""Where a kernel is laid on an image: what convolutions and pools are told by attributes, in three dimensions."""

from dataclasses import dataclass
from math import prod
from typing import Final

from protocol.errors import ConfigurationError
from publisher.compiler.errors import UnsupportedError
from publisher.compiler.graph import Node

Three = tuple[int, int, int]
MAY_SKIP: Final = frozenset({"average_pool", "lp_pool"})
"""Operators that onnxruntime lets begin behind the first elements, where auto_pad says so."""

MOST: Final = 2**30
"""Places, padding included, are computed in C's int."""


@dataclass(frozen=True, slots=True)
class Window:
    """Depth, height, width of each; dimensions that are missing are 1 and come first. `begin` and `end` are padding.

    `end` reaches at least as far as the last place's kernel.
    """

    source: Three
    kernel: Three
    strides: Three
    dilations: Three
    begin: Three
    end: Three
    out: Three

    @property
    def places(self) -> int:
        """How many elements of the output a channel has."""
        return prod(self.out)

    @property
    def reach(self) -> Three:
        """How many elements a kernel spans."""
        return three([(size - 1) * gap + 1 for size, gap in zip(self.kernel, self.dilations, strict=True)], 1)

    @property
    def is_plain(self) -> bool:
        """Whether the output's elements are the input's, one by one."""
        return self.kernel == self.strides == (1, 1, 1) and self.source == self.out and self.begin == (0, 0, 0)


def window_of(node: Node, source: tuple[int, ...], kernel: tuple[int, ...], out: tuple[int, ...]) -> Window:
    """The window of a node, whose spatial dimensions are `source` before and `out` after it."""
    rank = len(source)
    if not 1 <= rank <= 3:
        raise UnsupportedError(node.operator, f"has {rank} spatial dimensions", "use one, two or three")
    strides, dilations = (_listed(node, name, rank) for name in ("strides", "dilations"))
    if len(kernel) != rank or len(out) != rank or min((*kernel, *strides, *dilations), default=1) < 1:
        raise ConfigurationError(f"{node.operator}: its kernel does not fit its input")
    reach = [(size - 1) * gap + 1 for size, gap in zip(kernel, dilations, strict=True)]
    check_reach(node, reach, strides, out)
    needed = [
        (places - 1) * stride + span - length
        for places, stride, span, length in zip(out, strides, reach, source, strict=True)
    ]
    if node.operator == "conv" and _begins_late(node, needed):
        raise ConfigurationError("Conv: onnxruntime skips its first elements; write pads in place of auto_pad")
    begin = _begin(node, source, needed if node.operator in MAY_SKIP else [max(need, 0) for need in needed])
    end = [max(need - max(first, 0), 0) for need, first in zip(needed, begin, strict=True)]
    if any(first >= MOST or (first < 0 and not _skips(node)) for first in begin):
        raise UnsupportedError(node.operator, "cuts its input by negative padding", "slice the input before it")
    ones, zeros = (three(each, fill) for each, fill in ((kernel, 1), (begin, 0)))
    return Window(three(source, 1), ones, three(strides, 1), three(dilations, 1), zeros, three(end, 0), three(out, 1))


def _begins_late(node: Node, needed: list[int]) -> bool:
    """Whether onnxruntime begins a convolution behind the first elements, where ONNX pads nothing: strides are long."""
    least = {"SAME_UPPER": -2, "SAME_LOWER": -3}.get(node.text("auto_pad", "NOTSET"))
    return least is not None and min(needed) < least


def _skips(node: Node) -> bool:
    return node.operator in MAY_SKIP and node.text("auto_pad", "NOTSET").startswith("SAME")


def check_reach(node: Node, reach: list[int], strides: tuple[int, ...], out: tuple[int, ...]) -> None:
    """Raise `ConfigurationError` where a place could not be counted."""
    for span, stride, places in zip(reach, strides, out, strict=True):
        if span >= MOST or stride >= MOST or stride * places >= MOST:
            raise ConfigurationError(f"{node.operator}: its kernel, holes or strides are too large")


def _begin(node: Node, source: tuple[int, ...], needed: list[int]) -> tuple[int, ...]:
    """Padding at the beginning; that at the end follows from the output's shape."""
    how = node.text("auto_pad", "NOTSET")
    # Where strides are longer than kernels, less than nothing may be needed: onnxruntime divides it, towards zero.
    if how == "SAME_UPPER":
        return tuple(int(need / 2) for need in needed)
    if how == "SAME_LOWER":
        return tuple(int((need + 1) / 2) for need in needed)
    if how == "VALID":
        return (0,) * len(source)
    pads = node.integers("pads") or (0,) * (2 * len(source))
    if len(pads) != 2 * len(source):
        raise ConfigurationError(f"{node.operator}: pads do not fit its input")
    return pads[: len(source)]


def _listed(node: Node, name: str, rank: int) -> tuple[int, ...]:
    found = node.integers(name) or (1,) * rank
    if len(found) != rank:
        raise ConfigurationError(f"{node.operator}: {name} do not fit its input")
    return found


def three(given: tuple[int, ...] | list[int], fill: int) -> Three:
    """One number for each of three dimensions; those that are missing come first."""
    depth, height, width = (fill,) * (3 - len(given)) + tuple(given)
    return depth, height, width
