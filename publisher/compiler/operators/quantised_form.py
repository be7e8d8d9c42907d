"""What quantised operators share: scales and zero points, and the C that names them."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from protocol.errors import ConfigurationError
from publisher.compiler.errors import UnsupportedError
from publisher.compiler.graph import Node
from publisher.compiler.step import Step, literal

RANGES: Final = {"uint8": (0, 255), "int8": (-128, 127), "uint16": (0, 65535), "int16": (-32768, 32767)}
"""The quanta of each type."""
EXACT: Final = 2.0**21
"""Up to here kernels round what comes to them without bounding it first."""


@dataclass(frozen=True, slots=True)
class Quanta:
    """How one tensor is quantised as a whole; `low` to `high` is narrower than the type where it was clipped."""

    scale: np.float32
    zero_point: int
    dtype: str
    low: int
    high: int

    def c(self, *, unbounded: bool) -> str:
        """The `Quanta` of kernels/quantised.h."""
        return struct(
            "Quanta",
            zero_point=self.zero_point,
            is_signed=int(self.dtype == "int8"),
            low=self.low,
            high=self.high,
            unbounded=int(unbounded),
        )


def struct(name: str, **fields: str | float) -> str:
    """A C structure as an expression."""
    return f"({name}){{{', '.join(f'.{field} = {literal(value)}' for field, value in fields.items())}}}"


def known(node: Node, step: Step, number: int, what: str) -> NDArray[Any]:
    """The data of an input that must be constant. Raises `UnsupportedError`."""
    data = step.value(node.inputs[number]).data if node.has(number) else None
    if data is None:
        raise UnsupportedError(node.operator, f"computes its {what}", f"export the model with a constant {what}")
    return data


def scales_of(node: Node, step: Step, number: int) -> NDArray[np.float32]:
    """The scales that are a constant input; 0 is that of weights that are all 0. Raises `ConfigurationError`."""
    data = known(node, step, number, "scale")
    if data.dtype != np.float32 or not np.all(np.isfinite(data) & (data >= 0)):
        raise ConfigurationError(f"{node.operator}: a scale is negative, or no number of 32 bits")
    return data


def scale_of(node: Node, step: Step, number: int) -> np.float32:
    """The scale of a whole tensor. Raises `ConfigurationError`, `UnsupportedError`."""
    scales_of(node, step, number)
    return np.float32(single(node, step, number, "scale"))


def worth(over: Any, *factors: Any) -> NDArray[np.float32]:
    """A product of scales over another scale, as onnxruntime computes it; infinite where it is too large."""
    made = np.asarray(factors[0], np.float32)
    with np.errstate(all="ignore"):
        for each in factors[1:]:
            made = made * np.asarray(each, np.float32)
        return np.asarray(made / np.float32(over), np.float32)


def single(node: Node, step: Step, number: int, what: str) -> Any:
    """The one element of a constant input. Raises `UnsupportedError`."""
    data = known(node, step, number, what)
    if data.size != 1:
        raise UnsupportedError(
            node.operator, f"has a {what} for each row or channel here", "quantise activations per tensor"
        )
    return data.reshape(-1)[0]


def zero_point(node: Node, step: Step, number: int) -> int:
    """A zero point of a whole tensor, 0 where it is left out. Raises `UnsupportedError`."""
    return int(single(node, step, number, "zero point")) if node.has(number) else 0


def quanta(node: Node, step: Step, at: int, dtype: str) -> Quanta:
    """What the inputs `at` and `at` + 1 say. Raises `ConfigurationError`."""
    low, high = RANGES[dtype]
    low, high = max(low, node.integer("low", low)), min(high, node.integer("high", high))
    scale = scale_of(node, step, at)
    if scale == 0:
        raise ConfigurationError(f"{node.operator}: the scale of the result is 0")
    return Quanta(scale, zero_point(node, step, at + 1), dtype, low, high)


def check_bytes(node: Node, step: Step, *names: str) -> None:
    """Tensors are int8 or uint8. Raises `UnsupportedError`."""
    for name in names:
        if step.value(name).dtype not in {"int8", "uint8"}:
            raise UnsupportedError(node.operator, "is of 16 bits here", "quantise to 8 bits")


def per_column(node: Node, data: NDArray[Any], columns: int, what: str) -> NDArray[Any]:
    """One number a column, out of one for all or one for each. Raises `ConfigurationError`."""
    if data.size not in {1, columns}:
        raise ConfigurationError(f"{node.operator}: {data.size} times a {what} for {columns} columns")
    return np.broadcast_to(data.reshape(-1), (columns,))


def padded(data: NDArray[Any], dtype: str, multiple: int = 8) -> NDArray[Any]:
    """A vector with zeros behind it, so that kernels read eight at a time."""
    room = np.zeros(-(-max(1, data.size) // multiple) * multiple, dtype)
    room[: data.size] = data
    return room


def quantised(values: NDArray[np.float32], to: Quanta) -> NDArray[Any]:
    """Reals as quanta: what ONNX QuantizeLinear makes of them."""
    with np.errstate(all="ignore"):
        scaled = np.rint(np.nan_to_num(values / to.scale, nan=-np.inf)) + to.zero_point
    made: NDArray[Any] = np.clip(scaled, to.low, to.high).astype(to.dtype)
    return made
