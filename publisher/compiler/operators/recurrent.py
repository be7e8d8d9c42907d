"""LSTM, GRU and RNN: the input's share of all gates as one product over time, then the cells step by step."""

import numpy as np

from publisher.compiler.graph import Node
from publisher.compiler.operators.recurrent_form import Form, form_of
from publisher.compiler.operators.recurrent_packing import packed, part, summed_bias
from publisher.compiler.operators.registry import operator
from publisher.compiler.step import Step, literal


@operator("LSTM", "GRU", "RNN")
def recurrent(node: Node, step: Step) -> None:
    """ONNX LSTM, GRU and RNN, all attributes and optional inputs."""
    form = form_of(node, step)
    step.include("recurrent.h")
    projected = step.scratch(form.steps * form.batch * form.gates * form.padded)
    states = step.scratch(3 * form.batch * form.padded)
    lengths = _lengths(node, step, form)
    if lengths and _wanted(node, 0):
        # What lies behind the end of a sequence.
        step.call("__builtin_memset", step.pointer(node.outputs[0]), 0, step.value(node.outputs[0]).bytes)
    for direction in range(form.directions):
        fields = {"projected": projected, "states": states, "lengths": lengths}
        fields |= _sizes(form) | _tensors(node, step, form, direction) | _functions(form, direction)
        fields |= _weights(node, step, form, direction)
        _project(node, step, form, direction, projected)
        cell, count = {"LSTM": ("lstm_cell", 4), "GRU": ("gru_cell", 3), "RNN": ("rnn_cell", 1)}[node.operator]
        if _linear(node):
            cell = "gru_cell_linear"
        written = ", ".join(f".{name} = {value}" for name, value in fields.items() if value)
        step.call("recur", f"(struct recurrence){{{written}}}", cell, count)


def _linear(node: Node) -> bool:
    return node.operator == "GRU" and node.integer("linear_before_reset", 0) != 0


def _wanted(node: Node, number: int) -> bool:
    return number < len(node.outputs) and node.outputs[number] != ""


def _lengths(node: Node, step: Step, form: Form) -> str:
    if not node.has(4):
        return ""
    known = step.value(node.inputs[4]).data
    return "" if known is not None and (known == form.steps).all() else step.pointer(node.inputs[4])


def _sizes(form: Form) -> dict[str, str]:
    return {
        "steps": literal(form.steps),
        "batch": literal(form.batch),
        "hidden": literal(form.hidden),
        "row_step": literal(form.row_strides[0]),
        "row_batch": literal(form.row_strides[1]),
        "y_step": literal(form.y_strides[0]),
        "y_batch": literal(form.y_strides[1]),
        "state_batch": literal(form.state_strides[0]),
        "clip": literal(form.clip),
    }


def _functions(form: Form, direction: int) -> dict[str, str]:
    backwards = {"backwards": "1"} if form.backwards[direction] else {}
    return {**backwards, **dict(zip("fgh", form.functions[direction], strict=False))}


def _tensors(node: Node, step: Step, form: Form, direction: int) -> dict[str, str]:
    """The states it begins with, and what it writes."""
    state, y = direction * form.state_strides[1], direction * form.y_strides[2]
    fields = {}
    for number, name in ((5, "first_h"), (6, "first_c")):
        if node.has(number):
            fields[name] = f"{step.pointer(node.inputs[number])} + {state}"
    for number, name, offset in ((0, "y", y), (1, "last_h", state), (2, "last_c", state)):
        if _wanted(node, number):
            fields[name] = f"{step.pointer(node.outputs[number])} + {offset}"
    return fields


def _weights(node: Node, step: Step, form: Form, direction: int) -> dict[str, str]:
    """What multiplies the state, packed."""
    hidden = form.hidden
    if node.operator != "GRU":
        every = part(node, step, 2, direction, slice(0, form.gates * hidden))
        fields = {"weights": packed(step, every, form.gates, hidden, hidden)}
        if node.has(7):
            peepholes = part(node, step, 7, direction, slice(0, 3 * hidden))
            fields["peepholes"] = packed(step, peepholes, 3, hidden, 1)
        return fields | ({"input_forget": "1"} if node.integer("input_forget", 0) else {})
    if _linear(node):
        every = part(node, step, 2, direction, slice(0, 3 * hidden))
        bias = _hidden_bias(node, step, form, direction)
        return {"weights": packed(step, every, 3, hidden, hidden), "hidden_bias": bias}
    gates = part(node, step, 2, direction, slice(0, 2 * hidden))
    made = part(node, step, 2, direction, slice(2 * hidden, 3 * hidden))
    return {
        "weights": packed(step, gates, 2, hidden, hidden),
        "hidden_weights": packed(step, made, 1, hidden, hidden),
        "scratch": step.scratch(2 * form.padded),
    }


def _hidden_bias(node: Node, step: Step, form: Form, direction: int) -> str:
    if not node.has(3):
        return step.constant(np.zeros(form.padded, np.float32))
    return packed(step, part(node, step, 3, direction, slice(5 * form.hidden, 6 * form.hidden)), 1, form.hidden, 1)


def _project(node: Node, step: Step, form: Form, direction: int, projected: str) -> None:
    """The input's share of the gates of all steps and sequences."""
    rows = form.gates * form.hidden
    bias = summed_bias(node, step, form, direction, 2 * form.hidden if _linear(node) else rows)
    weights = part(node, step, 1, direction, slice(0, rows))
    step.call(
        "project_rows",
        *(projected, step.pointer(node.inputs[0]), form.steps * form.batch, form.inputs),
        packed(step, weights, form.gates, form.hidden, form.inputs),
        packed(step, bias, form.gates, form.hidden, 1),
        *(form.gates, form.hidden),
    )
