"""Einsum: tensors are brought into the order of a product of matrices, two at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Final

import numpy as np

from publisher.compiler.errors import UnsupportedError
from publisher.compiler.graph import Node, Value
from publisher.compiler.operators.epilogue import finish_function
from publisher.compiler.operators.moving import Walk, copy
from publisher.compiler.operators.parameters import check
from publisher.compiler.operators.pointwise import FLOATS, INTEGERS, check_type
from publisher.compiler.operators.products import Product, emit_product
from publisher.compiler.operators.registry import operator
from publisher.compiler.step import Step, row_major

_DOTS: Final = "0123456789"
"""Labels of the dimensions that an ellipsis stands for, the last being the last."""


@dataclass(frozen=True, slots=True)
class _Term:
    """A tensor where `pointer` says: a label for each dimension, one of them twice being a diagonal."""

    labels: str
    shape: tuple[int, ...]
    pointer: str

    def stride(self, label: str) -> int:
        """How far apart the elements are along a label; 0 where it does not have it."""
        pairs = zip(self.labels, self.shape, row_major(self.shape), strict=True)
        return sum(stride for own, length, stride in pairs if own == label and length != 1)


@dataclass(frozen=True, slots=True)
class _Whole:
    """What all products share: the output, how long each label is, and, of float32, how gemm.h ends."""

    like: Value
    sizes: dict[str, int]
    finish: str

    def shape(self, labels: str) -> tuple[int, ...]:
        """How long these labels are."""
        return tuple(self.sizes[label] for label in labels)


@operator("Einsum")
def einsum(node: Node, step: Step) -> None:
    """ONNX Einsum: any number of inputs, ellipses, diagonals, implicit outputs."""
    check_type(node, step, (*FLOATS, *INTEGERS))
    values, out = [step.value(name) for name in node.inputs], step.value(node.outputs[0])
    inputs, result = _parsed(node, [len(each.shape) for each in values], len(out.shape))
    terms = [_Term(own, each.shape, step.pointer(each.name)) for own, each in zip(inputs, values, strict=True)]
    sizes = _sizes(node, terms)
    check(set(result) <= set(sizes) and len(set(result)) == len(result), node, "an output label is wrong")
    check(out.shape == tuple(sizes[label] for label in result), node, "the output is of another shape")
    if out.size == 0:
        return
    whole = _Whole(out, sizes, finish_function(Node("Einsum", (), node.outputs), step) if _is_float(out) else "")
    term = terms[0]
    for number, other in enumerate(terms[1:], start=2):
        later = "".join(each.labels for each in terms[number:]) + result
        kept = "".join(label for label in sizes if label in term.labels + other.labels and label in later)
        term = _multiplied(step, whole, term, other, kept)
    if len(terms) == 1:
        one = _Term("", (), step.constant(np.ones((), out.dtype)))
        term = _multiplied(step, whole, term, one, result)
    _copied(step, whole, term, result, step.pointer(out.name))


def _is_float(value: Value) -> bool:
    return value.dtype == "float32"


def _multiplied(step: Step, whole: _Whole, left: _Term, right: _Term, kept: str) -> _Term:
    """The product of two tensors, summed over all labels but `kept`."""
    both = set(left.labels) & set(right.labels)
    batch = "".join(label for label in kept if label in both)
    rows = "".join(label for label in kept if label in left.labels and label not in both)
    columns = "".join(label for label in kept if label in right.labels and label not in both)
    summed = "".join(label for label in whole.sizes if label in left.labels + right.labels and label not in kept)
    count, m, n, k = (prod(whole.shape(labels)) for labels in (batch, rows, columns, summed))
    a = _arranged(step, whole, left, batch + rows + summed)
    b = _arranged(step, whole, right, batch + summed + columns)
    to = step.scratch(count * m * n, whole.like.dtype)
    product = Product(whole.like.dtype, m, n, k, (k, 1), (n, 1))
    step.line(f"for (int each = 0; each < {count}; each++) {{")
    out, at = (to, f"each * {m * n}") if whole.finish else (f"({to} + each * {m * n})", "0")
    left_at, right_at = f"({a} + each * {m * k})", f"({b} + each * {k * n})"
    emit_product(step, product, left_at, right_at, out, finish=whole.finish, at=at)
    step.line("}")
    labels = batch + rows + columns
    return _Term(labels, whole.shape(labels), to)


def _arranged(step: Step, whole: _Whole, term: _Term, labels: str) -> str:
    """A pointer to the tensor with its dimensions in the order of the labels; those it has not are repeated."""
    if term.labels == labels and term.shape == whole.shape(labels):
        return term.pointer
    to = step.scratch(prod(whole.shape(labels)), whole.like.dtype)
    _copied(step, whole, term, labels, to)
    return to


def _copied(step: Step, whole: _Whole, term: _Term, labels: str, to: str) -> None:
    shape = whole.shape(labels)
    reads = tuple(term.stride(each) for each in labels)
    copy(step, shape, Walk(whole.like, row_major(shape), 0, to), Walk(whole.like, reads, 0, term.pointer))


def _parsed(node: Node, ranks: Sequence[int], out_rank: int) -> tuple[list[str], str]:
    """A label for each dimension of each input, and of the output."""
    equation = node.text("equation", "").replace(" ", "")
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    letters = equation.replace("...", "").replace(",", "").replace("->", "")
    check(not letters or (letters.isascii() and letters.isalpha()), node, "the equation is none")
    check(len(terms) == len(ranks), node, "the equation has another number of inputs")
    dots = max(_behind(term, rank) for term, rank in zip(terms, ranks, strict=True))
    if not arrow:
        once = sorted(each for each in set(letters) if letters.count(each) == 1)
        right = ("..." if "..." in left else "") + "".join(once)
    labels = [_labelled(node, term, rank) for term, rank in zip(terms, ranks, strict=True)]
    return labels, _labelled(node, right, out_rank if "..." in right else len(right), dots)


def _behind(term: str, rank: int) -> int:
    """How many dimensions the ellipsis of a term stands for."""
    return max(0, rank - len(term) + 3) if "..." in term else 0


def _labelled(node: Node, term: str, rank: int, dots: int | None = None) -> str:
    count = _behind(term, rank) if dots is None else dots
    if count > len(_DOTS):
        raise UnsupportedError("Einsum", "has an ellipsis of many dimensions", "name them")
    labels = term.replace("...", _DOTS[len(_DOTS) - count :])
    check(len(labels) == rank and "." not in labels, node, "a term has another number of dimensions")
    return labels


def _sizes(node: Node, terms: Sequence[_Term]) -> dict[str, int]:
    """How long each label is. A dimension of length 1 is repeated."""
    sizes: dict[str, int] = {}
    for term in terms:
        for label, length in zip(term.labels, term.shape, strict=True):
            known = sizes.get(label, 1)
            check(length in {1, known} or known == 1, node, "a label has two lengths")
            sizes[label] = length if known == 1 else known
    return sizes
