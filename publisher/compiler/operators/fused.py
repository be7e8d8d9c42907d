"""Several operators that work element by element, in one step (`fused`, made by planning/fusion.py)."""

from math import prod

from publisher.compiler.graph import Node
from publisher.compiler.operators.epilogue import finish_function, instructions
from publisher.compiler.operators.registry import operator
from publisher.compiler.step import Step


@operator("fused")
def fused(node: Node, step: Step) -> None:
    """Input 0 is what the epilogue begins with; the output has its shape."""
    out = step.value(node.outputs[0])
    step.include("vectors.h")
    words = {word for each in instructions(node) for word in each.split(" ")[1:] if word[0] == "i"}
    others = [step.value(node.inputs[int(word[1:])]) for word in sorted(words)]
    # Where no operand goes by channel or by row, all elements are one row.
    flat = all(each.shape == out.shape or each.size == 1 for each in others)
    channels = out.size if flat else out.shape[-1]
    pointers = (step.pointer(node.inputs[0]), step.pointer(out.name))
    step.call("finish_rows", *pointers, prod(out.shape) // channels, channels, finish_function(node, step))
