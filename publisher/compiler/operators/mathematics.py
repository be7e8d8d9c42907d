"""Element by element: functions of one number."""

from typing import Final

from publisher.compiler.errors import UnsupportedError
from publisher.compiler.graph import Node
from publisher.compiler.operators.pointwise import FLOATS, INTEGERS, SIGNED, check_type, mapped, pointwise
from publisher.compiler.operators.registry import operator
from publisher.compiler.step import Step, literal

_LIBRARY: Final = {
    each.capitalize(): f"{each}{{f}}({{a}})"
    for each in ("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh")
}
_BUILT_IN: Final = {
    "Ceil": "__builtin_elementwise_ceil({a})",
    "Floor": "__builtin_elementwise_floor({a})",
    "Round": "__builtin_elementwise_roundeven({a})",
    "Sqrt": "__builtin_elementwise_sqrt({a})",
    "Reciprocal": "1 / {a}",
}
_VECTORS: Final = {
    "Exp": ("f4_exp(x)", "exp({a})"),
    "Log": ("f4_log(x)", "log({a})"),
    "Erf": ("f4_erf(x)", "erf({a})"),
}


@operator(*_LIBRARY, *_BUILT_IN)
def function(node: Node, step: Step) -> None:
    """ONNX's trigonometric and hyperbolic functions and their inverses, Ceil, Floor, Round (half to even), Sqrt."""
    check_type(node, step, FLOATS)
    pointwise(node, step, {**_LIBRARY, **_BUILT_IN}[node.operator])


@operator(*_VECTORS)
def vector_function(node: Node, step: Step) -> None:
    """ONNX Exp, Log, Erf."""
    mapped(node, step, *_VECTORS[node.operator])


@operator("Abs", "Neg", "Sign")
def sign(node: Node, step: Step) -> None:
    """ONNX Abs, Neg, Sign: of the least integer, Abs and Neg are itself."""
    dtype = check_type(node, step, (*FLOATS, *INTEGERS))
    if node.operator == "Sign":
        negative = "" if dtype not in {*FLOATS, *SIGNED} else " - ({a} < 0)"
        unordered = "{a} != {a} ? {a} : " if dtype in FLOATS else ""
        pointwise(node, step, unordered + "({T})(({a} > 0)" + negative + ")")
    elif dtype in FLOATS:
        pointwise(node, step, "__builtin_elementwise_abs({a})" if node.operator == "Abs" else "-{a}")
    elif node.operator == "Neg" and dtype not in SIGNED:
        raise UnsupportedError("Neg", f"is not known for {dtype}", "cast its input to int64 before it")
    else:
        condition = "{a} >= 0 ? {a} : " if node.operator == "Abs" and dtype in SIGNED else ""
        pointwise(node, step, "{a}" if dtype not in SIGNED else condition + "({T})(0 - ({U}){a})")


@operator("Shrink")
def shrink(node: Node, step: Step) -> None:
    """ONNX Shrink: towards zero by `bias` beyond `lambd`, else 0."""
    check_type(node, step, (*FLOATS, *INTEGERS))
    lambd, bias = (f"({literal(node.number(*each))})" for each in (("lambd", 0.5), ("bias", 0.0)))
    above, below = f"({{T}})({{a}} - {bias})", f"({{T}})({{a}} + {bias})"
    pointwise(node, step, f"{{a}} < -{lambd} ? {below} : {{a}} > {lambd} ? {above} : 0")
