"""Products and a convolution of each channel alone, a band of lines at a time (`chain`, made by planning/chains.py)."""

from math import prod

import numpy as np

from protocol.errors import ConfigurationError
from publisher.compiler.graph import Node
from publisher.compiler.operators.convolution import form_of, patches_seen
from publisher.compiler.operators.depthwise import Middle, Product, emit_depthwise
from publisher.compiler.operators.epilogue import finish_function
from publisher.compiler.operators.packing import bias_pointer, packed, packed_patches, patch_depth
from publisher.compiler.operators.registry import operator
from publisher.compiler.planning.chains import part
from publisher.compiler.step import Step


@operator("chain")
def chain(node: Node, step: Step) -> None:
    """One image after the other; each band widened, convolved and narrowed before the next."""
    first, middle, last = (part(node, name) for name in ("first", "middle", "last"))
    if middle is None:
        raise ConfigurationError("a chain has no middle")
    form = form_of(middle, step)
    weights = np.asarray(step.graph.constant(middle.inputs[1]), np.float32)
    bias = step.graph.constant(middle.inputs[2]) if middle.has(2) else None
    convolution = Middle(form.window, form.images, weights, bias, finish_function(middle, step))
    source = step.value((first or middle).inputs[0])
    given = (step.pointer(source.name), prod(source.shape[1:]))
    emit_depthwise(
        convolution, step, *given, step.pointer(node.outputs[0]), _product(first, step), _product(last, step)
    )


def _product(node: Node | None, step: Step) -> Product | None:
    if node is None:
        return None
    form = form_of(node, step)
    weights = np.asarray(step.graph.constant(node.inputs[1]), np.float32)
    bias = step.graph.constant(node.inputs[2]) if node.has(2) else None
    # Kernels are [filters, channels, …]; a patch has its channels last.
    matrix = np.moveaxis(weights, 1, -1).reshape(form.filters, form.depth)
    right, depth, patches = np.ascontiguousarray(matrix.T), form.depth, ""
    if form.window.is_plain:
        panels = packed(right)
    else:
        panels, depth, patches = packed_patches(right), patch_depth(depth), patches_seen(form, "0")
    words = (step.constant(panels), bias_pointer(step, bias), depth, form.filters, finish_function(node, step))
    return Product(*words, patches)
