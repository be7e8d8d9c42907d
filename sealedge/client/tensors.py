"""Tensors and the bytes that a module sees: row-major, little-endian, one after the other in the manifest's order.

numpy is used where the program uses it and is never imported for anything else; lists of numbers work without.
"""

import math
import struct
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from protocol.errors import ConfigurationError, Finding, MalformedError, ProtocolMisuseError
from schemas.model import TensorSpec
from schemas.reason import Reason
from sealedge.client.lengths import count_in, is_open, sized, sized_by_bytes_untrusted

if TYPE_CHECKING:
    import numpy as np

_STRUCT: Final = {
    "float32": "f",
    "float64": "d",
    "int8": "b",
    "uint8": "B",
    "int16": "h",
    "int32": "i",
    "int64": "q",
    "bool": "?",
    "uint16": "H",
    "uint32": "I",
    "uint64": "Q",
}
_NUMPY: Final = {
    "float32": "<f4",
    "float64": "<f8",
    "int8": "|i1",
    "uint8": "|u1",
    "int16": "<i2",
    "int32": "<i4",
    "int64": "<i8",
    "bool": "|b1",
    "uint16": "<u2",
    "uint32": "<u4",
    "uint64": "<u8",
}

Number = float | int | bool


def tensor_bytes(spec: TensorSpec) -> int:
    """How many bytes a tensor has."""
    return math.prod(spec.shape) * struct.calcsize("<" + _STRUCT[spec.dtype])


def encode_inputs(specs: Sequence[TensorSpec], value: Any) -> bytes:
    """The input of a module: `value` is a tensor, or for several inputs a mapping by name or a tuple in order.

    A tensor is a numpy array of exactly the manifest's dtype and shape, a list of numbers (flat or nested), or its
    bytes. Where a dimension is open, all tensors have it as long as the first that has it.
    Raises `ProtocolMisuseError` (input-invalid), saying what was expected and what was found.
    """
    specs = _sized_by_value(specs, value) if is_open(specs) else specs
    if isinstance(value, Mapping):
        _check("names", sorted(spec.name for spec in specs), sorted(map(str, value)))
        parts = [value[spec.name] for spec in specs]
    elif len(specs) > 1 and isinstance(value, tuple):
        _check("count", len(specs), len(value))
        parts = list(value)
    elif len(specs) > 1 and isinstance(value, bytes | bytearray | memoryview):
        _check("bytes", sum(map(tensor_bytes, specs)), len(bytes(value)))
        return bytes(value)
    else:
        _check("count", len(specs), 1)
        parts = [value]
    return b"".join(encode_tensor(spec, part) for spec, part in zip(specs, parts, strict=True))


def encode_tensor(spec: TensorSpec, value: Any) -> bytes:
    """The bytes of one tensor. Raises as `encode_inputs` does."""
    if isinstance(value, bytes | bytearray | memoryview):
        data = bytes(value)
        _check(f"{spec.name}.bytes", tensor_bytes(spec), len(data))
        return data
    if hasattr(value, "dtype") and hasattr(value, "astype"):
        _check(f"{spec.name}.dtype", spec.dtype, str(value.dtype))
        _check(f"{spec.name}.shape", spec.shape, tuple(value.shape))
        encoded: bytes = value.astype(_NUMPY[spec.dtype]).tobytes()
        return encoded
    return _encode_list(spec, value)


def decode_values_untrusted(spec: TensorSpec, data: bytes) -> tuple[Number, ...]:
    """The numbers of a tensor, flat, without numpy. Raises `MalformedError` where the size does not fit."""
    _check_size(spec, data)
    return struct.unpack(f"<{math.prod(spec.shape)}{_STRUCT[spec.dtype]}", data)


def decode_array_untrusted(spec: TensorSpec, data: bytes) -> "np.ndarray[Any, Any]":
    """The tensor as a numpy array of its own. Raises `MalformedError`; `ConfigurationError` without numpy."""
    _check_size(spec, data)
    try:
        import numpy as np  # noqa: PLC0415 - the SDK works without it
    except ImportError:
        raise ConfigurationError("numpy is not installed: install it, or take `values` instead") from None
    return np.frombuffer(data, dtype=_NUMPY[spec.dtype]).reshape(spec.shape).copy()


