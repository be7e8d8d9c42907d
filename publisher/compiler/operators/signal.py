"""Fourier transforms: linear maps whose matrices are constants, so that each is one product."""

from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from protocol.errors import ConfigurationError
from publisher.compiler.errors import UnsupportedError
from publisher.compiler.graph import Node, Value
from publisher.compiler.loops import Operand, nest
from publisher.compiler.operators.normalisation import floats
from publisher.compiler.operators.packing import packed
from publisher.compiler.operators.registry import operator
from publisher.compiler.step import Step, row_major

MOST_ELEMENTS: Final = 2**24
"""Of a transform's matrix: it is part of the module."""


@operator("DFT")
def dft(node: Node, step: Step) -> None:
    """ONNX DFT along one axis: of real or complex numbers, inverse, one-sided."""
    value, out = floats(node, step), step.value(node.outputs[0])
    axis = _axis(node, step, value)
    length = _number(node, step, 1) if node.has(1) else None
    shape, made = value.shape, out.shape
    sizes = shape[axis], shape[-1], made[axis], made[-1]
    inverse, onesided = bool(node.integer("inverse", 0)), bool(node.integer("onesided", 0))
    if length is None:
        length = 2 * (sizes[0] - 1) if inverse and onesided else sizes[0]
    matrix = transform(node, sizes, length, inverse=inverse, onesided=onesided)
    rows = prod(shape) // max(1, sizes[0] * sizes[1])
    source, target = step.pointer(value.name), step.pointer(out.name)
    behind = axis != len(shape) - 2
    if behind:
        source, target = _turned(step, value, axis, source), step.scratch(out.size)
    _multiply(step, source, sizes[0] * sizes[1], matrix, target, rows)
    if behind:
        _turn(step, made, axis, step.pointer(out.name), target, back=True)


@operator("STFT")
def stft(node: Node, step: Step) -> None:
    """ONNX STFT: frames of a signal, which overlap, are rows of a matrix that is there already."""
    value, out = floats(node, step), step.value(node.outputs[0])
    if len(value.shape) not in {2, 3} or len(out.shape) != 4:
        raise ConfigurationError("STFT is of [batch, length] or [batch, length, 1 or 2]")
    hop = _number(node, step, 1)
    window = step.value(node.inputs[2]) if node.has(2) else None
    length = _number(node, step, 3) if node.has(3) else value.shape[1] if window is None else window.size
    batch, frames, bins, _ = out.shape
    parts = value.shape[2] if len(value.shape) == 3 else 1
    if hop < 1 or not 0 < length <= value.shape[1] or frames > 1 + (value.shape[1] - length) // hop:
        raise ConfigurationError("STFT has frames outside its signal")
    matrix = transform(node, (length, parts, bins, 2), length, inverse=False, onesided=bins != length)
    if window is not None and window.data is not None:
        factors = np.zeros(length)
        factors[: window.size] = window.data.ravel()[:length]
        matrix = matrix * np.repeat(factors, parts)[:, None]
    computed = window is not None and window.data is None
    room = step.scratch(frames * length * parts) if computed else ""
    for number in range(batch):
        signal, stride = f"({step.pointer(value.name)} + {number * value.shape[1] * parts})", hop * parts
        if window is not None and computed:
            _windowed(step, signal, window, room, (frames, length, parts, hop))
            signal, stride = room, length * parts
        target = f"({step.pointer(out.name)} + {number * frames * bins * 2})"
        _multiply(step, signal, stride, matrix, target, frames)


def _windowed(step: Step, signal: str, window: Value, room: str, sizes: tuple[int, int, int, int]) -> None:
    """Write the frames of a signal, each multiplied by a window that is computed; zeros where it is too short."""
    frames, length, parts, hop = sizes
    if window.dtype != "float32" or window.size > length:
        raise ConfigurationError("STFT has a window that does not fit its frames")
    step.call("__builtin_memset", room, 0, frames * length * parts * 4)
    operands = {
        "o": Operand(room, (length * parts, parts, 1), "float"),
        "a": Operand(signal, (hop * parts, parts, 1), "const float"),
        "w": Operand(step.pointer(window.name), (0, 1, 0), "const float"),
    }
    nest(step, (frames, window.size, parts), operands, "{o} = {a} * {w};")


def transform(
    node: Node, sizes: tuple[int, int, int, int], length: int, *, inverse: bool, onesided: bool
) -> NDArray[np.float64]:
    """The matrix [inputs · parts, outputs · parts] of a Fourier transform over `length` points, in double precision.

    `sizes`: how many inputs, of how many parts (1: real, 2: complex), and the same of the outputs.
    """
    inputs, parts, outputs, made = sizes
    if inputs * parts * outputs * made > MOST_ELEMENTS or not 0 < length <= MOST_ELEMENTS:
        raise UnsupportedError(node.operator, f"over {inputs} points is not known", "transform shorter frames")
    units = np.eye(inputs * parts).reshape(-1, inputs, parts)
    numbers = units[..., 0] + 1j * units[..., 1] if parts == 2 else units[..., 0]
    if inverse:
        found: NDArray[Any] = np.fft.irfft(numbers, length) if onesided else np.fft.ifft(numbers, length)
    else:
        found = np.fft.fft(numbers, length)[:, : length // 2 + 1 if onesided else length]
    both = np.stack([found.real, found.imag], axis=-1)[..., :made]
    if both.shape[1:] != (outputs, made):
        raise ConfigurationError(f"{node.operator} has {outputs} outputs over {length} points")
    return both.reshape(inputs * parts, outputs * made)


def _multiply(step: Step, rows: str, stride: int, matrix: NDArray[np.float64], out: str, count: int) -> None:
    depth, columns = matrix.shape
    step.include("gemm.h")
    weights = step.constant(packed(matrix.astype(np.float32)))
    step.call("gemm", rows, stride, weights, 0, out, columns, 0, 0, count, columns, depth, "unchanged")


def _turned(step: Step, value: Value, axis: int, source: str) -> str:
    """A copy in which the axis is the last before the parts."""
    room = step.scratch(value.size)
    _turn(step, value.shape, axis, room, source, back=False)
    return room


def _turn(step: Step, shape: tuple[int, ...], axis: int, to: str, source: str, *, back: bool) -> None:
    """Move the axis of a tensor of `shape` to the last place before the parts, or back."""
    order = (*(each for each in range(len(shape) - 1) if each != axis), axis, len(shape) - 1)
    moved = tuple(shape[each] for each in order)
    strides = tuple(row_major(shape)[each] for each in order)
    here, there = (strides, row_major(moved)) if back else (row_major(moved), strides)
    nest(step, moved, {"o": Operand(to, here, "float"), "a": Operand(source, there, "const float")}, "{o} = {a};")


def _axis(node: Node, step: Step, value: Value) -> int:
    rank = len(value.shape)
    axis = node.integer("axis", 1) if node.version < 20 else _number(node, step, 2) if node.has(2) else -2
    axis += rank if axis < 0 else 0
    if not 0 <= axis < rank - 1 or value.shape[-1] not in {1, 2}:
        raise ConfigurationError("DFT is of [batch, …, 1 or 2], along an axis before the last")
    return axis


def _number(node: Node, step: Step, number: int) -> int:
    data = step.value(node.inputs[number]).data
    if data is None or data.size != 1:
        raise UnsupportedError(node.operator, "with lengths that are computed is not known", "make them constants")
    return int(data.ravel()[0])
