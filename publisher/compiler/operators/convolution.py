"""Convolution over channels-last images (`conv`, made of Conv by planning/layout.py): as products of matrices.

A kernel of one element is a product as it stands; a larger one is a product with rows of patches, which are gathered
a few at a time; a kernel for each channel alone has a kernel of its own (kernels/chain.h).
"""

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from protocol.errors import ConfigurationError
from publisher.compiler.errors import UnsupportedError
from publisher.compiler.graph import Node
from publisher.compiler.operators.depthwise import Middle, emit_depthwise, suits_planes
from publisher.compiler.operators.epilogue import finish_function
from publisher.compiler.operators.packing import bias_pointer, block_rows, filled, packed_patches, patch_depth
from publisher.compiler.operators.products import Product, emit_product
from publisher.compiler.operators.registry import operator
from publisher.compiler.operators.window import Window, window_of
from publisher.compiler.operators.winograd import emit_winograd, suits
from publisher.compiler.step import Step


@dataclass(frozen=True, slots=True)
class Form:
    """A convolution of `channels` into `filters`, in `groups` that do not see each other."""

    window: Window
    images: int
    channels: int
    filters: int
    groups: int

    @property
    def own(self) -> int:
        """Channels of a group."""
        return self.channels // self.groups

    @property
    def depth(self) -> int:
        """Elements of a patch."""
        return int(np.prod(self.window.kernel)) * self.own


@operator("conv")
def convolution(node: Node, step: Step) -> None:
    """ONNX Conv on [images, …, channels]; inputs: image, weights as ONNX has them, bias."""
    form = form_of(node, step)
    if step.value(node.outputs[0]).size == 0:
        return
    step.include("convolution.h")
    weights = step.graph.constant(node.inputs[1])
    if weights is None:
        raise UnsupportedError("Conv", "has weights that are computed", "make them a constant of the model")
    bias = step.graph.constant(node.inputs[2]) if node.has(2) else None
    finish = finish_function(node, step, ("Add r0 i2",) if node.has(2) and bias is None else ())
    if form.groups == form.channels == form.filters > 1 and suits_planes(form.window):
        middle = Middle(form.window, form.images, weights, bias, finish)
        size = prod(step.value(node.inputs[0]).shape[1:])
        emit_depthwise(middle, step, step.pointer(node.inputs[0]), size, step.pointer(node.outputs[0]))
    elif form.groups == 1 and suits(form.window, form.channels, form.filters):
        source, out = step.pointer(node.inputs[0]), step.pointer(node.outputs[0])
        emit_winograd(step, form.window, form.images, weights, bias, source, out, finish)
    elif form.window.is_plain and form.groups == 1:
        _pointwise(node, step, form, weights, bias, finish)
    else:
        _patches(node, step, form, weights, bias, finish)


def form_of(node: Node, step: Step) -> Form:
    """The form of a convolution, checked."""
    source, weights, out = (step.value(name) for name in (*node.inputs[:2], node.outputs[0]))
    groups = node.integer("group", 1)
    if {source.dtype, weights.dtype, out.dtype} != {"float32"}:
        raise UnsupportedError("Conv", f"of {source.dtype} is not known", "convert the model to float32")
    images, *spatial, channels = source.shape
    filters, own, *kernel = weights.shape
    if groups < 1 or own * groups != channels or filters % groups or out.shape[-1] != filters:
        raise ConfigurationError("Conv: its weights do not fit its input")
    window = window_of(node, tuple(spatial), tuple(kernel), out.shape[1:-1])
    return Form(window, images, channels, filters, groups)


def _pointwise(
    node: Node, step: Step, form: Form, weights: NDArray[np.float32], bias: NDArray[np.float32] | None, finish: str
) -> None:
    rows = form.images * form.window.places
    product = Product("float32", rows, form.filters, form.channels, (form.channels, 1), (1, form.channels))
    source, out = step.pointer(node.inputs[0]), step.pointer(node.outputs[0])
    emit_product(step, product, source, "0", out, weights, bias_pointer(step, bias), finish)


def _patches(
    node: Node, step: Step, form: Form, weights: NDArray[np.float32], bias: NDArray[np.float32] | None, finish: str
) -> None:
    """Group after group, `g` in C: what differs is where it begins in the image, the weights and the output."""
    columns = form.filters // form.groups
    depth = patch_depth(form.depth)
    block = block_rows(form.window.places, depth)
    space = step.scratch(block * depth)
    source, out = step.pointer(node.inputs[0]), step.pointer(node.outputs[0])
    # Kernels are [filters, channels, …]; a patch has its channels last.
    matrices = np.moveaxis(weights, 1, -1).reshape(form.groups, columns, form.depth)
    panels = [packed_patches(np.ascontiguousarray(each.T)) for each in matrices]
    right, size = step.constant(np.concatenate(panels)), panels[0].size
    added = _biases(step, form, bias)
    step.line(f"for (int g = 0; g < {form.groups}; g++) {{")
    step.call(
        "convolution",
        *(patches_seen(form, "g"), source, form.images, f"{right} + g * {size}", added, space, out),
        *(form.filters, f"g * {columns}", columns, block, finish),
    )
    step.line("}")


def _biases(step: Step, form: Form, bias: NDArray[np.float32] | None) -> str:
    """That of group `g`, filled up."""
    if bias is None:
        return "0"
    each = [filled(part.astype(np.float32)) for part in bias.reshape(form.groups, -1)]
    return f"{step.constant(np.concatenate(each))} + g * {each[0].size}"


def patches_seen(form: Form, group: str) -> str:
    """The C struct of what a group sees, whose number is a C expression."""
    window = form.window
    first = (form.channels, f"{group} * {form.own}", form.own)
    lists = (window.kernel, window.strides, window.dilations, window.begin, window.out)
    numbers = (*window.source, *first, *(number for each in lists for number in each))
    return f"(Patches){{{', '.join(map(str, numbers))}}}"
