"""Reals to quanta and back: QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear."""

from math import prod

import numpy as np

from protocol.errors import ConfigurationError
from publisher.compiler.errors import UnsupportedError
from publisher.compiler.graph import C_TYPES, Node, Value
from publisher.compiler.loops import Operand, nest
from publisher.compiler.operators.parameters import axis_of
from publisher.compiler.operators.quantised_form import RANGES, quanta
from publisher.compiler.operators.registry import operator
from publisher.compiler.step import Step, literal, row_major


@operator("QuantizeLinear")
def quantize_linear(node: Node, step: Step) -> None:
    """ONNX QuantizeLinear: per tensor, per axis or blocked; float32 or int32 to integers of 8 or 16 bits."""
    x, out = step.value(node.inputs[0]), step.value(node.outputs[0])
    step.include("quantised_linear.h")
    if out.dtype not in RANGES:
        raise UnsupportedError(node.operator, f"makes {out.dtype}", "quantise to int8 or uint8")
    if x.dtype not in {"float32", "int32"}:
        raise UnsupportedError(node.operator, f"quantises {x.dtype}", "use float32")
    scale = step.value(node.inputs[1])
    constant = all(step.value(each).data is not None for each in node.inputs[1:] if each)
    if scale.size == 1 and constant and out.dtype in {"int8", "uint8"} and x.dtype == "float32":
        to = quanta(node, step, 1, out.dtype)
        target = f"(uint8_t *){step.pointer(out.name)}"
        step.call("quantise", target, step.pointer(x.name), out.size, float(to.scale), to.c(unbounded=True))
        return
    low, high = RANGES[out.dtype]
    made = f"quantum_of((float){{x}} / {{s}}, {_zero(node)}, {low}, {high})"
    _element_by_element(node, step, f"{{o}} = ({C_TYPES[out.dtype]}){made};")


@operator("DequantizeLinear")
def dequantize_linear(node: Node, step: Step) -> None:
    """ONNX DequantizeLinear: per tensor, per axis or blocked; integers of 8, 16 or 32 bits to float32."""
    x, out = step.value(node.inputs[0]), step.value(node.outputs[0])
    if x.dtype not in {*RANGES, "int32"} or out.dtype != "float32":
        raise UnsupportedError(node.operator, f"makes {out.dtype} of {x.dtype}", "quantise to int8 or uint8")
    scale, count = step.value(node.inputs[1]), out.size
    zero = step.value(node.inputs[2]).data if node.has(2) else np.zeros(1)
    if scale.size == 1 and scale.data is not None and zero is not None:
        worth = literal(float(scale.data.reshape(-1)[0]))
        number = f"(float)({step.pointer(x.name)}[i] - {int(zero.reshape(-1)[0])})"
        step.line(f"for (int i = 0; i < {count}; i++) {step.pointer(out.name)}[i] = {number} * {worth};")
        return
    _element_by_element(node, step, f"{{o}} = (float)((int32_t){{x}} - {_zero(node)}) * {{s}};")


@operator("DynamicQuantizeLinear")
def dynamic_quantize_linear(node: Node, step: Step) -> None:
    """ONNX DynamicQuantizeLinear: uint8, with scale and zero point as further outputs."""
    step.include("quantised_linear.h")
    x = step.value(node.inputs[0])
    targets = [step.pointer(name) for name in node.outputs]
    step.call("quantise_by_range", targets[0], step.pointer(x.name), x.size, targets[1], targets[2])


def _zero(node: Node) -> str:
    return "(int32_t){z}" if node.has(2) else "0"


def _element_by_element(node: Node, step: Step, statement: str) -> None:
    """Loops in which each element meets the scale and zero point of its tensor, channel or block."""
    x, out, scale = (step.value(each) for each in (node.inputs[0], node.outputs[0], node.inputs[1]))
    shape, strides = _walk(node, x, scale)
    operands = {
        "o": Operand(step.pointer(out.name), row_major(shape), C_TYPES[out.dtype]),
        "x": Operand(step.pointer(x.name), row_major(shape), f"const {C_TYPES[x.dtype]}"),
        "s": Operand(step.pointer(scale.name), strides, f"const {C_TYPES[scale.dtype]}"),
    }
    if node.has(2):
        zero = step.value(node.inputs[2])
        if zero.shape != scale.shape and zero.size != scale.size:
            raise ConfigurationError(f"{node.operator}: scale and zero point have different shapes")
        operands["z"] = Operand(step.pointer(zero.name), strides, f"const {C_TYPES[zero.dtype]}")
    nest(step, shape, operands, statement)


def _walk(node: Node, x: Value, scale: Value) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """A shape over which the tensor is walked, blocks having a dimension of their own, and the scale's strides."""
    if scale.size == 1:
        return x.shape, (0,) * len(x.shape)
    axis = axis_of(node, node.integer("axis", 1), len(x.shape))
    before, after, block = x.shape[:axis], x.shape[axis + 1 :], node.integer("block_size", 0)
    if not block:
        if scale.shape != (x.shape[axis],):
            raise ConfigurationError(f"{node.operator}: the scale does not fit the axis")
        return x.shape, (*(0 for _ in before), 1, *(0 for _ in after))
    blocks = x.shape[axis] // block if block > 0 else 0
    if x.shape[axis] != blocks * block:
        raise UnsupportedError(node.operator, "has a block that is not whole", "let blocks divide the axis")
    if scale.shape != (*before, blocks, *after):
        raise ConfigurationError(f"{node.operator}: the scale does not fit the blocks")
    inner = row_major((blocks, prod(after)))[0]
    outer = tuple(each * inner * blocks for each in row_major(before))
    return (*before, blocks, block, *after), (*outer, inner, 0, *row_major(after))
