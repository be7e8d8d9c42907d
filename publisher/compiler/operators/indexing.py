"""Elements are fetched from where, or put where, other elements say. Each index is checked when the module runs."""

from collections.abc import Sequence
from typing import Final

from publisher.compiler.errors import UnsupportedError
from publisher.compiler.graph import C_TYPES, Node, Value
from publisher.compiler.loops import Operand, Stride, nest
from publisher.compiler.operators.moving import bits, copy, whole
from publisher.compiler.operators.parameters import axis_of, check
from publisher.compiler.operators.pointwise import FLOATS, INTEGERS, type_words
from publisher.compiler.operators.registry import operator
from publisher.compiler.step import Step, row_major

_COMBINED: Final = {
    "none": "{u}",
    "add": "({T})({U}{old} + {U}{u})",
    "mul": "({T})({U}{old} * {U}{u})",
    "min": "({u} < {old} || {u} != {u} ? {u} : {old})",
    "max": "({u} > {old} || {u} != {u} ? {u} : {old})",
}


@operator("Gather")
def gather(node: Node, step: Step) -> None:
    """ONNX Gather: whole blocks behind the axis."""
    source, indices, out = _fetching(node, step)
    axis = axis_of(node, node.integer("axis", 0), len(source.shape))
    before, after = source.shape[:axis], source.shape[axis + 1 :]
    check(out.shape == (*before, *indices.shape, *after), node, "the output is of another shape")
    if not _any(node, out, source.shape[axis]):
        return
    inner, rank = row_major(source.shape)[axis], len(indices.shape)
    loops = (*before, *indices.shape)
    operands = {
        "o": bits(step, out, row_major(out.shape)[: len(loops)]),
        "a": bits(step, source, (*row_major(source.shape)[:axis], *(0,) * rank)),
        "i": _indices(step, indices, (*(0,) * axis, *row_major(indices.shape))),
    }
    place = f"&{{a}} + index_in({{i}}, {source.shape[axis]}) * {inner}"
    nest(step, loops, operands, f"__builtin_memcpy(&{{o}}, {place}, {inner} * sizeof {{o}});")


@operator("GatherElements")
def gather_elements(node: Node, step: Step) -> None:
    """ONNX GatherElements."""
    source, indices, out = _fetching(node, step)
    axis = axis_of(node, node.integer("axis", 0), len(source.shape))
    check(out.shape == indices.shape, node, "the output is not of the indices' shape")
    _check_inside(node, indices.shape, source.shape, axis)
    if not _any(node, out, source.shape[axis]):
        return
    strides = row_major(source.shape)
    operands = {
        "o": bits(step, out, row_major(out.shape)),
        "a": bits(step, source, (*strides[:axis], 0, *strides[axis + 1 :])),
        "i": _indices(step, indices, row_major(indices.shape)),
    }
    place = f"index_in({{i}}, {source.shape[axis]}) * {strides[axis]}"
    nest(step, out.shape, operands, "{o} = (&{a})[" + place + "];")


@operator("GatherND")
def gather_nd(node: Node, step: Step) -> None:
    """ONNX GatherND: the indices' last dimension says where a block begins."""
    source, indices, out = _fetching(node, step)
    batch = node.integer("batch_dims", 0)
    depth = _depth(node, indices, source.shape, batch)
    loops, inner = indices.shape[:-1], source.shape[batch + depth :]
    check(out.shape == (*loops, *inner), node, "the output is of another shape")
    check(loops[:batch] == source.shape[:batch], node, "the batch dimensions differ")
    addressed = source.shape[batch : batch + depth]
    if not _any(node, out, *addressed):
        return
    strides, free = row_major(source.shape), len(loops) - batch
    operands = {
        "o": bits(step, out, row_major(out.shape)[: len(loops)]),
        "a": bits(step, source, (*strides[:batch], *(0,) * free)),
        "i": _indices(step, indices, row_major(indices.shape)[:-1]),
    }
    place = "&{a} + " + _place(addressed, strides[batch : batch + depth])
    size = row_major(out.shape)[len(loops) - 1] if loops else out.size
    nest(step, loops, operands, f"__builtin_memcpy(&{{o}}, {place}, {size} * sizeof {{o}});")


@operator("ScatterElements", "Scatter")
def scatter_elements(node: Node, step: Step) -> None:
    """ONNX ScatterElements and its older form Scatter: in the order of the indices."""
    source, indices, out = _fetching(node, step)
    updates = step.value(node.inputs[2])
    axis = axis_of(node, node.integer("axis", 0), len(source.shape))
    check(out.shape == source.shape and updates.shape == indices.shape, node, "shapes do not fit one another")
    _check_inside(node, indices.shape, source.shape, axis)
    copy(step, out.shape, whole(out), whole(source))
    if not _any(node, updates, source.shape[axis]):
        return
    strides = row_major(out.shape)
    operands = {
        "o": Operand(step.pointer(out.name), (*strides[:axis], 0, *strides[axis + 1 :]), C_TYPES[out.dtype]),
        "u": _updates(node, step, updates, row_major(updates.shape)),
        "i": _indices(step, indices, row_major(indices.shape)),
    }
    place = f"&{{o}} + index_in({{i}}, {source.shape[axis]}) * {strides[axis]}"
    _scatter(node, step, out, indices.shape, operands, place, 1)


