"""Which elements are the largest or smallest."""

from typing import Final

from publisher.compiler.graph import C_TYPES, Node
from publisher.compiler.loops import Operand, nest
from publisher.compiler.operators.parameters import axis_of, check, number
from publisher.compiler.operators.pointwise import FLOATS, INTEGERS, check_type
from publisher.compiler.operators.registry import operator
from publisher.compiler.step import Step, row_major

FEW: Final = 16
"""As many of the largest are kept in order while all others pass by; of more, all are sorted."""
_NUMBERS: Final = (*FLOATS, *INTEGERS)


@operator("ArgMax", "ArgMin")
def extreme_index(node: Node, step: Step) -> None:
    """ONNX ArgMax and ArgMin: the first or last of equal ones; the first NaN where there is one."""
    dtype = check_type(node, step, _NUMBERS)
    source, out = step.value(node.inputs[0]), step.value(node.outputs[0])
    axis = axis_of(node, node.integer("axis", 0), len(source.shape))
    before, length, after = source.shape[:axis], source.shape[axis], source.shape[axis + 1 :]
    kept = (*before, 1, *after) if node.integer("keepdims", 1) else (*before, *after)
    check(out.shape == kept and out.dtype == "int64", node, "the output is of another shape or type")
    check(length > 0 or out.size == 0, node, "there is nothing to compare")
    if out.size == 0:
        return
    ctype, inner = C_TYPES[dtype], row_major(source.shape)[axis]
    operands = {
        "o": Operand(step.pointer(out.name), (inner,), "int64_t"),
        "a": Operand(f"(({ctype} *){step.pointer(source.name)})", (inner * length,), ctype),
    }
    sizes = f"{step.scratch(inner, dtype)}, {length}, {inner}, {_better(node, dtype)}"
    step.include("selection.h")
    nest(step, (out.size // inner,), operands, f"BEST_INDEX({ctype}, &{{o}}, &{{a}}, {sizes});", ordered=True)


def _better(node: Node, dtype: str) -> str:
    sign = "<" if node.operator == "ArgMin" else ">"
    further = f"x {sign}{'=' if node.integer('select_last_index', 0) else ''} best"
    return f"({further} || x != x) && best == best" if dtype in FLOATS else further


@operator("TopK")
def top_k(node: Node, step: Step) -> None:
    """ONNX TopK: in order, equal ones by index, whether that is asked for or not."""
    dtype = check_type(node, step, _NUMBERS)
    source = step.value(node.inputs[0])
    axis = axis_of(node, node.integer("axis", -1), len(source.shape))
    length, stride = source.shape[axis], row_major(source.shape)[axis]
    count = number(node, step, 1, 0, "k")
    check(0 <= count <= length, node, f"k is {count} of {length}")
    shape = (*source.shape[:axis], count, *source.shape[axis + 1 :])
    outs = [step.value(name) if name else None for name in node.outputs]
    check(all(each is None or each.shape == shape for each in outs), node, "an output is of another shape")
    ctype = C_TYPES[dtype]
    operands = {
        "a": Operand(f"(({ctype} *){step.pointer(source.name)})", _without(row_major(source.shape), axis), ctype)
    }
    statement = _ordered(node, step, dtype, (stride, length, count))
    for letter, out, chosen in zip("oi", outs, (f"(&{{a}})[order[k] * {stride}]", "order[k]"), strict=False):
        if out is not None:
            walk = _without(row_major(shape), axis)
            operands[letter] = Operand(step.pointer(out.name), walk, C_TYPES[out.dtype])
            statement += f" for (int k = 0; k < {count}; k++) (&{{{letter}}})[k * {stride}] = {chosen};"
    step.include("selection.h")
    if count and source.size:
        nest(step, _without(source.shape, axis), operands, statement, ordered=True)


def _ordered(node: Node, step: Step, dtype: str, sizes: tuple[int, int, int]) -> str:
    """The statement after which `order` holds the indices wanted."""
    stride, length, count = sizes
    way = "descending" if node.integer("largest", 1) else "ascending"
    begin = f"int32_t *const order = {step.scratch(length, 'int32')}; "
    if count <= FEW:
        return begin + f"{dtype}_first_{way}(order, &{{a}}, {stride}, {length}, {count});"
    return begin + f"{dtype}_{way}(order, {step.scratch(length, 'int32')}, &{{a}}, {stride}, {length});"


def _without(each: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return each[:axis] + each[axis + 1 :]
