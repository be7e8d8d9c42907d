"""Tensors of another size: Resize and Upsample, axis by axis."""

from dataclasses import replace
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from publisher.compiler.errors import UnsupportedError
from publisher.compiler.graph import C_TYPES, Node, Value
from publisher.compiler.loops import Operand, Stride, nest
from publisher.compiler.operators.moving import Walk, copy, table, whole
from publisher.compiler.operators.parameters import axes_of, check
from publisher.compiler.operators.pointwise import FLOATS
from publisher.compiler.operators.registry import operator
from publisher.compiler.operators.resize_axis import Axis, Form, coordinates, taps
from publisher.compiler.step import Step, literal, row_major

SMALLEST: Final = 1e-6
MAX_TAPS: Final = 1024
"""Elements that one becomes part of: more would be blurring, not resizing."""


@operator("Resize", "Upsample")
def resize(node: Node, step: Step) -> None:
    """ONNX Resize, all modes and coordinates, antialias too, and its older form Upsample."""
    source, out = step.value(node.inputs[0]), step.value(node.outputs[0])
    check(len(source.shape) == len(out.shape) and source.dtype == out.dtype, node, "the output is of another rank")
    check(source.size > 0 or out.size == 0, node, "there is nothing to resize")
    if out.size == 0:
        return
    form, axes = _form(node), _axes(node, step, source.shape, out.shape)
    if form.mode == "nearest":
        _by_tables(step, source, out, axes, form)
    elif source.dtype in FLOATS:
        _by_weights(step, source, out, axes, form)
    else:
        raise UnsupportedError(node.operator, f"interpolates {source.dtype}", "cast its input to float32 before it")
    if form.coordinates == "tf_crop_and_resize":
        _extrapolate(step, out, axes, literal(node.number("extrapolation_value", 0.0)))


def _form(node: Node) -> Form:
    mode = node.text("mode", "nearest")
    mode = {"bilinear": "linear", "trilinear": "linear"}.get(mode, mode)
    if node.operator == "Upsample" or node.version < 11:
        return Form(mode, "asymmetric", "floor")
    return Form(
        mode,
        node.text("coordinate_transformation_mode", "half_pixel"),
        node.text("nearest_mode", "round_prefer_floor"),
        node.number("cubic_coeff_a", -0.75),
        bool(node.integer("exclude_outside", 0)),
        bool(node.integer("antialias", 0)) and mode != "nearest",
    )


def _axes(node: Node, step: Step, shape: tuple[int, ...], made: tuple[int, ...]) -> list[Axis]:
    """All axes, those that stay as they are too. Scales are the model's where it says them."""
    older = node.operator == "Upsample" or node.version < 11
    named = node.integers("axes")
    which = axes_of(node, named, len(shape)) if named else tuple(range(len(shape)))
    scales = _numbers(node, step, 1 if older else 2)
    if scales is None and "scales" in node.attributes:
        scales = np.asarray(node.attributes["scales"], np.float64)
    roi = None if older else _numbers(node, step, 1)
    check(scales is None or len(scales) == len(which), node, "scales are not one for each axis")
    check(roi is None or len(roi) == 2 * len(which), node, "roi is not two numbers for each axis")
    axes = [Axis(length, to, to / max(1, length)) for length, to in zip(shape, made, strict=True)]
    if scales is None and node.text("keep_aspect_ratio_policy", "stretch") != "stretch":
        scales = np.full(len(which), _common_scale(node, step, [axes[axis] for axis in which]))
    for number, axis in enumerate(which):
        scale = axes[axis].scale if scales is None else float(scales[number])
        check(SMALLEST <= scale <= 1 / SMALLEST, node, f"the scale {scale} is impossible")
        part = (0.0, 1.0) if roi is None else (float(roi[number]), float(roi[number + len(which)]))
        axes[axis] = replace(axes[axis], scale=scale, roi=part)
    return axes


def _numbers(node: Node, step: Step, which: int) -> NDArray[np.float64] | None:
    """A list of numbers that must be a constant here; None where it is left out or empty."""
    if not node.has(which) or step.value(node.inputs[which]).size == 0:
        return None
    data: NDArray[Any] | None = step.value(node.inputs[which]).data
    if data is None:
        raise UnsupportedError(node.operator, "computes its scales or roi", "export the model with fixed sizes")
    found = data.reshape(-1).astype(np.float64)
    check(bool(np.isfinite(found).all()), node, "scales or roi are not finite")
    return found


def _common_scale(node: Node, step: Step, axes: list[Axis]) -> float:
    sizes = step.value(node.inputs[3]).data if node.has(3) else None
    if sizes is None:
        raise UnsupportedError("Resize", "computes its sizes", "export the model with constant sizes")
    check(sizes.size == len(axes), node, "sizes are not one for each axis")
    scales = [float(size) / axis.length for size, axis in zip(sizes.reshape(-1), axes, strict=True)]
    return max(scales) if node.text("keep_aspect_ratio_policy", "") == "not_smaller" else min(scales)


def _by_tables(step: Step, source: Value, out: Value, axes: list[Axis], form: Form) -> None:
    strides = row_major(source.shape)
    places = [taps(axis, form)[0][:, 0].tolist() for axis in axes]
    offsets = [table(step, [each * stride for each in own]) for own, stride in zip(places, strides, strict=True)]
    copy(step, out.shape, whole(out), Walk(source, tuple(offsets)))


def _by_weights(step: Step, source: Value, out: Value, axes: list[Axis], form: Form) -> None:
    """One pass for each axis that changes; those that become shorter, and those that are inner, come first."""
    changing = [number for number, axis in enumerate(axes) if not _is_same(axis, form)]
    order = sorted(changing, key=lambda number: (axes[number].made / axes[number].length, -number))
    shape, at = list(source.shape), step.pointer(source.name)
    step.include("resize.h")
    for number in order:
        axis = axes[number]
        places, weights = taps(axis, form)
        if places.shape[1] > MAX_TAPS:
            raise UnsupportedError("Resize", "makes an axis very much shorter", "use average pooling before it")
        rows, inner = prod(shape[:number]), prod(shape[number + 1 :])
        shape[number] = axis.made
        to = step.pointer(out.name) if number == order[-1] else step.scratch(prod(shape), source.dtype)
        kernel = f"resized_{C_TYPES[source.dtype]}"
        constants = (step.constant(weights.astype(source.dtype)), step.constant((places * inner).astype(np.int32)))
        step.call(kernel, to, at, *constants, rows, axis.length, axis.made, inner, places.shape[1])
        at = to
    if not order:
        copy(step, out.shape, whole(out), whole(source))


def _is_same(axis: Axis, form: Form) -> bool:
    where = coordinates(axis, form.coordinates)
    return axis.length == axis.made and bool((where == np.arange(axis.made)).all())


def _extrapolate(step: Step, out: Value, axes: list[Axis], element: str) -> None:
    """What lies outside the input is a number of its own."""
    strides = row_major(out.shape)
    for number, axis in enumerate(axes):
        where = coordinates(axis, "tf_crop_and_resize")
        outside = np.flatnonzero((where < 0) | (where > axis.length - 1))
        offsets = table(step, [int(each) * strides[number] for each in outside])
        shape = (*out.shape[:number], int(outside.size), *out.shape[number + 1 :])
        walked: tuple[Stride, ...] = (*strides[:number], offsets, *strides[number + 1 :])
        operand = Operand(step.pointer(out.name), walked, C_TYPES[out.dtype])
        nest(step, shape, {"o": operand}, "{o} = " + element + ";")
