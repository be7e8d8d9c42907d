"""Kernels of integer convolutions, constant or computed, as right operands of products."""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from publisher.compiler.graph import Node
from publisher.compiler.operators.quantised_form import known, per_column
from publisher.compiler.operators.quantised_right import Right
from publisher.compiler.step import Step


@dataclass(frozen=True, slots=True)
class Kernels:
    """`shape` is [out channels, channels of a group, …]. Constants have their zero points taken off.

    `pointer` and `zeros` are where others lie; `zero_step` is 0 where all have one zero point.
    """

    shape: tuple[int, ...]
    group: int
    data: NDArray[Any] | None
    pointer: str = ""
    zeros: str = ""
    zero_step: int = 0
    is_signed: bool = False

    @property
    def count(self) -> int:
        """Channels of the result."""
        return self.shape[0]

    @property
    def channels(self) -> int:
        """Channels of the image that one kernel sees."""
        return self.shape[1]

    @property
    def taps(self) -> int:
        """Elements of one kernel in one channel."""
        return prod(self.shape[2:])

    @property
    def numbers(self) -> NDArray[Any]:
        """[out channels, channels of a group, taps], of constants."""
        data = np.zeros(0, np.int32) if self.data is None else self.data
        return data.reshape(self.count, self.channels, self.taps)

    def right(self, step: Step) -> Right:
        """Each group as [taps · channels, out channels]; computed ones are packed for the group called `group` in C."""
        many, inner = self.count // self.group, self.taps * self.channels
        if self.data is not None:
            own = self.numbers.reshape(self.group, many, self.channels, self.taps).transpose(0, 3, 2, 1)
            return Right(inner, many, own.reshape(self.group, inner, many))
        room = step.scratch(-(-inner // 2) * 16 * -(-many // 8), "int16")
        source = f"(const uint8_t *){self.pointer} + group * {many * inner}"
        zeros = f"(const uint8_t *){self.zeros} + group * {many * self.zero_step}"
        kind = (int(self.is_signed), zeros, self.zero_step)
        step.call("pack_kernels", room, source, many, self.channels, self.taps, *kind)
        return Right(inner, many, pointer=f"((const uint8_t *){room})", packed=True)


def kernels_of(node: Node, step: Step, at: int, zero: int) -> Kernels:
    """The kernels that are input `at`, with the zero point that is input `zero`. Raises `UnsupportedError`."""
    value, group = step.value(node.inputs[at]), node.integer("group", 1)
    if value.data is None:
        zeros, many = step.constant(np.zeros(1, value.dtype)), False
        if node.has(zero):
            zeros, many = step.pointer(node.inputs[zero]), step.value(node.inputs[zero]).size > 1
        return Kernels(value.shape, group, None, step.pointer(value.name), zeros, int(many), value.dtype == "int8")
    data = value.data.astype(np.int32)
    if node.has(zero):
        points = per_column(node, known(node, step, zero, "zero point"), value.shape[0], "zero point")
        data = data - points.astype(np.int32).reshape(-1, *([1] * (data.ndim - 1)))
    return Kernels(value.shape, group, data)
