"""ONNX's operators that work element by element, as instructions of operators/epilogue.py."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from publisher.compiler.graph import Node
from publisher.compiler.operators.epilogue import number

SMALLEST, LARGEST = 1e-30, 1e30
"""Between these a number may be replaced by its reciprocal."""


@dataclass(frozen=True, slots=True)
class Writer:
    """Instructions while they are written."""

    program: list[str]

    def add(self, operator: str, *operands: str) -> str:
        """One more; the word for its result."""
        self.program.append(" ".join((operator, *operands)))
        return f"r{len(self.program)}"


Rule = Callable[[Node, Writer, list[str]], bool]
"""Writes a node's instructions, of which the last is its result; False where there are none for its form."""


def _binary(node: Node, writer: Writer, operands: list[str]) -> bool:
    if len(operands) != 2:
        return False
    writer.add(node.operator, *operands)
    return True


def _sum(_: Node, writer: Writer, operands: list[str]) -> bool:
    last = operands[0]
    for each in operands[1:]:
        last = writer.add("Add", last, each)
    return len(operands) > 1


def _quotient(node: Node, writer: Writer, operands: list[str]) -> bool:
    divisor = float.fromhex(operands[1][1:]) if operands[1][0] == "#" else 0.0
    if SMALLEST < abs(divisor) < LARGEST:
        writer.add("Mul", operands[0], number(1 / divisor))
        return True
    return _binary(node, writer, operands)


def _extreme(node: Node, writer: Writer, operands: list[str]) -> bool:
    """With a number: NaN of the other operand stays."""
    ordered = sorted(operands, key=lambda each: each[0] == "#")
    if len(ordered) != 2 or ordered[0][0] == "#" or ordered[1][0] != "#" or "nan" in ordered[1]:
        return False
    writer.add(node.operator, *ordered)
    return True


def _unary(node: Node, writer: Writer, operands: list[str]) -> bool:
    writer.add(node.operator, operands[0])
    return True


def _clip(node: Node, writer: Writer, operands: list[str]) -> bool:
    """Bounds are inputs from operator set 11 on."""
    last = operands[0]
    for place, (name, operator) in enumerate((("min", "Max"), ("max", "Min")), start=1):
        bound = operands[place] if place < len(operands) else ""
        if name in node.attributes:
            bound = number(node.number(name, 0))
        if bound and (bound[0] != "#" or "nan" in bound):
            return False
        if bound:
            last = writer.add(operator, last, bound)
    return last != operands[0]


def _leaky(node: Node, writer: Writer, operands: list[str]) -> bool:
    writer.add("LeakyRelu", operands[0], number(node.number("alpha", 0.01)))
    return True


def _hard_sigmoid(node: Node, writer: Writer, operands: list[str]) -> bool:
    _hard(writer, operands[0], node.number("alpha", 0.2), node.number("beta", 0.5))
    return True


def _hard_swish(_: Node, writer: Writer, operands: list[str]) -> bool:
    writer.add("Mul", _hard(writer, operands[0], 1 / 6, 0.5), operands[0])
    return True


def _hard(writer: Writer, operand: str, alpha: float, beta: float) -> str:
    line = writer.add("Add", writer.add("Mul", operand, number(alpha)), number(beta))
    return writer.add("Min", writer.add("Max", line, number(0)), number(1))


def _swish(node: Node, writer: Writer, operands: list[str]) -> bool:
    alpha = node.number("alpha", 1.0)
    scaled = operands[0] if alpha == 1 else writer.add("Mul", operands[0], number(alpha))
    writer.add("Mul", writer.add("Sigmoid", scaled), operands[0])
    return True


def _gelu(node: Node, writer: Writer, operands: list[str]) -> bool:
    writer.add("GeluTanh" if node.text("approximate", "none") == "tanh" else "Gelu", operands[0])
    return True


def _reciprocal(_: Node, writer: Writer, operands: list[str]) -> bool:
    writer.add("Div", number(1), operands[0])
    return True


def _power(_: Node, writer: Writer, operands: list[str]) -> bool:
    if operands[1] == number(2):
        writer.add("Mul", operands[0], operands[0])
    elif operands[1] == number(0.5):
        writer.add("Sqrt", operands[0])
    return operands[1] in {number(2), number(0.5)}


RULES: Final[dict[str, Rule]] = {
    **dict.fromkeys(("Add", "Mul", "PRelu", "Sub"), _binary),
    **dict.fromkeys(("Max", "Min"), _extreme),
    **dict.fromkeys(("Abs", "Erf", "Exp", "Log", "Neg", "Relu", "Sigmoid", "Softplus", "Sqrt", "Tanh"), _unary),
    "Clip": _clip,
    "Div": _quotient,
    "Gelu": _gelu,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _hard_swish,
    "LeakyRelu": _leaky,
    "Pow": _power,
    "Reciprocal": _reciprocal,
    "Sum": _sum,
    "Swish": _swish,
}
