"""What follows a product or a convolution in the same breath: bias, activation, the sum with another tensor.

A node's attribute `epilogue` lists instructions "Operator operand…": operand `r0` is an element of the product, `r1`
the result of the first instruction and so on; `i3` is input 3 of the node; `#0x1.8p+1` is a number as `number` writes
it. The last result is written. planning/fusion.py makes them; here they become one C function over four channels.
"""

from math import prod
from typing import Final

from protocol.errors import ConfigurationError
from publisher.compiler.graph import Node, Value
from publisher.compiler.step import Step, literal

UNARY: Final = {
    "Abs": "f4_abs({a})",
    "Erf": "f4_erf({a})",
    "Exp": "f4_exp({a})",
    "Gelu": "f4_gelu({a})",
    "GeluTanh": "f4_gelu_tanh({a})",
    "Log": "f4_log({a})",
    "Neg": "-{a}",
    "Relu": "f4_max({a}, f4_all(0.0f))",
    "Sigmoid": "f4_sigmoid({a})",
    "Softplus": "f4_at_least({a}, 0.0f) + f4_log1p_exp_of_minus(f4_abs({a}))",
    "Sqrt": "__builtin_elementwise_sqrt({a})",
    "Tanh": "f4_tanh({a})",
}
BINARY: Final = {
    "Add": "{a} + {b}",
    "Div": "{a} / {b}",
    "LeakyRelu": "f4_where({a} < 0.0f, {a} * {b}, {a})",
    "Max": "f4_max({a}, {b})",
    "Min": "f4_min({a}, {b})",
    "Mul": "{a} * {b}",
    "PRelu": "f4_where({a} < 0.0f, {a} * {b}, {a})",
    "Sub": "{a} - {b}",
}
EXPRESSIONS: Final = {**UNARY, **BINARY}
HEAD: Final = "INLINE f4 {}(f4 r0, long at, int channel, int count)"


def finish_function(node: Node, step: Step, before: tuple[str, ...] = ()) -> str:
    """The name of the C function (`Finish` of kernels/vectors.h) for a node whose output's last dimension is channels.

    `before` are instructions of the node itself, which come first.
    """
    program = (*before, *(_shifted(each, len(before)) for each in instructions(node)))
    out = step.value(node.outputs[0])
    lines = [_line(number, each, node, step, out) for number, each in enumerate(program, start=1)]
    return step.function("finish", HEAD, *lines, f"return r{len(program)};")


def number(value: float) -> str:
    """A number as an operand of an instruction."""
    return f"#{float(value).hex()}"


def instructions(node: Node) -> tuple[str, ...]:
    """The epilogue of a node."""
    found = node.attributes.get("epilogue", ())
    return tuple(each for each in found if isinstance(each, str)) if isinstance(found, tuple) else ()


def fits(value: Value, out: Value) -> bool:
    """Whether a tensor can be an operand: one number, one a channel, one a row, or one for each element of `out`."""
    return value.dtype == "float32" and _kind(value.shape, out.shape) is not None


def _shifted(instruction: str, by: int) -> str:
    name, *operands = instruction.split(" ")
    return " ".join((name, *(f"r{int(each[1:]) + by}" if each[0] == "r" else each for each in operands)))


def _line(number: int, instruction: str, node: Node, step: Step, out: Value) -> str:
    name, *operands = instruction.split(" ")
    found = [_operand(each, node, step, out) for each in operands]
    expression = EXPRESSIONS[name].format(**dict(zip("ab", found, strict=False)))
    return f"const f4 r{number} = {expression};"


def _operand(word: str, node: Node, step: Step, out: Value) -> str:
    if word[0] == "r":
        return f"r{int(word[1:])}"
    if word[0] == "#":
        return f"f4_all({literal(float.fromhex(word[1:]))})"
    value = step.value(node.inputs[int(word[1:])])
    kind = _kind(value.shape, out.shape)
    if kind is None:
        raise ConfigurationError(f"an operand of {value.shape} does not fit an output of {out.shape}")
    return kind.format(p=step.pointer(value.name), channels=out.shape[-1] if out.shape else 1)


def _kind(shape: tuple[int, ...], out: tuple[int, ...]) -> str | None:
    """How four elements of an operand are read beside four of the output."""
    own = (1,) * (len(out) - len(shape)) + shape
    if len(own) != len(out):
        return None
    if prod(own) == 1:
        return "f4_all(*{p})"
    if own == out:
        return "f4_load_first({p} + at, count)"
    if own[-1] == out[-1] and prod(own[:-1]) == 1:
        return "f4_load_first({p} + channel, count)"
    if own[-1] == 1 and own[:-1] == out[:-1]:
        return "f4_all({p}[(at - channel) / {channels}])"
    return None
