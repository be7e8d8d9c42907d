"""Images read where other tensors say: grids of places, and the elements there."""

from math import prod
from typing import Final

import numpy as np
from numpy.typing import NDArray

from publisher.compiler.errors import UnsupportedError
from publisher.compiler.graph import Node, Value
from publisher.compiler.operators.parameters import check
from publisher.compiler.operators.pointwise import check_type
from publisher.compiler.operators.registry import operator
from publisher.compiler.step import Step

_MODES: Final = {
    "nearest": "GRID_NEAREST",
    "linear": "GRID_LINEAR",
    "bilinear": "GRID_LINEAR",
    "cubic": "GRID_CUBIC",
    "bicubic": "GRID_CUBIC",
}
_PADDINGS: Final = {"zeros": "GRID_ZEROS", "border": "GRID_BORDER", "reflection": "GRID_REFLECTION"}


@operator("GridSample")
def grid_sample(node: Node, step: Step) -> None:
    """ONNX GridSample of images with one, two or three dimensions: all modes and paddings."""
    source, grid, out = _sampled(node, step)
    mode, padding = node.text("mode", "linear"), node.text("padding_mode", "zeros")
    if mode not in _MODES or padding not in _PADDINGS:
        raise UnsupportedError("GridSample", "has an unknown mode or padding", "use linear and zeros")
    (batch, channels, *lengths), rank = source.shape, len(source.shape) - 2
    points = prod(grid.shape[1:-1])
    step.include("grid_sample.h")
    step.line(
        f"static const int lengths[3] = {{{', '.join(str(each) for each in (*[1] * (3 - rank), *lengths))}}};",
        f"for (int n = 0; n < {batch}; n++)",
    )
    step.call(
        "grid_sample",
        f"{step.pointer(out.name)} + n * {channels * points}",
        f"{step.pointer(source.name)} + n * {channels * prod(lengths)}",
        f"{step.pointer(grid.name)} + n * {points * rank}",
        *(channels, points, rank, "lengths", _MODES[mode], _PADDINGS[padding]),
        int(node.integer("align_corners", 0) != 0),
    )


def _sampled(node: Node, step: Step) -> tuple[Value, Value, Value]:
    """Image, grid and output, which fit each other."""
    check_type(node, step, ("float32",))
    check_type(node, step, ("float32",), 1)
    source, grid, out = (step.value(name) for name in (*node.inputs[:2], node.outputs[0]))
    rank = len(source.shape) - 2
    if rank not in {1, 2, 3}:
        raise UnsupportedError("GridSample", f"of {rank} dimensions is not known", "sample two or three of them")
    places = grid.shape[1:-1]
    check(grid.shape == (source.shape[0], *places, rank), node, "the grid is of another shape")
    check(out.shape == (*source.shape[:2], *places) and out.dtype == "float32", node, "the output is of another shape")
    check(source.size > 0 or out.size == 0, node, "there is nothing to sample")
    return source, grid, out


@operator("AffineGrid")
def affine_grid(node: Node, step: Step) -> None:
    """ONNX AffineGrid: the places of a fixed grid under a transformation each."""
    check_type(node, step, ("float32",))
    theta, out = step.value(node.inputs[0]), step.value(node.outputs[0])
    rank = len(out.shape) - 2
    check(rank in {2, 3} and out.shape[-1] == rank, node, "the output is no grid")
    check(theta.shape == (out.shape[0], rank, rank + 1) and out.dtype == "float32", node, "theta is of another shape")
    base = step.constant(_places(out.shape[1:-1], bool(node.integer("align_corners", 0))))
    points = prod(out.shape[1:-1])
    step.line(
        f"for (int n = 0; n < {out.shape[0]}; n++) for (int p = 0; p < {points}; p++)",
        f"for (int i = 0; i < {rank}; i++) {{",
        f"const float *const row = {step.pointer(theta.name)} + (n * {rank} + i) * {rank + 1};",
        f"float sum = row[{rank}];",
        f"for (int k = 0; k < {rank}; k++) sum += row[k] * {base}[p * {rank} + k];",
        f"{step.pointer(out.name)}[(n * {points} + p) * {rank} + i] = sum;",
        "}",
    )


def _places(lengths: tuple[int, ...], align_corners: bool) -> NDArray[np.float32]:
    """For each point of a grid its coordinates from -1 to 1, the last axis first."""
    axes = []
    for length in lengths:
        middle = np.arange(length, dtype=np.float64)
        if align_corners:
            axes.append(2 * middle / max(1, length - 1) - 1)
        else:
            axes.append((2 * middle + 1) / max(1, length) - 1)
    grids = np.meshgrid(*axes, indexing="ij")
    return np.stack(grids[::-1], axis=-1).astype(np.float32)
