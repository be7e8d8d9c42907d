"""What the families that move elements share: a part of one tensor becomes a part of another."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from protocol.errors import ConfigurationError
from publisher.compiler.graph import C_TYPES, Value
from publisher.compiler.loops import Operand, Stride, merged, nest
from publisher.compiler.step import Step, row_major

RUN: Final = 16
"""Bytes side by side from which on they are copied as a block."""


@dataclass(frozen=True, slots=True)
class Walk:
    """How a tensor is walked: the element to begin with, and a stride (or a table, see `Operand`) per dimension.

    `pointer` says where elements of this type lie, if not where the value does.
    """

    value: Value
    strides: tuple[Stride, ...]
    start: int = 0
    pointer: str = ""


def whole(value: Value) -> Walk:
    """All elements in their order."""
    return Walk(value, row_major(value.shape))


def copy(step: Step, shape: Sequence[int], to: Walk, source: Walk) -> None:
    """Write loops over `shape` that copy elements: blocks where both walks have them, tiles where they transpose.

    Raises `ConfigurationError` where the elements are of two types.
    """
    if to.value.dtype != source.value.dtype:
        raise ConfigurationError(f"{source.value.dtype} elements are to become {to.value.dtype}")
    if 0 in shape:
        return
    size = np.dtype(to.value.dtype).itemsize
    lengths, (writes, reads) = merged(shape, (to.strides, source.strides))
    if lengths and writes[-1] == 1 and reads[-1] == 1 and lengths[-1] * size >= RUN:
        statement, loops = f"__builtin_memcpy(&{{o}}, &{{a}}, {lengths[-1] * size});", [len(lengths) - 1]
    elif (across := _across(lengths, writes, reads)) is not None:
        last = len(lengths) - 1
        step.include("transpose.h")
        sizes = f"{writes[across]}, &{{a}}, {reads[last]}, {lengths[last]}, {lengths[across]}"
        statement, loops = f"transpose_{size * 8}(&{{o}}, {sizes});", [across, last]
    elif size == 1 and _are_pixels(lengths, writes, reads):
        step.include("transpose.h")
        statement = f"pixels_of_three(&{{o}}, &{{a}}, {reads[-1]}, {lengths[-2]});"
        loops = [len(lengths) - 2, len(lengths) - 1]
    else:
        statement, loops = "{o} = {a};", []
    outer = [depth for depth in range(len(lengths)) if depth not in loops]
    operands = {
        "o": bits(step, to.value, tuple(writes[depth] for depth in outer), to.start, to.pointer),
        "a": bits(step, source.value, tuple(reads[depth] for depth in outer), source.start, source.pointer),
    }
    nest(step, [lengths[depth] for depth in outer], operands, statement)


def fill(step: Step, value: Value, element: str) -> None:
    """Write every element; `element` is a C expression of its type."""
    out = Operand(step.pointer(value.name), (1,), C_TYPES[value.dtype])
    nest(step, (value.size,), {"o": out}, "{o} = {element};", words={"element": element})


def table(step: Step, offsets: Sequence[int]) -> Stride:
    """A walk's offsets for each index, as a stride where they are one."""
    steps = {second - first for first, second in pairwise(offsets)}
    if offsets and offsets[0] == 0 and len(steps) <= 1:
        return next(iter(steps), 0)
    return step.constant(np.array(offsets, np.int32))


def _across(lengths: Sequence[int], writes: Sequence[Stride], reads: Sequence[Stride]) -> int | None:
    """The dimension along which elements that are read lie side by side, where those written do along the last."""
    if len(lengths) < 2 or writes[-1] != 1 or not isinstance(reads[-1], int) or reads[-1] <= 1 or lengths[-1] < 4:
        return None
    found = (depth for depth, stride in enumerate(reads) if stride == 1 and lengths[depth] >= 4)
    depth = next(found, None)
    return depth if depth is not None and isinstance(writes[depth], int) else None


def _are_pixels(lengths: Sequence[int], writes: Sequence[Stride], reads: Sequence[Stride]) -> bool:
    """Whether three planes become pixels of three elements."""
    if len(lengths) < 2 or lengths[-1] != 3 or not isinstance(reads[-1], int):
        return False
    return (*writes[-2:], reads[-2]) == (3, 1, 1)


def bits(step: Step, value: Value, strides: tuple[Stride, ...], start: int = 0, pointer: str = "") -> Operand:
    """Elements as numbers of their size, whose address may be taken: nothing is computed, NaN stays as it is."""
    ctype = bits_type(value)
    return Operand(f"((({ctype} *){pointer or step.pointer(value.name)}) + {start})", strides, ctype)


def bits_type(value: Value) -> str:
    """The C type of elements as numbers of their size."""
    return f"uint{np.dtype(value.dtype).itemsize * 8}_t"
