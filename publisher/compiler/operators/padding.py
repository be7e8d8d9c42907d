"""Borders around a tensor, and parts cut from it."""

from collections.abc import Sequence
from typing import Final

from publisher.compiler.errors import UnsupportedError
from publisher.compiler.graph import Node, Value
from publisher.compiler.operators.moving import Walk, copy, fill, table, whole
from publisher.compiler.operators.parameters import axes_of, check, numbers
from publisher.compiler.operators.registry import operator
from publisher.compiler.step import Step, literal, row_major

_MODES: Final = ("constant", "reflect", "edge", "wrap")


@operator("Pad")
def pad(node: Node, step: Step) -> None:
    """ONNX Pad, all modes; negative pads cut."""
    source, out = step.value(node.inputs[0]), step.value(node.outputs[0])
    check(source.dtype == out.dtype, node, "input and output are of two types")
    begins, ends = _pads(node, step, len(source.shape))
    shape = tuple(b + n + e for b, n, e in zip(begins, source.shape, ends, strict=True))
    check(shape == out.shape, node, f"the output is {out.shape}, with its borders {shape}")
    mode = node.text("mode", "constant")
    if mode not in _MODES:
        raise UnsupportedError("Pad", f"has the mode {mode[:20]!a}", "use constant, reflect, edge or wrap")
    if mode == "constant":
        fill(step, out, _element(node, step))
        _place_inside(step, source, out, begins)
    elif out.size:
        check(source.size > 0, node, "there is nothing to repeat")
        tables = [_indices(mode, *each) for each in zip(source.shape, begins, out.shape, strict=True)]
        _by_tables(step, source, out, tables)


@operator("CenterCropPad")
def center_crop_pad(node: Node, step: Step) -> None:
    """ONNX CenterCropPad: zeros around, or the middle of it."""
    source, out = step.value(node.inputs[0]), step.value(node.outputs[0])
    check(len(source.shape) == len(out.shape) and source.dtype == out.dtype, node, "the output is of another rank")
    pairs = zip(source.shape, out.shape, strict=True)
    begins = [(to - own) // 2 if to >= own else -((own - to) // 2) for own, to in pairs]
    fill(step, out, "0")
    _place_inside(step, source, out, begins)


def _pads(node: Node, step: Step, rank: int) -> tuple[list[int], list[int]]:
    """The borders before and behind each dimension."""
    pads = numbers(node, step, 1, "pads") or node.integers("paddings")
    given = numbers(node, step, 3)
    axes = tuple(range(rank)) if given is None else axes_of(node, given, rank)
    check(len(pads) == 2 * len(axes), node, "pads are not two for each axis")
    begins, ends = [0] * rank, [0] * rank
    for number, axis in enumerate(axes):
        begins[axis], ends[axis] = pads[number], pads[number + len(axes)]
    return begins, ends


def _element(node: Node, step: Step) -> str:
    """What the border is filled with, as a C expression."""
    if not node.has(2):
        return literal(node.number("value", 0.0))
    value = step.value(node.inputs[2])
    check(value.size == 1 and value.dtype == step.value(node.outputs[0]).dtype, node, "the element is no single one")
    return f"{step.pointer(value.name)}[0]"


def _place_inside(step: Step, source: Value, out: Value, begins: Sequence[int]) -> None:
    """Copy what both have when the input begins there in the output."""
    reads, writes = row_major(source.shape), row_major(out.shape)
    shape, read, write = [], 0, 0
    for axis, begin in enumerate(begins):
        first = max(0, begin)
        shape.append(max(0, min(out.shape[axis], source.shape[axis] + begin) - first))
        write += first * writes[axis]
        read += max(0, -begin) * reads[axis]
    copy(step, shape, Walk(out, writes, write), Walk(source, reads, read))


def _indices(mode: str, length: int, begin: int, out: int) -> list[int]:
    """For each index along the output, that of the input."""
    places = range(-begin, out - begin)
    if mode == "wrap":
        return [each % length for each in places]
    if mode == "edge":
        return [min(max(each, 0), length - 1) for each in places]
    period = max(1, 2 * (length - 1))
    return [min(each % period, period - each % period) if length > 1 else 0 for each in places]


def _by_tables(step: Step, source: Value, out: Value, tables: Sequence[Sequence[int]]) -> None:
    strides = row_major(source.shape)
    offsets = [[each * stride for each in own] for own, stride in zip(tables, strides, strict=True)]
    copy(step, out.shape, whole(out), Walk(source, tuple(table(step, own) for own in offsets)))
