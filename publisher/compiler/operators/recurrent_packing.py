"""Weights of recurrent cells as kernels/recurrent.h reads them: packed while compiling, or as the model runs."""

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from publisher.compiler.graph import Node
from publisher.compiler.operators.recurrent_form import Form
from publisher.compiler.step import Step

Source = NDArray[Any] | str
"""Constants, or a C pointer to what is known only as the model runs."""


def gates_together(rows: NDArray[Any], gates: int, units: int) -> NDArray[Any]:
    """[gates · units, inner] as [units / 4, inner, gates, 4], units padded with zeros."""
    blocks = -(-units // 4)
    padded = np.zeros((gates, blocks * 4, rows.size // max(1, gates * units)), rows.dtype)
    padded[:, :units] = rows.reshape(gates, units, -1) if rows.size else 0
    return np.ascontiguousarray(padded.reshape(gates, blocks, 4, padded.shape[2]).transpose(1, 3, 0, 2))


def packed(step: Step, source: Source, gates: int, units: int, inner: int) -> str:
    """A C pointer to the packed form of [gates · units, inner]."""
    if not isinstance(source, str):
        return step.constant(gates_together(source, gates, units))
    room = step.scratch(-(-units // 4) * 4 * gates * inner)
    step.call("pack_gates", room, source, gates, units, inner)
    return room


def part(node: Node, step: Step, number: int, direction: int, rows: slice) -> Source:
    """Some rows of one direction of an input [directions, rows, …]."""
    value = step.value(node.inputs[number])
    if value.data is not None:
        return cast(NDArray[Any], value.data[direction][rows])
    row = value.size // max(1, value.shape[0] * value.shape[1])
    return f"({step.pointer(value.name)} + {(direction * value.shape[1] + rows.start) * row})"


def summed_bias(node: Node, step: Step, form: Form, direction: int, summed: int) -> Source:
    """The input's bias [gates · hidden], and added to its first `summed` rows the state's."""
    rows = form.gates * form.hidden
    if not node.has(3):
        return np.zeros(rows, np.float32)
    own = part(node, step, 3, direction, slice(0, rows))
    of_state = part(node, step, 3, direction, slice(rows, 2 * rows))
    if not isinstance(own, str) and not isinstance(of_state, str):
        both = own.copy()
        both[:summed] += of_state[:summed]
        return both
    room = step.scratch(rows)
    step.line(f"for (int i = 0; i < {rows}; i++) {room}[i] = {own}[i] + (i < {summed} ? {of_state}[i] : 0.0f);")
    return room
