"""Element by element: what is true, and choosing by it."""

from typing import Final

from publisher.compiler.graph import Node
from publisher.compiler.operators.parameters import check
from publisher.compiler.operators.pointwise import FLOATS, INTEGERS, check_type, pointwise
from publisher.compiler.operators.registry import operator
from publisher.compiler.step import Step

_COMPARISONS: Final = {"Greater": ">", "GreaterOrEqual": ">=", "Less": "<", "LessOrEqual": "<="}
_LOGIC: Final = {
    "And": "({a} != 0) & ({b} != 0)",
    "Or": "({a} != 0) | ({b} != 0)",
    "Xor": "({a} != 0) ^ ({b} != 0)",
    "Not": "{a} == 0",
}


@operator(*_COMPARISONS)
def compare(node: Node, step: Step) -> None:
    """ONNX Greater, GreaterOrEqual, Less, LessOrEqual."""
    check_type(node, step, (*FLOATS, *INTEGERS))
    pointwise(node, step, f"{{a}} {_COMPARISONS[node.operator]} {{b}}", "bool")


@operator("Equal")
def equal(node: Node, step: Step) -> None:
    """ONNX Equal, of booleans too."""
    if check_type(node, step, (*FLOATS, *INTEGERS, "bool")) == "bool":
        pointwise(node, step, "({a} != 0) == ({b} != 0)", "bool")
    else:
        pointwise(node, step, "{a} == {b}", "bool")


@operator(*_LOGIC)
def logic(node: Node, step: Step) -> None:
    """ONNX And, Or, Xor, Not."""
    check_type(node, step, ("bool",))
    pointwise(node, step, _LOGIC[node.operator], "bool")


@operator("Where")
def where(node: Node, step: Step) -> None:
    """ONNX Where: of the second input where the first is true, else of the third."""
    check_type(node, step, ("bool",))
    chosen = {step.value(name).dtype for name in node.inputs[1:]}
    check(len(chosen) == 1, node, "the inputs to choose from are of two types")
    pointwise(node, step, "{a} != 0 ? {b} : {c}", chosen.pop(), mixed=True)


@operator("IsNaN")
def is_nan(node: Node, step: Step) -> None:
    """ONNX IsNaN."""
    check_type(node, step, FLOATS)
    pointwise(node, step, "{a} != {a}", "bool")


@operator("IsInf")
def is_infinite(node: Node, step: Step) -> None:
    """ONNX IsInf: of both signs, or one."""
    check_type(node, step, FLOATS)
    signs = (("detect_positive", "{a} == INFINITY"), ("detect_negative", "{a} == -INFINITY"))
    asked = [condition for name, condition in signs if node.integer(name, 1)]
    pointwise(node, step, " || ".join(asked) or "0", "bool")
