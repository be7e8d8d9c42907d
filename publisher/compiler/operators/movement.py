"""Elements change places; nothing is computed."""

from publisher.compiler.graph import C_TYPES, Node
from publisher.compiler.loops import Operand, nest
from publisher.compiler.operators.registry import operator
from publisher.compiler.step import Step, row_major


@operator("Transpose")
def transpose(node: Node, step: Step) -> None:
    """ONNX Transpose: reversed dimensions without `perm`."""
    source, out = step.value(node.inputs[0]), step.value(node.outputs[0])
    order = node.integers("perm") or tuple(reversed(range(len(source.shape))))
    strides = row_major(source.shape)
    ctype = C_TYPES[out.dtype]
    read = Operand(step.pointer(source.name), tuple(strides[each] for each in order), f"const {ctype}")
    write = Operand(step.pointer(out.name), row_major(out.shape), ctype)
    nest(step, out.shape, {"o": write, "a": read}, "{o} = {a};")
