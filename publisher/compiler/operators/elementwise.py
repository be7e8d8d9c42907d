"""Element by element, with broadcasting: arithmetic of numbers."""

from dataclasses import replace
from typing import Final

from protocol.errors import ConfigurationError
from publisher.compiler.graph import C_TYPES, Node
from publisher.compiler.loops import Operand, broadcast, nest
from publisher.compiler.operators.pointwise import FLOATS, INTEGERS, check_broadcast, check_type, pointwise
from publisher.compiler.operators.registry import operator
from publisher.compiler.step import Step, literal, row_major

_BINARY: Final = {"Add": "+", "Sub": "-", "Mul": "*"}
_POWERS: Final = {
    1.0: "{a}",
    2.0: "{a} * {a}",
    3.0: "{a} * {a} * {a}",
    0.5: "__builtin_elementwise_sqrt({a})",
    -1.0: "1 / {a}",
}
_NUMBERS: Final = (*FLOATS, *INTEGERS)


@operator(*_BINARY)
def arithmetic(node: Node, step: Step) -> None:
    """ONNX Add, Sub, Mul: integers wrap."""
    sign = _BINARY[node.operator]
    if check_type(node, step, _NUMBERS) in FLOATS:
        pointwise(node, step, f"{{a}} {sign} {{b}}")
    else:
        pointwise(node, step, f"({{T}})(({{U}}){{a}} {sign} ({{U}}){{b}})")


@operator("Div")
def divide(node: Node, step: Step) -> None:
    """ONNX Div: of integers towards zero; integers divided by 0 are impossible input."""
    is_float = check_type(node, step, _NUMBERS) in FLOATS
    pointwise(node, step, "{a} / {b}" if is_float else "quotient_{D}({a}, {b})")


@operator("Mod")
def modulo(node: Node, step: Step) -> None:
    """ONNX Mod: the sign of the divisor, or with `fmod` that of the dividend."""
    is_float = check_type(node, step, _NUMBERS) in FLOATS
    if not node.integer("fmod", 0):
        pointwise(node, step, "modulo_{D}({a}, {b})")
    else:
        pointwise(node, step, "fmod{f}({a}, {b})" if is_float else "remainder_{D}({a}, {b})")


@operator("Pow")
def power(node: Node, step: Step) -> None:
    """ONNX Pow: the type of the base; whole powers of integers are exact modulo their size."""
    base, exponent = check_type(node, step, _NUMBERS), check_type(node, step, _NUMBERS, 1)
    data = step.value(node.inputs[1]).data
    if base in FLOATS:
        fixed = _POWERS.get(float(data.reshape(-1)[0])) if data is not None and data.size == 1 else None
        pointwise(node, step, fixed or "pow{f}({a}, ({T}){b})", mixed=True)
    elif exponent in INTEGERS:
        pointwise(node, step, "({T})whole_power((uint64_t){a}, (int64_t){b})", mixed=True)
    else:
        pointwise(node, step, "({T})int64_of(pow((double){a}, (double){b}))", mixed=True)


@operator("Min", "Max")
def extreme(node: Node, step: Step) -> None:
    """ONNX Min and Max of any number of inputs: NaN where any input is."""
    sign = "<" if node.operator == "Min" else ">"
    unordered = " || r != r" if check_type(node, step, _NUMBERS) in FLOATS else ""
    _together(node, step, f"r = r {sign} {{x}}{unordered} ? r : {{x}};")


@operator("Sum", "Mean")
def total(node: Node, step: Step) -> None:
    """ONNX Sum and Mean of any number of inputs."""
    check_type(node, step, FLOATS)
    _together(node, step, "r += {x};", f" / {len(node.inputs)}" if node.operator == "Mean" else "")


def _together(node: Node, step: Step, further: str, last: str = "") -> None:
    """`r` is the first input's element; `further` is done with it and `{x}`, an element of each other input."""
    out = step.value(node.outputs[0])
    ctype = C_TYPES[out.dtype]
    operands = {"o": Operand(step.pointer(out.name), row_major(out.shape), ctype)}
    for number, value in enumerate(step.value(name) for name in node.inputs):
        check_broadcast(node, value.shape, out.shape)
        if value.dtype != out.dtype:
            raise ConfigurationError(f"{node.operator}: an input is {value.dtype}, the output {out.dtype}")
        strides = broadcast(value.shape, out.shape)
        operands[f"x{number}"] = Operand(step.pointer(value.name), strides, f"const {ctype}")
    others = [further.replace("{x}", f"{{x{number}}}") for number in range(1, len(node.inputs))]
    nest(step, out.shape, operands, " ".join((f"{ctype} r = {{x0}};", *others, "{o} = r" + last + ";")))


@operator("Clip")
def clip(node: Node, step: Step) -> None:
    """ONNX Clip: bounds are attributes (before version 11) or inputs, either left out; the upper one wins."""
    ctype = C_TYPES[check_type(node, step, _NUMBERS)]
    expression = "{a}"
    step.line("{")
    for number, (bound, sign) in enumerate((("min", "<"), ("max", ">")), start=1):
        if node.has(number) and step.value(node.inputs[number]).size != 1:
            raise ConfigurationError(f"Clip: {bound} is not one number")
        limit = f"{step.pointer(node.inputs[number])}[0]" if node.has(number) else None
        if bound in node.attributes:
            limit = literal(node.number(bound, 0))
        if limit:
            step.line(f"const {ctype} {bound} = {limit};")
            expression = f"({expression} {sign} {bound} ? {bound} : {expression})"
    pointwise(replace(node, inputs=node.inputs[:1]), step, expression)
    step.line("}")
