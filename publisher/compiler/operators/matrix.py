"""Products of matrices: Gemm and MatMul. Of float32 by kernels/gemm.h, of other types by operators/products.py."""

import numpy as np
from numpy.typing import NDArray

from protocol.errors import ConfigurationError
from publisher.compiler.errors import UnsupportedError
from publisher.compiler.graph import C_TYPES, Node
from publisher.compiler.loops import Operand, broadcast, index, nest
from publisher.compiler.operators.epilogue import finish_function, number
from publisher.compiler.operators.packing import bias_pointer
from publisher.compiler.operators.products import Product, emit_product
from publisher.compiler.operators.registry import operator
from publisher.compiler.step import Step, row_major


@operator("Gemm")
def gemm(node: Node, step: Step) -> None:
    """ONNX Gemm: alpha · A' · B' + beta · C."""
    product = _gemm_product(node, step)
    alpha, beta = node.number("alpha", 1.0), node.number("beta", 1.0)
    constant = step.value(node.inputs[1]).data if product.dtype == "float32" else None
    a, out = step.pointer(node.inputs[0]), step.pointer(node.outputs[0])
    b = step.pointer(node.inputs[1]) if constant is None else "0"
    if product.dtype == "float32":
        bias = _bias(node, step, product.columns) if alpha == 1 else None
        finish = finish_function(node, step, _factors(node, alpha, beta, bias is None))
        emit_product(step, product, a, b, out, constant, bias_pointer(step, bias), finish)
        return
    if (alpha, beta) != (1.0, 1.0):
        raise UnsupportedError("Gemm", f"of {product.dtype} has factors", "multiply them into its inputs")
    emit_product(step, product, a, b, out)
    if node.has(2):
        _add(node, step)


def _gemm_product(node: Node, step: Step) -> Product:
    a, b = (step.value(name).shape for name in node.inputs[:2])
    if len(a) != 2 or len(b) != 2:
        raise ConfigurationError("Gemm: an input is no matrix")
    (rows, depth), a_strides = a, (a[1], 1)
    (other, columns), b_strides = b, (b[1], 1)
    if node.integer("transA", 0):
        rows, depth, a_strides = depth, rows, (1, a[1])
    if node.integer("transB", 0):
        other, columns, b_strides = columns, other, (1, b[1])
    return Product(_type(node, step, depth == other), rows, columns, depth, a_strides, b_strides)


def _type(node: Node, step: Step, fit: bool) -> str:
    types = {step.value(name).dtype for name in (*node.inputs[:2], node.outputs[0])}
    if len(types) != 1 or not fit:
        raise ConfigurationError(f"{node.operator}: its matrices do not fit each other")
    return types.pop()


def _bias(node: Node, step: Step, columns: int) -> NDArray[np.float32] | None:
    """beta · C where it is a constant and the same for all rows."""
    data = step.graph.constant(node.inputs[2]) if node.has(2) else None
    if data is None or data.size not in {1, columns} or data.shape[-1:] not in {(), (1,), (columns,)}:
        return None
    return np.broadcast_to(data.reshape(-1), columns) * np.float32(node.number("beta", 1.0))


def _factors(node: Node, alpha: float, beta: float, add: bool) -> tuple[str, ...]:
    """alpha, and what is added, as instructions of the epilogue."""
    lines = [] if alpha == 1 else [f"Mul r0 {number(alpha)}"]
    last = f"r{len(lines)}"
    if add and node.has(2):
        if beta != 1:
            lines.append(f"Mul i2 {number(beta)}")
        lines.append(f"Add {last} " + ("i2" if beta == 1 else f"r{len(lines)}"))
    return tuple(lines)


def _add(node: Node, step: Step) -> None:
    out, added = step.value(node.outputs[0]), step.value(node.inputs[2])
    ctype = C_TYPES[out.dtype]
    operands = {
        "o": Operand(step.pointer(out.name), row_major(out.shape), ctype),
        "a": Operand(step.pointer(added.name), broadcast(added.shape, out.shape), f"const {ctype}"),
    }
    nest(step, out.shape, operands, "{o} += {a};")


@operator("MatMul")
def matmul(node: Node, step: Step) -> None:
    """ONNX MatMul: as numpy's, with vectors and broadcasting."""
    left, right, out = (step.value(name) for name in (*node.inputs[:2], node.outputs[0]))
    if not left.shape or not right.shape:
        raise ConfigurationError("MatMul: an input has no dimensions")
    a = left.shape if len(left.shape) > 1 else (1, *left.shape)
    b = right.shape if len(right.shape) > 1 else (*right.shape, 1)
    batch = np.broadcast_shapes(a[:-2], b[:-2])
    rows, depth, columns = a[-2], a[-1], b[-1]
    fit = depth == b[-2]
    if right.data is not None and all(each == 1 for each in b[:-2]):
        rows, batch = int(np.prod(batch, dtype=np.int64)) * rows, ()
    product = Product(_type(node, step, fit), rows, columns, depth, (depth, 1), (columns, 1))
    finish = finish_function(node, step) if product.dtype == "float32" else ""
    constant = right.data if product.dtype == "float32" and not batch else None
    pointers = (step.pointer(left.name), step.pointer(right.name) if constant is None else "0", step.pointer(out.name))
    if not batch:
        emit_product(step, product, *pointers, constant, "0", finish)
        return
    _batched(step, product, pointers, (batch, a, b), finish)


def _batched(
    step: Step, product: Product, pointers: tuple[str, str, str], shapes: tuple[tuple[int, ...], ...], finish: str
) -> None:
    """A product for each combination of the outer dimensions."""
    batch, a, b = shapes
    walks = (
        tuple(each * a[-2] * a[-1] for each in broadcast(a[:-2], batch)),
        tuple(each * b[-2] * b[-1] for each in broadcast(b[:-2], batch)),
        tuple(each * product.rows * product.columns for each in row_major(batch)),
    )
    for depth, length in enumerate(batch):
        step.line(f"for (int i{depth} = 0; i{depth} < {length}; i{depth}++)")
    step.line("{")
    starts = [index(walk) for walk in walks]
    left, right, out = (f"({pointer} + {start})" for pointer, start in zip(pointers, starts, strict=True))
    at = starts[2] if product.dtype == "float32" else "0"
    emit_product(step, product, left, right, pointers[2] if product.dtype == "float32" else out, None, "0", finish, at)
    step.line("}")