@operator("ScatterND")
def scatter_nd(node: Node, step: Step) -> None:
    """ONNX ScatterND: in the order of the indices."""
    source, indices, out = _fetching(node, step)
    updates = step.value(node.inputs[2])
    depth = _depth(node, indices, source.shape, 0)
    loops, addressed = indices.shape[:-1], source.shape[:depth]
    check(out.shape == source.shape, node, "the output is of another shape")
    check(updates.shape == (*loops, *source.shape[depth:]), node, "the updates are of another shape")
    copy(step, out.shape, whole(out), whole(source))
    if not _any(node, updates, *addressed):
        return
    strides = row_major(source.shape)
    operands = {
        "o": Operand(step.pointer(out.name), (0,) * len(loops), C_TYPES[out.dtype]),
        "u": _updates(node, step, updates, row_major(updates.shape)[: len(loops)]),
        "i": _indices(step, indices, row_major(indices.shape)[:-1]),
    }
    inner = strides[depth - 1] if depth else source.size
    _scatter(node, step, out, loops, operands, "&{o} + " + _place(addressed, strides[:depth]), inner)


def _scatter(
    node: Node, step: Step, out: Value, loops: Sequence[int], operands: dict[str, Operand], place: str, inner: int
) -> None:
    how, ctype = node.text("reduction", "none"), C_TYPES[out.dtype]
    if how not in _COMBINED or (how != "none" and out.dtype not in (*FLOATS, *INTEGERS)):
        raise UnsupportedError(node.operator, f"combines by {how[:20]!a}", "use none, add, mul, min or max, of numbers")
    # Sums of integers wrap: C says so of unsigned ones alone.
    unsigned = "" if out.dtype in FLOATS else f"({type_words(out.dtype)['U']})"
    combined = _COMBINED[how].format(u="(&{u})[k]", old="to[k]", T=ctype, U=unsigned)
    statement = f"{ctype} *const to = {place}; for (int k = 0; k < {inner}; k++) to[k] = {combined};"
    nest(step, loops, operands, statement, ordered=True)


def _fetching(node: Node, step: Step) -> tuple[Value, Value, Value]:
    """Data, indices and output."""
    step.include("indexing.h")
    source, indices, out = step.value(node.inputs[0]), step.value(node.inputs[1]), step.value(node.outputs[0])
    check(source.dtype == out.dtype, node, "input and output are of two types")
    check(indices.dtype in {"int32", "int64"}, node, "indices are neither int32 nor int64")
    return source, indices, out


def _any(node: Node, moved: Value, *addressed: int) -> bool:
    """Whether anything moves at all; there must then be something to address."""
    check(moved.size == 0 or 0 not in addressed, node, "there is no element to address")
    return moved.size > 0


def _check_inside(node: Node, inner: tuple[int, ...], outer: tuple[int, ...], axis: int) -> None:
    fits = len(inner) == len(outer)
    others = [each for each in range(len(outer)) if each != axis]
    check(fits and all(inner[each] <= outer[each] for each in others), node, "indices are of a larger shape than data")


def _depth(node: Node, indices: Value, shape: tuple[int, ...], batch: int) -> int:
    """How many dimensions a row of indices addresses."""
    check(0 <= batch < len(indices.shape), node, "indices have too few dimensions")
    check(batch + indices.shape[-1] <= len(shape), node, "indices address more dimensions than there are")
    return indices.shape[-1]


def _place(lengths: Sequence[int], strides: Sequence[int]) -> str:
    pairs = enumerate(zip(lengths, strides, strict=True))
    terms = [f"index_in((&{{i}})[{number}], {length}) * {stride}" for number, (length, stride) in pairs]
    return " + ".join(terms) or "0"


def _indices(step: Step, value: Value, strides: tuple[Stride, ...]) -> Operand:
    # Without const: the address of an index is taken, so it must not be read into a variable before the loop.
    ctype = C_TYPES[value.dtype]
    return Operand(f"(({ctype} *){step.pointer(value.name)})", strides, ctype)


def _updates(node: Node, step: Step, value: Value, strides: tuple[Stride, ...]) -> Operand:
    check(value.dtype == step.value(node.outputs[0]).dtype, node, "the updates are of another type")
    return _indices(step, value, strides)
