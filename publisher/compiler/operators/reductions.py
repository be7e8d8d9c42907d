"""Sums, products and extremes over axes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from publisher.compiler.graph import C_TYPES, Node, Value
from publisher.compiler.loops import Operand, merged, nest
from publisher.compiler.operators.moving import copy, whole
from publisher.compiler.operators.parameters import axes_of, check, numbers
from publisher.compiler.operators.pointwise import FLOATS, INTEGERS, UNSIGNED, check_type, type_words
from publisher.compiler.operators.registry import operator
from publisher.compiler.step import Step, literal, row_major


@dataclass(frozen=True, slots=True)
class _Rule:
    """`element` and `vector` are what is done with each number, in C and for f4; `last` with what comes out."""

    combine: str
    element: str = "{x}"
    vector: str = "f4_itself"
    last: str = ""


_COMBINED: Final = {
    "add": "({T})({U}{r} + {U}{x})",
    "mul": "({T})({U}{r} * {U}{x})",
    "min": "{r} < {x} ? {r} : {x}",
    "max": "{r} > {x} ? {r} : {x}",
}
_OR_NAN: Final = {"min": "{r} < {x} || {r} != {r} ? {r} : {x}", "max": "{r} > {x} || {r} != {r} ? {r} : {x}"}
_VECTORS: Final = {"add": "pair_sum", "mul": "pair_product", "min": "pair_least", "max": "pair_most"}
_ABSOLUTE: Final = "({x} < 0 ? -{x} : {x})"
_RULES: Final = {
    "ReduceSum": _Rule("add"),
    "ReduceMean": _Rule("add", last="{o} / {count}"),
    "ReduceProd": _Rule("mul"),
    "ReduceMin": _Rule("min"),
    "ReduceMax": _Rule("max"),
    "ReduceL1": _Rule("add", _ABSOLUTE, "f4_abs"),
    "ReduceL2": _Rule("add", "{x} * {x}", "f4_squared", "({T})sqrt{f}({o})"),
    "ReduceSumSquare": _Rule("add", "{x} * {x}", "f4_squared"),
    "ReduceLogSum": _Rule("add", last="({T})log{f}({o})"),
}


@operator(*_RULES)
def reduce(node: Node, step: Step) -> None:
    """ONNX reductions but ReduceLogSumExp. Sums of integers wrap; of nothing, each is what it begins with, a mean 0."""
    booleans = ("bool",) if node.operator in {"ReduceMin", "ReduceMax"} else ()
    check_type(node, step, (*FLOATS, *INTEGERS, *booleans))
    source, out = step.value(node.inputs[0]), step.value(node.outputs[0])
    axes = reduced_axes(node, step)
    if axes is None:
        copy(step, out.shape, whole(out), whole(source))
        return
    rule = _RULES[node.operator]
    step.include("reductions.h")
    _reduce(step, rule, source, axes, step.pointer(out.name))
    if rule.last:
        count = int(np.prod([source.shape[axis] for axis in axes], dtype=np.int64))
        operand = Operand(step.pointer(out.name), (1,), C_TYPES[out.dtype])
        words = {**type_words(out.dtype), "count": str(max(1, count))}
        nest(step, (out.size,), {"o": operand}, "{o} = " + rule.last + ";", words=words)


@operator("ReduceLogSumExp")
def reduce_log_sum_exp(node: Node, step: Step) -> None:
    """ONNX ReduceLogSumExp: the largest is subtracted before the exponential, and added at the end."""
    dtype = check_type(node, step, FLOATS)
    source, out = step.value(node.inputs[0]), step.value(node.outputs[0])
    axes = reduced_axes(node, step)
    if axes is None:
        copy(step, out.shape, whole(out), whole(source))
        return
    step.include("reductions.h")
    most, result, ctype = step.scratch(out.size, dtype), step.pointer(out.name), C_TYPES[dtype]
    words = type_words(dtype)
    _reduce(step, _RULES["ReduceMax"], source, axes, most)
    own = Operand(most, (1,), ctype)
    nest(step, (out.size,), {"m": own}, "{m} = finite_{D}({m});", words=words)
    nest(step, (out.size,), {"o": Operand(result, (1,), ctype)}, "{o} = 0;")
    _sum_of_exp(step, source, axes, most, result)
    both = {"o": Operand(result, (1,), ctype), "m": own}
    nest(step, (out.size,), both, "{o} = log{f}({o}) + {m};", words=words)


def _sum_of_exp(step: Step, source: Value, axes: Sequence[int], most: str, result: str) -> None:
    ctype = C_TYPES[source.dtype]
    lengths, reads, writes = _walks(source, axes)
    runs = source.dtype == "float32" and writes[-1:] == [0]
    depth = len(lengths) - runs
    operands = {
        "o": Operand(result, tuple(writes[:depth]), ctype),
        "m": Operand(most, tuple(writes[:depth]), ctype),
        "a": Operand(f"(({ctype} *){step.pointer(source.name)})", tuple(reads[:depth]), ctype),
    }
    run = f"f4_sum_of_exp(&{{a}}, {lengths[-1]}, {{m}})" if runs else "exp{f}({a} - {m})"
    if source.size:
        nest(step, lengths[:depth], operands, f"{{o}} += {run};", ordered=True, words=type_words(source.dtype))


def reduced_axes(node: Node, step: Step) -> tuple[int, ...] | None:
    """The axes to reduce; None where none are named and that means nothing is to be done."""
    source, out = step.value(node.inputs[0]), step.value(node.outputs[0])
    rank = len(source.shape)
    given = numbers(node, step, 1, "axes")
    if not given and node.integer("noop_with_empty_axes", 0):
        check(out.shape == source.shape, node, "the output is of another shape")
        return None
    axes = axes_of(node, given or range(rank), rank)
    kept = tuple(1 if axis in axes else length for axis, length in enumerate(source.shape))
    rest = tuple(length for axis, length in enumerate(source.shape) if axis not in axes)
    check(out.shape == (kept if node.integer("keepdims", 1) else rest), node, "the output is of another shape")
    check(source.dtype == out.dtype, node, "input and output are of two types")
    return axes


def _walks(source: Value, axes: Sequence[int]) -> tuple[list[int], list[int], list[int]]:
    """Lengths of merged loops, and the strides of the input and of what is reduced, 0 along reduced dimensions."""
    kept = row_major([1 if axis in axes else length for axis, length in enumerate(source.shape)])
    writes = [0 if axis in axes else stride for axis, stride in enumerate(kept)]
    lengths, (reads, written) = merged(source.shape, (row_major(source.shape), writes))
    return lengths, [int(each) for each in reads], [int(each) for each in written]


def _reduce(step: Step, rule: _Rule, source: Value, axes: Sequence[int], to: str) -> None:
    """Write the combination over `axes`, into as many elements as the others have."""
    ctype = C_TYPES[source.dtype]
    size = int(np.prod([length for axis, length in enumerate(source.shape) if axis not in axes], dtype=np.int64))
    nest(step, (size,), {"o": Operand(to, (1,), ctype)}, "{o} = " + _identity(rule, source.dtype) + ";")
    if source.size == 0:
        return
    lengths, reads, writes = _walks(source, axes)
    if not lengths:
        lengths, reads, writes = [source.size], [1], [1]
    operands = {
        "o": Operand(to, tuple(writes[:-1]), ctype),
        "a": Operand(f"(({ctype} *){step.pointer(source.name)})", tuple(reads[:-1]), ctype),
    }
    run = _along_kept if writes[-1] else _along_reduced
    nest(step, lengths[:-1], operands, run(rule, source.dtype, lengths[-1]), ordered=True)


def _along_kept(rule: _Rule, dtype: str, count: int) -> str:
    """The statement for a run of `count` elements, each of which has a result of its own."""
    combined = _combined(rule, dtype, "(&{o})[k]", _element(rule, dtype))
    return f"INDEPENDENT for (int k = 0; k < {count}; k++) (&{{o}})[k] = {combined};"


def _along_reduced(rule: _Rule, dtype: str, count: int) -> str:
    """The statement for a run of `count` elements that have one result."""
    if dtype == "float32":
        run = f"f4_reduced(&{{a}}, {count}, {_identity(rule, dtype)}, {rule.vector}, {_VECTORS[rule.combine]})"
        return f"float r = {run}; {{o}} = {_combined(rule, dtype, '{o}', 'r')};"
    combined = _combined(rule, dtype, "r", _element(rule, dtype))
    return f"{C_TYPES[dtype]} r = {{o}}; for (int k = 0; k < {count}; k++) r = {combined}; {{o}} = r;"


def _element(rule: _Rule, dtype: str) -> str:
    return rule.element.format(x="((&{a})[k] != 0)" if dtype == "bool" else "(&{a})[k]")


def _combined(rule: _Rule, dtype: str, result: str, element: str) -> str:
    how = {**_COMBINED, **(_OR_NAN if dtype in FLOATS else {})}[rule.combine]
    words = type_words(dtype)
    # Sums of integers wrap: C says so of unsigned ones alone.
    unsigned = "" if dtype in FLOATS else f"({words['U']})"
    return how.format(r=result, x=element, T=words["T"], U=unsigned)


def _identity(rule: _Rule, dtype: str) -> str:
    """What a combination with nothing is."""
    if rule.combine in {"add", "mul"}:
        return "0" if rule.combine == "add" else "1"
    most = rule.combine == "min"
    if dtype in FLOATS:
        return literal(float("inf") if most else float("-inf"))
    if dtype == "bool":
        return "1" if most else "0"
    limits = np.iinfo(dtype)
    if most:
        return f"{limits.max}u" if dtype in UNSIGNED else f"{limits.max}"
    # The least number of 64 bits has no literal of its own.
    return f"(-{limits.max} - 1)" if limits.min else "0"
