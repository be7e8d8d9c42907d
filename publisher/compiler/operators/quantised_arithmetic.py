"""Between tensors of quanta: QLinearAdd, QLinearMul, QLinearConcat, tables, and means."""

from math import prod

import numpy as np

from publisher.compiler.errors import UnsupportedError
from publisher.compiler.graph import Node
from publisher.compiler.loops import broadcast
from publisher.compiler.operators.parameters import axis_of
from publisher.compiler.operators.quantised_form import (
    check_bytes,
    quanta,
    quantised,
    scale_of,
    struct,
    worth,
    zero_point,
)
from publisher.compiler.operators.quantised_window import Window
from publisher.compiler.operators.registry import operator
from publisher.compiler.step import Step, row_major


@operator("QLinearAdd", "QLinearMul")
def qlinear_binary(node: Node, step: Step) -> None:
    """onnxruntime's QLinearAdd and QLinearMul: a, scale, zero point, b, scale, zero point, scale, zero point."""
    a, b, out = step.value(node.inputs[0]), step.value(node.inputs[3]), step.value(node.outputs[0])
    check_bytes(node, step, a.name, b.name, out.name)
    step.include("quantised_linear.h")
    to = quanta(node, step, 6, out.dtype)
    scales = [scale_of(node, step, at) for at in (1, 4)]
    added = node.operator == "QLinearAdd"
    ratios = [worth(to.scale, each) for each in scales] if added else [worth(to.scale, *scales)] * 2
    operands = struct(
        "Operands",
        signed_a=int(a.dtype == "int8"),
        signed_b=int(b.dtype == "int8"),
        zero_a=zero_point(node, step, 2),
        zero_b=zero_point(node, step, 5),
        scale_a=float(ratios[0]),
        scale_b=float(ratios[1]),
    )
    most = 255.0 * (float(ratios[0]) + float(ratios[1])) if added else 255.0 * 255.0 * float(ratios[0])
    given = (operands, to.c(unbounded=not most < 2.0**21))
    pointers = [f"(uint8_t *){step.pointer(each.name)}" for each in (out, a, b)]
    strides = [row_major(out.shape), broadcast(a.shape, out.shape), broadcast(b.shape, out.shape)]
    _rows(step, "quantised_add" if added else "quantised_multiply", out.shape, pointers, strides, given)


def _rows(
    step: Step,
    kernel: str,
    shape: tuple[int, ...],
    pointers: list[str],
    strides: list[tuple[int, ...]],
    given: tuple[str, str],
) -> None:
    """Calls of a kernel for runs in which each operand goes on by one or stays."""
    if 0 in shape:
        return
    depth, run, steps = _run(shape, strides[1:])
    for at in range(depth):
        step.line(f"for (int i{at} = 0; i{at} < {shape[at]}; i{at}++)")
    arguments = []
    for pointer, own in zip(pointers, strides, strict=True):
        terms = [f"i{at} * {own[at]}" for at in range(depth) if own[at] and shape[at] > 1]
        arguments.append(" + ".join((pointer, *terms)))
    step.call(kernel, *arguments, *steps, run, *given)


def _run(shape: tuple[int, ...], operands: list[tuple[int, ...]]) -> tuple[int, int, list[int]]:
    """How many outer dimensions are left for loops, how long a run is, and whether each operand goes on in it."""
    depth, run, steps = len(shape), 1, [0] * len(operands)
    while depth:
        here = [own[depth - 1] for own in operands]
        grown = [int(each != 0) for each in here]
        if run > 1 and (steps != grown or any(each not in {0, run} for each in here)):
            break
        if shape[depth - 1] > 1:
            steps, run = grown, run * shape[depth - 1]
        depth -= 1
    return depth, run, steps


@operator("quantised.lookup")
def lookup(node: Node, step: Step) -> None:
    """The planner's: a function of one element, whose answers for all 256 bytes are the attribute `table`."""
    found = node.attributes["table"]
    out = step.value(node.outputs[0])
    step.include("quantised_linear.h")
    data = np.asarray(found).view(np.uint8)
    source = f"(const uint8_t *){step.pointer(node.inputs[0])}"
    step.call("looked_up", f"(uint8_t *){step.pointer(out.name)}", source, out.size, step.constant(data))