def sized_untrusted(specs: Sequence[TensorSpec], data: bytes) -> tuple[TensorSpec, ...]:
    """The outputs as long as they are in `data`, where a dimension is open. Raises `MalformedError`."""
    itemsizes = [struct.calcsize("<" + _STRUCT[spec.dtype]) for spec in specs]
    return sized_by_bytes_untrusted(specs, len(data), itemsizes)


def split_outputs_untrusted(specs: Sequence[TensorSpec], data: bytes) -> dict[str, bytes]:
    """The bytes of each output by name; `specs` are sized. Raises `MalformedError` where the sizes do not fit."""
    expected = sum(map(tensor_bytes, specs))
    if len(data) != expected:
        raise MalformedError("the output does not fit its manifest", finding=_bytes_finding(expected, data))
    found, start = {}, 0
    for spec in specs:
        end = start + tensor_bytes(spec)
        found[spec.name] = data[start:end]
        start = end
    return found


def class_names_untrusted(spec: TensorSpec, data: bytes) -> tuple[str, ...]:
    """The class names in an output, one for each row; empty where it has no labels that fit.

    A row as long as the labels holds scores: the highest wins. Otherwise each value stands for itself: an integer
    is the index of its label, and with two labels a float is the probability of the second.
    Raises `MalformedError` where the size does not fit.
    """
    values = decode_values_untrusted(spec, data)
    if not spec.labels or any(isinstance(value, float) and not math.isfinite(value) for value in values):
        return ()
    count = len(spec.labels)
    if spec.shape and spec.shape[-1] == count:
        rows = [values[start : start + count] for start in range(0, len(values), count)]
        indices = [row.index(max(row)) for row in rows]
    elif spec.dtype.startswith("float"):
        indices = [int(value >= 0.5) for value in values] if count == 2 else []
    else:
        indices = [int(value) for value in values]
    return tuple(spec.labels[index] for index in indices) if all(0 <= i < count for i in indices) else ()


def _sized_by_value(specs: Sequence[TensorSpec], value: Any) -> Sequence[TensorSpec]:
    """The inputs as long as they are in `value`; unsized where that says nothing, so that the checks that follow do."""
    if isinstance(value, bytes | bytearray | memoryview):
        with suppress(MalformedError):
            return sized_untrusted(specs, bytes(value))
        return specs
    parts: Sequence[Any] = [value] if len(specs) == 1 else value if isinstance(value, tuple) else ()
    if isinstance(value, Mapping):
        parts = [value.get(spec.name) for spec in specs]
    for spec, part in zip(specs, parts, strict=False):
        if (count := count_in(spec, _shape(part))) is not None:
            return sized(specs, count)
    return specs


def _shape(part: Any) -> tuple[int, ...]:
    """Of an array or of nested lists; () for bytes, which have none."""
    if isinstance(part, bytes | bytearray | memoryview):
        return ()
    return tuple(part.shape) if hasattr(part, "shape") else _flatten(part)[0] or ()


def _encode_list(spec: TensorSpec, value: Any) -> bytes:
    shape, numbers = _flatten(value)
    fits = shape == spec.shape or shape == (math.prod(spec.shape),)
    if not fits:
        _check(f"{spec.name}.shape", spec.shape, shape)
    try:
        return struct.pack(f"<{len(numbers)}{_STRUCT[spec.dtype]}", *numbers)
    except (struct.error, OverflowError):
        _check(f"{spec.name}.values", f"numbers that are {spec.dtype}", "another")
        raise


def _flatten(value: Any) -> tuple[tuple[int, ...] | None, list[Any]]:
    """The shape of nested sequences and the numbers in them; a shape of None where they are ragged."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        return (), [value]
    parts = [_flatten(each) for each in value]
    shapes = {shape for shape, _ in parts}
    inner = shapes.pop() if len(shapes) == 1 else None
    shape = None if inner is None and value else (len(value), *(inner or ()))
    return shape, [number for _, numbers in parts for number in numbers]


def _check_size(spec: TensorSpec, data: bytes) -> None:
    if len(data) != tensor_bytes(spec):
        raise MalformedError("the output does not fit its manifest", finding=_bytes_finding(tensor_bytes(spec), data))


def _bytes_finding(expected: int, data: bytes) -> Finding:
    return Finding("output.bytes", str(expected), str(len(data)))


def _check(claim: str, expected: object, found: object) -> None:
    if expected != found:
        raise ProtocolMisuseError(
            "the input does not fit the model's manifest",
            reason=Reason.INPUT_INVALID,
            finding=Finding(f"input.{claim}", str(expected), str(found)),
        )
