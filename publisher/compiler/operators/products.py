"""One product of two matrices as C: packed where the right one is a constant, else packed before it is used."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from publisher.compiler.graph import C_TYPES
from publisher.compiler.operators.packing import far_block_rows, packed, packed_columns
from publisher.compiler.step import Step

_SUMS: Final = {"float64": "double", "int64": "uint64_t", "uint64": "uint64_t"}
"""In what other types are summed; small integers in uint32_t, which wraps as ONNX's do."""


@dataclass(frozen=True, slots=True)
class Product:
    """out[row, column] = the sum over k of a[row, k] · b[k, column]. Strides, of rows and columns, in elements."""

    dtype: str
    rows: int
    columns: int
    depth: int
    a_strides: tuple[int, int]
    b_strides: tuple[int, int]


def emit_product(
    step: Step,
    product: Product,
    a: str,
    b: str,
    out: str,
    constant: NDArray[Any] | None = None,
    bias: str = "0",
    finish: str = "",
    at: str = "0",
) -> None:
    """Write the product of pointers `a` and `b` at offset `at` of `out`. `constant` is what b points to, if known."""
    if product.dtype != "float32":
        _plain(step, product, a, b, out)
        return
    step.include("gemm.h")
    if product.rows * product.columns == 0:
        return
    stride = product.a_strides[0]
    if product.a_strides[1] != 1:
        a, stride = _transposed(step, product, a), product.depth
    right = _packed(step, product, b, constant)
    rows, columns, depth = product.rows, product.columns, product.depth
    block = far_block_rows(rows, depth)
    step.call("gemm_by_blocks", a, stride, right, bias, out, columns, at, 0, rows, columns, depth, block, finish)


def _packed(step: Step, product: Product, b: str, constant: NDArray[Any] | None) -> str:
    rows, columns = product.depth, product.columns
    if constant is not None:
        matrix = constant.reshape(rows, columns) if product.b_strides[1] == 1 else constant.reshape(columns, rows).T
        return step.constant(packed(np.asarray(matrix, np.float32)))
    space = step.scratch(rows * packed_columns(columns))
    step.call("pack_panels", b, *product.b_strides, rows, columns, space)
    return space


def _transposed(step: Step, product: Product, a: str) -> str:
    space = step.scratch(product.rows * product.depth)
    down, across = product.a_strides
    step.line(
        f"for (int i = 0; i < {product.rows}; i++) for (int k = 0; k < {product.depth}; k++)",
        f"{space}[i * {product.depth} + k] = {a}[i * {down} + k * {across}];",
    )
    return space


def _plain(step: Step, product: Product, a: str, b: str, out: str) -> None:
    """Row by row, for any type: the compiler makes vectors of the innermost loop."""
    ctype, sums = C_TYPES[product.dtype], _SUMS.get(product.dtype, "uint32_t")
    columns = product.columns
    step.line(
        f"for (int i = 0; i < {product.rows}; i++) {{",
        f"for (int j = 0; j < {columns}; j++) {out}[i * {columns} + j] = 0;",
        f"for (int k = 0; k < {product.depth}; k++) {{",
        f"const {sums} left = ({sums}){a}[i * {product.a_strides[0]} + k * {product.a_strides[1]}];",
        f"for (int j = 0; j < {columns}; j++) {out}[i * {columns} + j] = ({ctype})(({sums}){out}[i * {columns} + j]"
        f" + left * ({sums}){b}[k * {product.b_strides[0]} + j * {product.b_strides[1]}]);",
        "}}",
    )