@operator("QLinearConcat")
def qlinear_concat(node: Node, step: Step) -> None:
    """onnxruntime's QLinearConcat: scale, zero point, then each part with its own."""
    out = step.value(node.outputs[0])
    step.include("quantised_linear.h")
    to = quanta(node, step, 0, out.dtype)
    axis = axis_of(node, node.integer("axis", 0), len(out.shape))
    run, at = prod(out.shape[axis:]), 0
    for number in range(2, len(node.inputs), 3):
        part = step.value(node.inputs[number])
        check_bytes(node, step, part.name)
        scale, zero = scale_of(node, step, number + 1), zero_point(node, step, number + 2)
        quanta_in = np.arange(256, dtype=np.uint8).view(part.dtype).astype(np.int32)
        table = quantised((quanta_in - zero).astype(np.float32) * scale, to).view(np.uint8)
        own = prod(part.shape[axis:])
        source, target = f"(const uint8_t *){step.pointer(part.name)}", f"(uint8_t *){step.pointer(out.name)}"
        step.line(f"for (int i = 0; i < {prod(out.shape[:axis])}; i++)")
        target, source = f"{target} + (int64_t)i * {run} + {at}", f"{source} + (int64_t)i * {own}"
        if np.array_equal(table, np.arange(256)):
            step.call("__builtin_memcpy", target, source, own)
        else:
            step.call("looked_up", target, source, own, step.constant(table))
        at += own


@operator("qlinear_global_average_pool")
def global_average_pool(node: Node, step: Step) -> None:
    """onnxruntime's QLinearGlobalAveragePool of images with channels last."""
    x, out = step.value(node.inputs[0]), step.value(node.outputs[0])
    check_bytes(node, step, x.name, out.name)
    step.include("quantised_linear.h")
    to = quanta(node, step, 3, out.dtype)
    places, channels = prod(x.shape[1:-1]), x.shape[-1]
    if out.size == 0 or places == 0:
        return
    scale = worth(to.scale * np.float32(places), scale_of(node, step, 1))
    sums = step.scratch(channels, "int32")
    target, source = f"(uint8_t *){step.pointer(out.name)}", f"(const uint8_t *){step.pointer(x.name)}"
    step.line(f"for (int i = 0; i < {x.shape[0]}; i++)")
    step.call(
        "quantised_means",
        f"{target} + i * {channels}",
        f"{source} + (int64_t)i * {places * channels}",
        places,
        channels,
        int(x.dtype == "int8"),
        zero_point(node, step, 2),
        float(scale),
        sums,
        to.c(unbounded=not 255.0 * float(scale) * places < 2.0**21),
    )


@operator("qlinear_average_pool")
def average_pool(node: Node, step: Step) -> None:
    """onnxruntime's QLinearAveragePool of images with channels last."""
    x, out = step.value(node.inputs[0]), step.value(node.outputs[0])
    check_bytes(node, step, x.name, out.name)
    step.include("quantised_pooling.h")
    if "dilations" in node.attributes and any(each != 1 for each in node.integers("dilations")):
        raise UnsupportedError(node.operator, "is dilated", "leave it in floating point")
    to = quanta(node, step, 3, out.dtype)
    window = Window.of(node, x, node.integers("kernel_shape"), out)
    scale = worth(to.scale, scale_of(node, step, 1))
    target, source = f"(uint8_t *){step.pointer(out.name)}", f"(const uint8_t *){step.pointer(x.name)}"
    step.line(f"for (int i = 0; i < {window.images}; i++)")
    step.call(
        "quantised_average",
        f"{target} + (int64_t)i * {window.places * window.channels}",
        f"{source} + (int64_t)i * {window.pixels * window.channels}",
        window.c(window.channels),
        int(x.dtype == "int8"),
        zero_point(node, step, 2),
        float(scale),
        *_ends(node, window),
        node.integer("count_include_pad", 0),
        to.c(unbounded=not 255.0 * float(scale) < 2.0**21),
    )


def _ends(node: Node, window: Window) -> tuple[int, int]:
    """Where padding ends, down and across: what lies beyond is not counted even where padding is."""
    pads = node.integers("pads")
    ends = pads[len(pads) // 2 :] if pads and node.text("auto_pad", "NOTSET") == "NOTSET" else ()
    after = (
        (0, *ends)[-2:]
        if ends
        else tuple(
            max(0, (out - 1) * stride + kernel - length - pad)
            for out, stride, kernel, length, pad in zip(
                window.out, window.strides, window.kernel, window.image, window.pads, strict=True
            )
        )
    )
    return window.image[0] + after[0], window.image[1] + after[1]
