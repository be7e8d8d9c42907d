"""Element by element, with broadcasting: arithmetic, comparison, activations."""

from typing import Final

from publisher.compiler.graph import C_TYPES, Node
from publisher.compiler.loops import Operand, broadcast, nest
from publisher.compiler.operators.registry import operator
from publisher.compiler.step import Step

_BINARY: Final = {"Add": "{a} + {b}", "Sub": "{a} - {b}", "Mul": "{a} * {b}", "Div": "{a} / {b}"}
_UNARY: Final = {"Relu": "{a} > 0 ? {a} : 0", "Sigmoid": "1.0f / (1.0f + expf(-{a}))", "Neg": "-{a}"}


@operator(*_BINARY, *_UNARY)
def elementwise(node: Node, step: Step) -> None:
    """ONNX: one or two inputs, multidirectional broadcasting."""
    expression = {**_BINARY, **_UNARY}[node.operator]
    out = step.value(node.outputs[0])
    operands = {"o": Operand(step.pointer(out.name), broadcast(out.shape, out.shape), C_TYPES[out.dtype])}
    for letter, name in zip("ab", node.inputs, strict=False):
        value = step.value(name)
        operands[letter] = Operand(
            step.pointer(name), broadcast(value.shape, out.shape), f"const {C_TYPES[value.dtype]}"
        )
    nest(step, out.shape, operands, "{o} = " + expression + ";")
