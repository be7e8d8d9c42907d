"""Matrices as kernels/gemm.h reads them: panels of 16 columns, what remains in panels of 8 and 4; deeper ones as
kernels/dots.h does, in panels of 4 columns."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from publisher.compiler.step import Step

BLOCK_BYTES: Final = 32 * 1024
"""What of the left matrix stays near while the panels of the right one pass by."""

FAR_BLOCK_BYTES: Final = 256 * 1024
"""The same by depth, where panels are narrow and stay nearer."""

LEAST_DEPTH: Final = 40


def is_by_depth(depth: int) -> bool:
    """Whether kernels/dots.h multiplies: `is_by_depth` there."""
    return depth % 4 == 0 and depth >= LEAST_DEPTH


def patch_depth(size: int) -> int:
    """How many elements a patch has with its zeros: `patch_depth` of kernels/convolution.h."""
    return -(-size // 4) * 4 if size > 4 else size


def widths(columns: int) -> tuple[int, ...]:
    """How wide each panel is."""
    rest = columns % 16
    last = (16,) if rest > 12 else (8, 4) if rest > 8 else (8,) if rest > 4 else (4,) if rest else ()
    return (16,) * (columns // 16) + last


def packed_columns(columns: int) -> int:
    """How many columns there are with those of zeros."""
    return sum(widths(columns))


def packed_patches(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """A matrix of as many rows as a patch has elements."""
    return packed(np.pad(matrix, ((0, patch_depth(len(matrix)) - len(matrix)), (0, 0))))


def packed(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """A matrix [depth, columns], panel after panel, filled up with zeros."""
    depth, columns = matrix.shape
    if is_by_depth(depth):
        wide = np.pad(matrix, ((0, 0), (0, -columns % 4)))
        return wide.reshape(depth // 4, 4, -1, 4).transpose(2, 0, 3, 1).reshape(-1)
    filled = np.zeros((depth, packed_columns(columns)), np.float32)
    filled[:, :columns] = matrix
    panels, at = [], 0
    for width in widths(columns):
        panels.append(filled[:, at : at + width].reshape(-1))
        at += width
    return np.concatenate(panels) if panels else np.zeros(0, np.float32)


def filled(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    """A vector along the columns, filled up likewise."""
    return np.concatenate([vector.reshape(-1), np.zeros(packed_columns(vector.size) - vector.size, np.float32)])


def block_rows(rows: int, depth: int, size: int = BLOCK_BYTES) -> int:
    """How many rows of the left matrix to work on at a time: even, so that two at once are enough."""
    return min(rows, max(16, size // (4 * max(depth, 1)) // 4 * 4)) or 1


def far_block_rows(rows: int, depth: int) -> int:
    """The same where they lie as they are, and need no room of their own."""
    return block_rows(rows, depth, FAR_BLOCK_BYTES if is_by_depth(depth) else BLOCK_BYTES)


def bias_pointer(step: Step, bias: NDArray[np.float32] | None) -> str:
    """The C expression of a constant bias, filled up; 0 for none."""
    return "0" if bias is None else step.constant(filled(bias.astype(np.float32)))
