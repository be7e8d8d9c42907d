"""Tensors of which one dimension is open: a batch or a sequence, as long as each request wants.

All open tensors of a request have the same count of elements (`schemas.model.OpenAxis`), so the count follows from the
shape of one of them, or from the number of bytes of all together.
"""

import math
from collections.abc import Sequence

from protocol.errors import Finding, MalformedError
from schemas.model import TensorSpec


def is_open(specs: Sequence[TensorSpec]) -> bool:
    """Whether any of these tensors has an open dimension."""
    return any(spec.open is not None for spec in specs)


def sized(specs: Sequence[TensorSpec], count: int) -> tuple[TensorSpec, ...]:
    """The same tensors with so many elements along what is open: their shapes are those of one request.

    Raises `MalformedError` where a manifest contradicts itself, or does not allow that many.
    """
    return tuple(_sized(spec, count) for spec in specs)


def sized_by_bytes_untrusted(
    specs: Sequence[TensorSpec], length: int, itemsizes: Sequence[int]
) -> tuple[TensorSpec, ...]:
    """The same tensors as they are when all together have `length` bytes. Raises `MalformedError`."""
    if not is_open(specs):
        return tuple(specs)
    fixed = each = 0
    for spec, itemsize in zip(specs, itemsizes, strict=True):
        size = math.prod(spec.shape) * itemsize
        if spec.open is None:
            fixed += size
        else:
            each += size // _maximum(spec)
    if length < fixed or (length - fixed) % each:
        finding = Finding("bytes", f"{fixed} and a multiple of {each}", str(length))
        raise MalformedError("the output does not fit its manifest", finding=finding)
    return sized(specs, (length - fixed) // each)


def count_in(spec: TensorSpec, shape: Sequence[int]) -> int | None:
    """How many elements an array of this shape has along what is open; None where it does not fit.

    Raises `MalformedError` where the manifest contradicts itself.
    """
    if spec.open is None:
        return None
    most = _maximum(spec)
    if len(shape) != len(spec.shape):
        return None
    count, rest = divmod(shape[spec.open.axis], spec.open.each)
    return count if rest == 0 and spec.open.minimum <= count <= most else None


def _sized(spec: TensorSpec, count: int) -> TensorSpec:
    if spec.open is None:
        return spec
    if not spec.open.minimum <= count <= _maximum(spec):
        finding = Finding(f"{spec.name}.count", f"{spec.open.minimum} to {_maximum(spec)}", str(count))
        raise MalformedError("the tensor is not as long as its manifest allows", finding=finding)
    shape = list(spec.shape)
    shape[spec.open.axis] = count * spec.open.each
    return spec.model_copy(update={"shape": tuple(shape), "open": None})


def _maximum(spec: TensorSpec) -> int:
    if spec.open is None or spec.open.axis >= len(spec.shape) or spec.shape[spec.open.axis] % spec.open.each:
        finding = Finding(f"{spec.name}.open", "a dimension of the shape, a multiple of each", "another")
        raise MalformedError("the manifest contradicts itself", finding=finding)
    return spec.shape[spec.open.axis] // spec.open.each
