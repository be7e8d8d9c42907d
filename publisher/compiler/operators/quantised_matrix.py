"""Products of integer matrices: QLinearMatMul, MatMulInteger, and the planner's own that end in reals."""

from math import prod

import numpy as np

from protocol.errors import ConfigurationError
from publisher.compiler.errors import UnsupportedError
from publisher.compiler.graph import Node, Value
from publisher.compiler.loops import broadcast
from publisher.compiler.operators.quantised_form import (
    check_bytes,
    known,
    per_column,
    quanta,
    scale_of,
    scales_of,
    worth,
    zero_point,
)
from publisher.compiler.operators.quantised_right import Finish, Right, product, workspace
from publisher.compiler.operators.registry import operator
from publisher.compiler.step import Step


@operator("QLinearMatMul", "quantised.gemm")
def qlinear_matmul(node: Node, step: Step) -> None:
    """ONNX QLinearMatMul, as onnxruntime rounds it.

    The planner's form has a factor `alpha`, and perhaps a bias of the sums as input 8.
    Left operands are quantised as a whole, right ones as a whole or by column.
    """
    out = step.value(node.outputs[0])
    check_bytes(node, step, node.inputs[0], node.inputs[3], out.name)
    columns = _columns(step.value(node.inputs[3]))
    scales = per_column(node, scales_of(node, step, 4), columns, "scale")
    to = quanta(node, step, 6, out.dtype)
    scale = worth(to.scale, node.number("alpha", 1.0), scale_of(node, step, 1), scales)
    start = per_column(node, known(node, step, 8, "bias"), columns, "bias") if node.has(8) else None
    _multiply(node, step, (0, 3), (2, 5), Finish(start=start, scale=scale, to=to))


@operator("MatMulInteger")
def matmul_integer(node: Node, step: Step) -> None:
    """ONNX MatMulInteger: the sums."""
    check_bytes(node, step, node.inputs[0], node.inputs[1])
    _multiply(node, step, (0, 1), (2, 3), Finish())


@operator("quantised.matmul")
def matmul_reals(node: Node, step: Step) -> None:
    """The planner's: a, its zero point, b, its zero point, a's scale, b's scale, bias: reals out of a product of bytes.

    The bias is of reals. a's scale and zero point may be computed, as after DynamicQuantizeLinear.
    """
    check_bytes(node, step, node.inputs[0], node.inputs[2])
    columns = _columns(step.value(node.inputs[2]))
    scale = per_column(node, scales_of(node, step, 5), columns, "scale").astype(np.float32)
    bias = per_column(node, known(node, step, 6, "bias"), columns, "bias") if node.has(6) else None
    factor = f"*{step.pointer(node.inputs[4])}"
    _multiply(node, step, (0, 2), (1, 3), Finish(scale=scale, bias=bias, factor=factor))


def _columns(b: Value) -> int:
    return b.shape[-1] if len(b.shape) > 1 else 1


def _multiply(node: Node, step: Step, at: tuple[int, int], zeros: tuple[int, int], finish: Finish) -> None:
    """The product of inputs `at`, with zero points at `zeros`. Batches are broadcast."""
    a, b, out = step.value(node.inputs[at[0]]), step.value(node.inputs[at[1]]), step.value(node.outputs[0])
    left, right = _matrices(node, a, b)
    if out.size == 0:
        return
    step.include("quantised_product.h")
    operand = _right(node, step, at[1], zeros[1], right)
    packed, wide = workspace(step, operand, left[-2])
    sides = {"left_signed": int(a.dtype == "int8"), "left_stride": left[-1], "stride": right[-1]}
    given = product(operand, finish, rows=left[-2], **sides)
    by = finish.columns(step)
    left_zero = zero_expression(node, step, zeros[0])
    right_zero = operand.zero("0" if operand.weights is not None else zero_expression(node, step, zeros[1]))
    source, target = f"(const uint8_t *){step.pointer(a.name)}", step.pointer(out.name)
    places = _batches(step, left, right)
    operands = (f"{source} + {places[0]}", left_zero, f"{operand.c(step)} + {places[1]}", right_zero)
    step.call("quantised_product", *operands, f"{target} + {places[2]}", given, by, packed, wide)


def _matrices(node: Node, a: Value, b: Value) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The operands' shapes as batches of matrices; one right matrix takes all left ones at once."""
    left = (1, *a.shape) if len(a.shape) == 1 else a.shape
    right = (*b.shape, 1) if len(b.shape) == 1 else b.shape
    if len(left) < 2 or len(right) < 2 or left[-1] != right[-2]:
        raise ConfigurationError(f"{node.operator}: {a.shape} and {b.shape} cannot be multiplied")
    return ((prod(left[:-1]), left[-1]) if len(right) == 2 else left), right


def _right(node: Node, step: Step, at: int, zero: int, shape: tuple[int, ...]) -> Right:
    """A constant matrix is packed; what is computed, and a batch of matrices, comes as bytes."""
    b = step.value(node.inputs[at])
    inner, columns = shape[-2:]
    if b.data is None or len(shape) > 2:
        if node.has(zero) and step.value(node.inputs[zero]).size != 1:
            raise UnsupportedError(
                node.operator, "has a zero point for each column of a computed matrix", "quantise it per tensor"
            )
        return Right(inner, columns, pointer=f"(const uint8_t *){step.pointer(b.name)}", is_signed=b.dtype == "int8")
    weights = b.data.reshape(inner, columns).astype(np.int32)
    if node.has(zero):
        weights = weights - per_column(node, known(node, step, zero, "zero point"), columns, "zero point").astype("i4")
    return Right(inner, columns, weights[np.newaxis])


def zero_expression(node: Node, step: Step, number: int) -> str:
    """A zero point as a C expression; that of DynamicQuantizeLinear is computed."""
    if node.has(number) and step.value(node.inputs[number]).data is None:
        if step.value(node.inputs[number]).size != 1:
            raise UnsupportedError(node.operator, "has a zero point for each row", "quantise it per tensor")
        return f"*{step.pointer(node.inputs[number])}"
    return str(zero_point(node, step, number))


def _batches(step: Step, left: tuple[int, ...], right: tuple[int, ...]) -> tuple[str, str, str]:
    """Write the loops over batches; where each one's operands and result start, in elements."""
    batch = np.broadcast_shapes(left[:-2], right[:-2])
    full = (*batch, left[-2], right[-1])
    places = []
    for shape in ((*left[:-2], left[-2], left[-1]), (*right[:-2], right[-2], right[-1]), full):
        strides = broadcast((*shape[:-2], 1), (*batch, 1))[:-1]
        matrix = shape[-2] * shape[-1]
        places.append(" + ".join(f"i{depth} * {stride * matrix}ll" for depth, stride in enumerate(strides)) or "0")
    for depth, length in enumerate(batch):
        step.line(f"for (int i{depth} = 0; i{depth} < {length}; i{depth}++)")
    return places[0], places[1], places[2]
