"""Along an axis in order: running sums, reversal, triangles, positions of ones, rows of a cache."""

from math import prod

import numpy as np

from publisher.compiler.graph import C_TYPES, Node
from publisher.compiler.loops import Operand, nest
from publisher.compiler.operators.moving import bits, copy, whole
from publisher.compiler.operators.parameters import axis_of, check, number, numbers
from publisher.compiler.operators.pointwise import FLOATS, INTEGERS, check_type, type_words
from publisher.compiler.operators.registry import operator
from publisher.compiler.step import Step, row_major


@operator("CumSum", "CumProd")
def cumulate(node: Node, step: Step) -> None:
    """ONNX CumSum and CumProd: forwards or in reverse, with or without the element itself."""
    dtype = check_type(node, step, (*FLOATS, *INTEGERS))
    source, out = step.value(node.inputs[0]), step.value(node.outputs[0])
    _check_same(node, step)
    given = numbers(node, step, 1) or ()
    check(len(given) == 1, node, "the axis is not one number")
    axis = axis_of(node, given[0], len(source.shape))
    inner, length = row_major(source.shape)[axis], source.shape[axis]
    reverse, exclusive = node.integer("reverse", 0), node.integer("exclusive", 0)
    first = (length - 1) * inner if reverse else 0
    ctype = C_TYPES[dtype]
    operands = {
        "o": Operand(f"({step.pointer(out.name)} + {first})", (inner * length,), ctype),
        "a": Operand(f"((({ctype} *){step.pointer(source.name)}) + {first})", (inner * length,), ctype),
    }
    sizes = f"{length}, {-inner if reverse else inner}, {inner}, {int(exclusive != 0)}"
    step.include("sequences.h")
    if source.size:
        statement = f"CUMULATE({ctype}, &{{o}}, &{{a}}, {sizes}, {_cumulated(node, dtype)});"
        nest(step, (source.size // (inner * length),), operands, statement, ordered=True)


def _cumulated(node: Node, dtype: str) -> str:
    """What an exclusive one begins with, and what there is with one element more."""
    sign, start = ("+", 0) if node.operator == "CumSum" else ("*", 1)
    # Sums of integers wrap: C says so of unsigned ones alone.
    wide = C_TYPES[dtype] if dtype in FLOATS else type_words(dtype)["U"]
    return f"{start}, ({wide})r {sign} ({wide})x"


@operator("ReverseSequence")
def reverse_sequence(node: Node, step: Step) -> None:
    """ONNX ReverseSequence: lengths come from data and are checked."""
    source, lengths, out = (step.value(name) for name in (*node.inputs[:2], node.outputs[0]))
    batch, time = node.integer("batch_axis", 1), node.integer("time_axis", 0)
    check({batch, time} == {0, 1} and len(source.shape) >= 2, node, "the axes are not 0 and 1")
    check(lengths.shape == (source.shape[batch],) and lengths.dtype == "int64", node, "there is no length for each")
    _check_same(node, step)
    strides, steps = row_major(source.shape), source.shape[time]
    along_batch, along_time = ((1, 0), (0, 1)) if batch == 0 else ((0, 1), (1, 0))
    operands = {
        "o": bits(step, out, strides[:2]),
        "a": bits(step, source, (strides[batch] * along_batch[0], strides[batch] * along_batch[1])),
        "n": Operand(step.pointer(lengths.name), along_batch, "const int64_t"),
        "t": Operand(step.constant(np.arange(steps, dtype=np.int32)), along_time, "const int32_t"),
    }
    place = f"&{{a}} + reversed_place({{t}}, {{n}}, {steps}) * {strides[time]}"
    step.include("sequences.h")
    if source.size:
        nest(step, source.shape[:2], operands, f"__builtin_memcpy(&{{o}}, {place}, {strides[1]} * sizeof {{o}});")


@operator("Trilu")
def triangle(node: Node, step: Step) -> None:
    """ONNX Trilu: what is above or below a diagonal, the rest 0."""
    source, out = step.value(node.inputs[0]), step.value(node.outputs[0])
    check(len(source.shape) >= 2, node, "the input is no matrix")
    _check_same(node, step)
    upper = node.integer("upper", 1)
    rows, columns = source.shape[-2:]
    diagonal = max(-rows, min(columns, number(node, step, 1, 0)))
    # The column at which each row begins to be kept, or the first that is no longer kept.
    begins = np.clip(np.arange(rows) + diagonal + (0 if upper else 1), 0, columns).astype(np.int32)
    matrices = source.size // max(1, rows * columns)
    strides = row_major((matrices, rows, columns))[:2]
    operands = {
        "o": bits(step, out, strides),
        "a": bits(step, source, strides),
        "n": Operand(step.constant(begins), (0, 1), "const int32_t"),
    }
    kept = "k >= at" if upper else "k < at"
    statement = f"int at = {{n}}; for (int k = 0; k < {columns}; k++) (&{{o}})[k] = {kept} ? (&{{a}})[k] : 0;"
    if source.size:
        nest(step, (matrices, rows), operands, statement)


@operator("OneHot")
def one_hot(node: Node, step: Step) -> None:
    """ONNX OneHot: indices may be of any type of number; those out of range are nowhere."""
    check_type(node, step, (*FLOATS, *INTEGERS))
    indices, values, out = (step.value(name) for name in (node.inputs[0], node.inputs[2], node.outputs[0]))
    axis = axis_of(node, node.integer("axis", -1), len(out.shape))
    shape = (*out.shape[:axis], *out.shape[axis + 1 :])
    check(indices.shape == shape and values.shape == (2,), node, "indices or values are of another shape")
    check(values.dtype == out.dtype, node, "values are of another type")
    depth, own = out.shape[axis], row_major(indices.shape)
    rank = len(out.shape)
    operands = {
        "o": Operand(step.pointer(out.name), row_major(out.shape), C_TYPES[out.dtype]),
        "a": Operand(step.pointer(indices.name), (*own[:axis], 0, *own[axis:]), f"const {C_TYPES[indices.dtype]}"),
        "v": Operand(f"(({C_TYPES[out.dtype]} *){step.pointer(values.name)})", (0,) * rank, C_TYPES[out.dtype]),
        "t": Operand(
            step.constant(np.arange(depth, dtype=np.int32)),
            tuple(int(each == axis) for each in range(rank)),
            "const int32_t",
        ),
    }
    is_there = "({a} < 0 ? {a} + " + f"{depth}" + " : {a}) == {t}"
    nest(step, out.shape, operands, "{o} = (&{v})[" + is_there + "];")


def _check_same(node: Node, step: Step) -> None:
    source, out = step.value(node.inputs[0]), step.value(node.outputs[0])
    check(source.shape == out.shape and source.dtype == out.dtype, node, "the output is of another shape or type")


@operator("TensorScatter")
def tensor_scatter(node: Node, step: Step) -> None:
    """ONNX TensorScatter: rows are put into a cache where an index for each batch says, which is checked."""
    cache, update, out = (step.value(name) for name in (*node.inputs[:2], node.outputs[0]))
    _check_same(node, step)
    axis = axis_of(node, node.integer("axis", -2), len(cache.shape))
    check(axis > 0 and len(update.shape) == len(cache.shape), node, "the axis is the batch's")
    length, rows, inner = cache.shape[axis], update.shape[axis], row_major(cache.shape)[axis]
    fits = (*cache.shape[:axis], rows, *cache.shape[axis + 1 :]) == update.shape and rows <= length
    check(fits and update.dtype == out.dtype, node, "the update does not fit into the cache")
    copy(step, out.shape, whole(out), whole(cache))
    if update.size == 0:
        return
    shape = (cache.shape[0], prod(cache.shape[1:axis]), rows)
    walk = row_major((*shape[:2], length))
    operands = {
        "o": bits(step, out, (walk[0] * inner, walk[1] * inner, 0)),
        "u": bits(step, update, tuple(each * inner for each in row_major(shape))),
        "t": Operand(step.constant(np.arange(rows, dtype=np.int32)), (0, 0, 1), "const int32_t"),
        **_first_rows(node, step, shape[0]),
    }
    place = f"index_in({{n}}, {length}) + {{t}}" if node.has(2) else "{t}"
    wrapped = f"({place}) % {length}" if node.text("mode", "linear") == "circular" else f"index_in({place}, {length})"
    step.include("indexing.h")
    nest(step, shape, operands, f"__builtin_memcpy(&{{o}} + {wrapped} * {inner}, &{{u}}, {inner} * sizeof {{o}});")


def _first_rows(node: Node, step: Step, batch: int) -> dict[str, Operand]:
    """Where the first row is put, for each batch; nothing where it is always the first."""
    if not node.has(2):
        return {}
    starts = step.value(node.inputs[2])
    check(starts.shape == (batch,) and starts.dtype == "int64", node, "there is no index for each batch")
    return {"n": Operand(step.pointer(starts.name), (1, 0, 0), "const int64_t")}
