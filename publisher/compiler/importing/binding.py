"""Inputs that are always the same become constants, e.g. the sample rate that a model asks for with every call."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from publisher.compiler.importing.refusing import quoted, refused
from publisher.compiler.importing.shapes import free_inputs, is_fixed


def bind_inputs(graph: onnx.GraphProto, constants: Mapping[str, Any]) -> None:
    """Make inputs constant, in place. Raises `ConfigurationError` for what does not fit the model's own inputs."""
    inputs = free_inputs(graph)
    for name, numbers in constants.items():
        if name not in inputs:
            raise refused("the model has no such input", "input", ", ".join(map(quoted, inputs)), quoted(name))
        graph.initializer.append(numpy_helper.from_array(_array(inputs[name], numbers), name))
    kept = [each for each in graph.input if each.name not in constants]
    del graph.input[:]
    graph.input.extend(kept)


def _array(info: onnx.ValueInfoProto, numbers: Any) -> np.ndarray[Any, Any]:
    tensor = info.type.tensor_type
    dtype = helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    try:
        found = np.asarray(numbers)
        array = found.astype(dtype)
    except (TypeError, ValueError, OverflowError):
        raise refused(f"this is no value of the input {quoted(info.name)}", "numbers", dtype, "others") from None
    if found.dtype.kind not in "biuf" or (dtype.kind in "biu" and not np.array_equal(array, found)):
        raise refused(f"this is no value of the input {quoted(info.name)}", "numbers", dtype, found.dtype)
    said = [each.dim_value if is_fixed(each) else None for each in tensor.shape.dim]
    fits = len(said) == array.ndim and all(
        each in {None, length} for each, length in zip(said, array.shape, strict=True)
    )
    if tensor.HasField("shape") and not fits:
        raise refused(f"this is no value of the input {quoted(info.name)}", "shape", said, list(array.shape))
    return array
