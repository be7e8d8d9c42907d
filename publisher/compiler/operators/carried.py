"""The planner's own `carry` and `keep`: what one pass over a part of a sequence leaves for the next."""

from publisher.compiler.graph import Node
from publisher.compiler.operators.registry import operator
from publisher.compiler.step import Step


@operator("carry")
def carry(node: Node, step: Step) -> None:
    """In the first pass the input, or zeros without one; in others what `keep` of the same `slot` was given."""
    out = step.value(node.outputs[0])
    kept = step.kept(node.text("slot", ""), out.bytes)
    target = step.pointer(out.name)
    start = f"__builtin_memset({target}, 0, {out.bytes});"
    if node.has(0):
        start = f"__builtin_memcpy({target}, {step.pointer(node.inputs[0])}, {out.bytes});"
    step.line(f"if (first) {start} else __builtin_memcpy({target}, {kept}, {out.bytes});")


@operator("keep")
def keep(node: Node, step: Step) -> None:
    """Keep the input for the next pass."""
    value = step.value(node.inputs[0])
    kept = step.kept(node.text("slot", ""), value.bytes)
    step.line(f"__builtin_memcpy({kept}, {step.pointer(value.name)}, {value.bytes});")
