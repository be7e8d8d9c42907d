"""Products and a convolution of each channel alone, a band of lines at a time (`chain`, made by planning/chains.py)."""

from math import prod
from typing import Final

import numpy as np

from publisher.compiler.graph import Node
from publisher.compiler.operators.convolution import Form, form_of
from publisher.compiler.operators.depthwise import kernel_numbers, pixels_at_once, side_of, taps_of
from publisher.compiler.operators.epilogue import finish_function
from publisher.compiler.operators.packing import bias_pointer, packed
from publisher.compiler.operators.registry import operator
from publisher.compiler.operators.window import Window
from publisher.compiler.planning.chains import part
from publisher.compiler.step import Step, literal

BAND_BYTES: Final = 384 * 1024
"""What a band may take: it is to stay in the second cache, beside weights."""


@operator("chain")
def chain(node: Node, step: Step) -> None:
    """One image after the other; each band widened, convolved and narrowed before the next."""
    first, middle, last = (part(node, name) for name in ("first", "middle", "last"))
    if middle is None:
        return
    step.include("chain.h")
    form = form_of(middle, step)
    window = form.window
    source = (first or middle).inputs[0]
    width = window.begin[2] + window.source[2] + window.end[2]
    lines = _lines(window, width, form.channels)
    height = (lines - 1) * window.strides[1] + window.reach[1]
    band = step.scratch(height * width * form.channels)
    space = step.scratch(lines * window.out[2] * form.channels) if last else "0"
    numbers = (*window.source[1:], *window.begin[1:], lines)
    out = step.value(node.outputs[0])
    given = f"({step.pointer(source)} + n * {prod(step.value(source).shape[1:])})"
    step.line(f"for (int n = 0; n < {form.images}; n++) {{")
    step.call(
        "chain",
        f"(Band){{{', '.join(map(str, numbers))}}}",
        kernel_numbers(window, (height, width), form.channels, (0, 0)),
        *_pointwise(first, step),
        *_depthwise(middle, step, form),
        *_pointwise(last, step),
        *(given, band, space, step.pointer(out.name), f"n * {prod(out.shape[1:])}"),
    )
    step.line("}")


def _lines(window: Window, width: int, channels: int) -> int:
    """How many lines of the output make a band: as many as fit, in bands of nearly equal height."""
    one = 4 * channels * width
    fit = (BAND_BYTES // one - window.reach[1]) // window.strides[1] + 1
    lines = max(1, min(fit, window.out[1]))
    bands = -(-window.out[1] // lines)
    return -(-window.out[1] // bands)


def _pointwise(node: Node | None, step: Step) -> tuple[str, str]:
    if node is None:
        return "(Pointwise){0, 0, 0, 0}", "unchanged"
    form = form_of(node, step)
    weights = np.asarray(step.graph.constant(node.inputs[1]), np.float32)
    bias = step.graph.constant(node.inputs[2]) if node.has(2) else None
    right = step.constant(packed(np.ascontiguousarray(weights.reshape(form.filters, form.channels).T)))
    words = (right, bias_pointer(step, bias), form.channels, form.filters)
    return f"(Pointwise){{{', '.join(literal(each) for each in words)}}}", finish_function(node, step)


def _depthwise(node: Node, step: Step, form: Form) -> tuple[str, str]:
    weights = np.asarray(step.graph.constant(node.inputs[1]), np.float32)
    bias = step.graph.constant(node.inputs[2]) if node.has(2) else None
    side = side_of(form.channels)
    added = "0" if bias is None else step.constant(np.pad(bias.astype(np.float32), (0, side - form.channels)))
    words = (step.constant(taps_of(weights, form.window)), added, pixels_at_once(form.window))
    return f"(Weights){{{', '.join(literal(each) for each in words)}}}", finish_function(node, step)
