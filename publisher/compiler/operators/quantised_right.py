"""Right operands of integer products: weights packed for kernels/quantised_product.h, or bytes as they come."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from publisher.compiler.operators.quantised_form import EXACT, Quanta, padded, struct
from publisher.compiler.step import Step

BLOCK_BYTES: Final = 256 * 1024
"""Rows that are packed together: what stays in the cache while the columns are gone through."""


LEAST_DEPTH: Final = 200
"""From here on weights are packed for kernels/quantised_dots.h."""


@dataclass(frozen=True, slots=True)
class Right:
    """`weights` are [groups, inner, columns], their zero points taken off; None where they come at run time.

    Then `pointer` is where they lie: bytes, row by row, or panels of int16 where they are `packed`.
    """

    inner: int
    columns: int
    weights: NDArray[np.int32] | None = None
    pointer: str = ""
    is_signed: bool = False
    packed: bool = False

    @property
    def is_deep(self) -> bool:
        """Whether they lie along the inner dimension."""
        return self.weights is not None and self.inner >= LEAST_DEPTH

    @property
    def shift(self) -> int:
        """What is added to constant weights so that 8 bits hold them, if they can: their zero point as they lie."""
        if self.weights is None or self.weights.size == 0:
            return 0
        low, high = int(self.weights.min()), int(self.weights.max())
        return 0 if low >= -128 and high <= 127 else -128 - low

    @property
    def kind(self) -> str:
        """How kernels find it."""
        if self.weights is None:
            return "WIDE" if self.packed else "BYTES"
        return "NARROW" if self.weights.size == 0 or int(self.weights.max()) + self.shift <= 127 else "WIDE"

    def c(self, step: Step, group: str = "0") -> str:
        """A C pointer to one group; `group` is a C expression."""
        if self.weights is None:
            return self.pointer
        narrow = self.kind == "NARROW"
        stored = self.weights + self.shift if narrow else self.weights
        pack = deep_panels if self.is_deep else panels
        data = np.stack([pack(each, "int8" if narrow else "int16") for each in stored])
        return f"((const uint8_t *){step.constant(data)} + (int64_t){group} * {data[0].nbytes})"

    def zero(self, computed: str) -> str:
        """The zero point that kernels take off, as a C expression; `computed` is that of bytes that are computed."""
        if self.weights is None:
            return computed
        return str(self.shift) if self.kind == "NARROW" else "0"

    @property
    def row_width(self) -> int:
        """Numbers of a row of the left operand that is packed for it: pairs are there four times."""
        return panel_width(self.inner) * (1 if self.is_deep else 4)

    def rows_at_once(self, rows: int) -> int:
        """How many rows are packed before the columns are gone through: a multiple of four."""
        fitting = BLOCK_BYTES // max(1, 2 * self.row_width) // 4 * 4
        return max(4, min(max(32, fitting), -(-rows // 4) * 4))

    def largest_sum(self) -> NDArray[Any]:
        """What no sum of a column goes beyond: left operands are at most 255 from their zero points."""
        if self.weights is None:
            return np.full(1, self.inner * 255.0 * 255.0)
        largest: NDArray[Any] = np.abs(self.weights).sum(axis=1, dtype=np.float64).reshape(-1) * 255.0
        return largest


def panels(weights: NDArray[np.int32], dtype: str) -> NDArray[Any]:
    """[inner, columns] as [columns / 8, inner / 2, 8, 2], padded with zeros."""
    inner, columns = weights.shape
    full = np.zeros((-(-inner // 2) * 2, -(-columns // 8) * 8), dtype)
    full[:inner, :columns] = weights
    return np.ascontiguousarray(full.reshape(full.shape[0] // 2, 2, full.shape[1] // 8, 8).transpose(2, 0, 3, 1))


def deep_panels(weights: NDArray[np.int32], dtype: str) -> NDArray[Any]:
    """[inner, columns] as [columns / 4, inner / 8, 4, 8], padded with zeros to whole panels of eight columns."""
    inner, columns = weights.shape
    full = np.zeros((-(-inner // 8) * 8, -(-columns // 8) * 8), dtype)
    full[:inner, :columns] = weights
    return np.ascontiguousarray(full.reshape(full.shape[0] // 8, 8, full.shape[1] // 4, 4).transpose(2, 0, 3, 1))


@dataclass(frozen=True, slots=True)
class Finish:
    """What becomes of the sums: `start` is added in quanta of the product, then they are scaled, then `bias` is added.

    `to` says how the result is quantised; without it, it is real where there is a `scale`, and the sums where not.
    """

    start: NDArray[Any] | None = None
    scale: NDArray[Any] | None = None
    bias: NDArray[Any] | None = None
    factor: str | float = 1.0
    to: Quanta | None = None

    def columns(self, step: Step, groups: int = 1, group: str = "0") -> str:
        """The `Columns` of kernels/quantised_product.h of one of so many groups; `group` is a C expression."""
        fields: dict[str, str | float] = {"factor": self.factor}
        for name, data, dtype in (
            ("start", self.start, "int32"),
            ("scale", self.scale, "float32"),
            ("bias", self.bias, "float32"),
        ):
            if data is not None:
                rows = np.stack([padded(each, dtype) for each in data.reshape(groups, -1)])
                fields[name] = f"{step.constant(rows)} + {group} * {rows.shape[1]}"
        return struct("Columns", **fields)

    def fields(self, largest: NDArray[Any]) -> dict[str, str | float]:
        """The `to` and `quanta` of a `Product`. `largest` bounds the sums of products."""
        if self.to is None:
            return {"to": "TO_SUMS" if self.scale is None else "TO_REALS"}
        most = largest if self.start is None else largest + np.abs(self.start.astype(np.float64))
        scale = np.zeros(1) if self.scale is None else np.abs(self.scale.astype(np.float64))
        with np.errstate(all="ignore"):
            unbounded = not bool(np.all(most * scale < EXACT))
        return {"to": "TO_QUANTA", "quanta": self.to.c(unbounded=unbounded)}


def panel_width(inner: int) -> int:
    """Numbers of one column of a right panel, at most."""
    return -(-inner // 8) * 8


def workspace(step: Step, right: Right, rows: int) -> tuple[str, str]:
    """Scratch for packed rows and for one right panel."""
    packed = step.scratch(right.rows_at_once(rows) * right.row_width + 8, "int16")
    return packed, step.scratch(panel_width(right.inner) * 8 + 8, "int16")


def product(right: Right, finish: Finish, **fields: str | float) -> str:
    """The `Product` of kernels/quantised_product.h: `rows`, `left_signed`, `left_stride` and `stride` are given."""
    rows = int(fields["rows"])
    given: dict[str, str | float] = {
        "inner": right.inner,
        "columns": right.columns,
        "right": right.kind,
        "right_signed": int(right.is_signed),
        "deep": int(right.is_deep),
    }
    block = right.rows_at_once(rows)
    return struct("Product", **fields, **given, block=block, **finish.fields(right.largest_sum()))
