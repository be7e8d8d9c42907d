"""Element by element: what follows a layer. Of float32, four at a time (kernels/vector_math.h)."""

from collections.abc import Callable
from typing import Final

from publisher.compiler.errors import UnsupportedError
from publisher.compiler.graph import Node
from publisher.compiler.operators.pointwise import FLOATS, INTEGERS, check_type, mapped, pointwise
from publisher.compiler.operators.registry import operator
from publisher.compiler.step import Step, literal

_SIGMOID: Final = "1 / (1 + exp(-{a}))"
_SOFTPLUS: Final = "(fmax({a}, 0) + log1p(exp(-fabs({a}))))"
_SOFTPLUS4: Final = "(f4_at_least(x, 0.0f) + f4_log1p_exp_of_minus(f4_abs(x)))"
_FIXED: Final = {
    "Tanh": ("f4_tanh(x)", "tanh({a})"),
    "Sigmoid": ("f4_sigmoid(x)", _SIGMOID),
    "Softplus": (_SOFTPLUS4, _SOFTPLUS),
    "Softsign": ("x / (1.0f + f4_abs(x))", "{a} / (1 + fabs({a}))"),
    "Mish": (f"x * f4_tanh({_SOFTPLUS4})", f"{{a}} * tanh({_SOFTPLUS})"),
    "HardSwish": (
        "x * f4_at_most(f4_at_least(x * 0x1.555556p-3f + 0.5f, 0.0f), 1.0f)",
        "{a} * fmin(fmax({a} / 6 + 0.5, 0), 1)",
    ),
}
_GELU: Final = {
    "none": ("f4_gelu(x)", "0.5 * {a} * (1 + erf({a} * 0x1.6a09e667f3bcdp-1))"),
    "tanh": (
        "f4_gelu_tanh(x)",
        "0.5 * {a} * (1 + tanh(0x1.9884533d43651p-1 * ({a} + 0.044715 * {a} * {a} * {a})))",
    ),
}
Rule = Callable[[str, str], tuple[str, str]]


@operator(*_FIXED)
def fixed(node: Node, step: Step) -> None:
    """ONNX activations that are told nothing."""
    mapped(node, step, *_FIXED[node.operator])


@operator("Gelu")
def gelu(node: Node, step: Step) -> None:
    """ONNX Gelu, exact or by tanh."""
    how = node.text("approximate", "none")
    if how not in _GELU:
        raise UnsupportedError("Gelu", f"is approximated by {how[:20]!a}", "export it with 'none' or 'tanh'")
    mapped(node, step, *_GELU[how])


@operator("Relu")
def relu(node: Node, step: Step) -> None:
    """ONNX Relu: NaN stays."""
    check_type(node, step, (*FLOATS, *INTEGERS))
    pointwise(node, step, "{a} < 0 ? 0 : {a}")


@operator("LeakyRelu")
def leaky_relu(node: Node, step: Step) -> None:
    """ONNX LeakyRelu."""
    check_type(node, step, FLOATS)
    pointwise(node, step, "{a} < 0 ? {alpha} * {a} : {a}", alpha=literal(node.number("alpha", 0.01)))


@operator("PRelu")
def parametric_relu(node: Node, step: Step) -> None:
    """ONNX PRelu: a slope for each channel, or of any shape that broadcasts onto the input's."""
    check_type(node, step, (*FLOATS, *INTEGERS))
    pointwise(node, step, "{a} < 0 ? ({T})({b} * {a}) : {a}")


@operator("ThresholdedRelu")
def thresholded_relu(node: Node, step: Step) -> None:
    """ONNX ThresholdedRelu."""
    check_type(node, step, FLOATS)
    pointwise(node, step, "{a} > {alpha} ? {a} : 0", alpha=literal(node.number("alpha", 1.0)))


@operator("HardSigmoid")
def hard_sigmoid(node: Node, step: Step) -> None:
    """ONNX HardSigmoid."""
    check_type(node, step, FLOATS)
    alpha, beta = literal(node.number("alpha", 0.2)), literal(node.number("beta", 0.5))
    line = f"{alpha} * {{a}} + {beta}"
    pointwise(node, step, f"{line} < 0 ? 0 : {line} > 1 ? 1 : {line}")


@operator("Elu", "Celu", "Selu")
def exponential(node: Node, step: Step) -> None:
    """ONNX Elu, Celu, Selu: exponentials below zero."""
    default = 1.67326319217681884765625 if node.operator == "Selu" else 1.0
    alpha, gamma = literal(node.number("alpha", default)), literal(node.number("gamma", 1.05070102214813232421875))
    inner = f" / {alpha}" if node.operator == "Celu" else ""
    scale = f"{gamma} * " if node.operator == "Selu" else ""
    mapped(
        node,
        step,
        f"{scale}f4_where(x < 0.0f, {alpha} * f4_expm1_below_0(x{inner}), x)",
        f"{scale}({{a}} < 0 ? {alpha} * expm1({{a}}{inner}) : {{a}})",
    )


@operator("Swish")
def swish(node: Node, step: Step) -> None:
    """ONNX Swish: x times the sigmoid of alpha x."""
    alpha = literal(node.number("alpha", 1.0))
    mapped(node, step, f"x * f4_sigmoid({alpha} * x)", f"{{a}} / (1 + exp(-({alpha}) * {{a}}))")


@operator("SwiGLU")
def swish_gated(node: Node, step: Step) -> None:
    """ONNX SwiGLU: Swish of the first input times the second."""
    check_type(node, step, FLOATS)
    pointwise(node, step, "{a} / (1 + exp{f}(-({alpha}) * {a})) * {b}", alpha=literal(node.number("alpha", 1.0)))
