"""Element by element: the bits of integers."""

from typing import Final

from protocol.errors import ConfigurationError
from publisher.compiler.graph import Node
from publisher.compiler.operators.pointwise import INTEGERS, UNSIGNED, check_type, pointwise
from publisher.compiler.operators.registry import operator
from publisher.compiler.step import Step

_BITWISE: Final = {"BitwiseAnd": "&", "BitwiseOr": "|", "BitwiseXor": "^"}


@operator(*_BITWISE)
def bitwise(node: Node, step: Step) -> None:
    """ONNX BitwiseAnd, BitwiseOr, BitwiseXor."""
    check_type(node, step, INTEGERS)
    pointwise(node, step, f"({{T}})({{a}} {_BITWISE[node.operator]} {{b}})")


@operator("BitwiseNot")
def bitwise_not(node: Node, step: Step) -> None:
    """ONNX BitwiseNot."""
    check_type(node, step, INTEGERS)
    pointwise(node, step, "({T})~{a}")


@operator("BitShift")
def bit_shift(node: Node, step: Step) -> None:
    """ONNX BitShift: by the number of bits or more leaves 0, or the sign where a signed number goes right."""
    dtype = check_type(node, step, INTEGERS)
    direction = node.text("direction", "")
    if direction not in {"LEFT", "RIGHT"}:
        raise ConfigurationError(f"BitShift: the direction is {direction!r}, neither LEFT nor RIGHT")
    bits = int("".join(each for each in dtype if each.isdigit()))
    fits = "(uint64_t){b}" + f" < {bits}"
    if direction == "LEFT":
        pointwise(node, step, fits + " ? ({T})(({U}){a} << {b}) : 0")
    else:
        beyond = "0" if dtype in UNSIGNED else "({a} < 0 ? -1 : 0)"
        pointwise(node, step, fits + " ? ({T})({a} >> {b}) : ({T})" + beyond)
