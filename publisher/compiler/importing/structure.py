"""The graph as a graph: each value defined once, before it is used, and of a kind that modules can hold."""

from collections.abc import Iterable, Iterator
from math import prod

import onnx
from onnx import TensorProto

from publisher.compiler.errors import UnsupportedError
from publisher.compiler.graph import C_TYPES
from publisher.compiler.importing.bounds import CONSTANT_BYTES, INPUTS, RANK, TENSOR_BYTES
from publisher.compiler.importing.parsing import graphs
from publisher.compiler.importing.refusing import quoted, refused


def check_structure(model: onnx.ModelProto) -> None:
    """Names once, constants of the length they say, inputs that are tensors. Raises `ConfigurationError`."""
    graph = model.graph
    if len(graph.input) > INPUTS + len(graph.initializer) or len(graph.output) > INPUTS:
        raise refused("the model has too many inputs or outputs", "inputs, and outputs", f"at most {INPUTS}", "more")
    for info in (*graph.input, *graph.output):
        if info.type.WhichOneof("value") != "tensor_type":
            kind = info.type.WhichOneof("value") or "nothing"
            raise refused(f"{quoted(info.name)} is no tensor", "type", "tensor", kind.removesuffix("_type"))
    total = 0
    for each in graphs(graph):
        _check_defined_once(each)
        for tensor in _constants(each):
            total += _checked_bytes(tensor)
    if total > CONSTANT_BYTES:
        raise refused("the model's constants are too large", "bytes", f"at most {CONSTANT_BYTES}", total)


def _check_defined_once(graph: onnx.GraphProto) -> None:
    if graph.sparse_initializer:
        raise refused("the model has sparse constants", "constants", "dense", "sparse")
    _check_once("constant", (each.name for each in graph.initializer))
    _check_once("input", (each.name for each in graph.input))
    given = {each.name for each in (*graph.initializer, *graph.input)}
    made = (name for node in graph.node for name in node.output if name)
    _check_once("value", (*given, *made))


def _check_once(what: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if not name or name in seen:
            raise refused(
                f"two values of the model have one name: {quoted(name)}", what, "names of their own", "one name"
            )
        seen.add(name)


def _constants(graph: onnx.GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                yield attribute.t
            yield from attribute.tensors
            if attribute.ref_attr_name or attribute.HasField("sparse_tensor") or attribute.HasField("tp"):
                raise UnsupportedError(
                    node.op_type, f"has an attribute {quoted(attribute.name)} of no known kind", "leave it out"
                )


def _checked_bytes(tensor: TensorProto) -> int:
    """How many bytes a constant has, when it has as many as it says."""
    name = quoted(tensor.name)
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        raise refused(
            f"{name} is said to lie in a file inside a branch", "external data", "constants of the main graph", "others"
        )
    if any(each < 0 for each in tensor.dims) or len(tensor.dims) > RANK:
        raise refused(
            f"the shape of {name} is impossible",
            "dimensions",
            f"at most {RANK}, none negative",
            list(tensor.dims[:RANK]),
        )
    count = prod(tensor.dims)
    if tensor.data_type == TensorProto.STRING:
        return _counted(name, count, len(tensor.string_data))
    size = itemsize(tensor.data_type, name)
    if count * size > TENSOR_BYTES:
        raise refused(f"{name} is too large", "bytes", f"at most {TENSOR_BYTES}", count * size)
    if tensor.HasField("raw_data"):
        return _counted(name, count * size, len(tensor.raw_data))
    return _counted(name, count, _typed(tensor)) * size


def _counted(name: str, expected: int, found: int) -> int:
    if expected != found:
        raise refused(f"the constant {name} is longer or shorter than its shape", "length", expected, found)
    return expected


def _typed(tensor: TensorProto) -> int:
    fields = (tensor.float_data, tensor.int32_data, tensor.int64_data, tensor.double_data, tensor.uint64_data)
    return sum(len(each) for each in fields)


def itemsize(data_type: int, name: str) -> int:
    """Bytes of an element. Raises `ConfigurationError` for types that no tensor here has."""
    if data_type == TensorProto.FLOAT16:
        return 2
    try:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(data_type)
    except KeyError:
        dtype = None
    if dtype is None or dtype.name not in C_TYPES:
        kinds = {number: word for word, number in TensorProto.DataType.items()}
        found = kinds.get(data_type, data_type)
        raise refused(
            f"the type of {name} is not supported: export the model in float32", "type", "float32, int8, …", found
        )
    return int(dtype.itemsize)
