"""Which lengths a model leaves open, and what they are fixed to."""

from collections.abc import Mapping, Sequence
from typing import Final

import onnx

from publisher.compiler.importing.bounds import RANK
from publisher.compiler.importing.refusing import quoted, refused

BATCHES: Final = frozenset({"n", "b", "bs", "batch", "batchsize", "none", "numsamples", "samples"})
LENGTHS: Final = ("seq", "len", "time", "frame", "height", "width", "step", "token")
"""Words in the name of a dimension that speak against its being a batch."""
LONGEST: Final = 2**31 - 1

Dimension = onnx.TensorShapeProto.Dimension


def fix_shapes(model: onnx.ModelProto, dims: Mapping[str, int], shapes: Mapping[str, Sequence[int]]) -> list[str]:
    """Give every input a fixed shape, in place, and forget all other shapes. The words are what was decided here.

    `dims` are lengths by the model's names for them, `shapes` those of whole inputs. A batch that neither fixes is 1.
    Raises `ConfigurationError` where they do not fit the model, and for lengths that nobody fixes.
    """
    inputs = free_inputs(model.graph)
    _name_open(inputs)
    _check_given(inputs, dims, shapes)
    known = dict(dims)
    for name, shape in shapes.items():
        _apply(inputs[name], shape, known)
    notes: list[str] = []
    for info in inputs.values():
        for axis, dimension in enumerate(_dimensions(info)):
            _fix(dimension, info.name, axis, known, notes)
    del model.graph.value_info[:]
    for info in model.graph.output:
        if info.name in inputs:
            # Inference takes what it finds here, nothing, for the shape of the input.
            info.type.CopyFrom(inputs[info.name].type)
    return list(dict.fromkeys(notes))


def _name_open(inputs: Mapping[str, onnx.ValueInfoProto]) -> None:
    """Dimensions that are open and have no name, or one like "?" that exporters give to all, become "input:axis"."""
    for info in inputs.values():
        for axis, dimension in enumerate(info.type.tensor_type.shape.dim):
            if not is_fixed(dimension) and not any(each.isalnum() for each in dimension.dim_param):
                dimension.dim_param = f"{info.name}:{axis}"


def free_inputs(graph: onnx.GraphProto) -> dict[str, onnx.ValueInfoProto]:
    """The inputs that callers give: those that are no constants."""
    constants = {each.name for each in graph.initializer}
    return {each.name: each for each in graph.input if each.name not in constants}


def open_dimensions(graph: onnx.GraphProto) -> dict[str, tuple[str, int]]:
    """The names of lengths that are left open, each with an input and axis where it stands."""
    found: dict[str, tuple[str, int]] = {}
    for info in free_inputs(graph).values():
        for axis, each in enumerate(info.type.tensor_type.shape.dim):
            if each.dim_param:
                found.setdefault(each.dim_param, (info.name, axis))
    return found


def _check_given(
    inputs: Mapping[str, onnx.ValueInfoProto], dims: Mapping[str, int], shapes: Mapping[str, Sequence[int]]
) -> None:
    names = {each.dim_param for info in inputs.values() for each in info.type.tensor_type.shape.dim} - {""}
    for name in dims:
        if name not in names:
            expected = ", ".join(sorted(map(quoted, names))) or "none: all are fixed, or have no name"
            raise refused("the model has no such dimension", "dimension", expected, quoted(name))
    for name in shapes:
        if name not in inputs:
            raise refused("the model has no such input", "input", ", ".join(map(quoted, inputs)), quoted(name))
    for length in (*dims.values(), *(each for shape in shapes.values() for each in shape)):
        if not 0 <= length <= LONGEST:
            raise refused("a dimension is impossible", "length", f"0 to {LONGEST}", length)


def _apply(info: onnx.ValueInfoProto, shape: Sequence[int], known: dict[str, int]) -> None:
    """Write a shape that was asked for into an input, and remember what it says of dimensions with names."""
    tensor = info.type.tensor_type
    if not tensor.HasField("shape"):
        tensor.shape.dim.extend(Dimension() for _ in shape)
    if len(tensor.shape.dim) != len(shape):
        claim = f"dimensions of the input {quoted(info.name)}"
        raise refused("the shape does not fit the model", claim, len(tensor.shape.dim), len(shape))
    for dimension, length in zip(tensor.shape.dim, shape, strict=True):
        if is_fixed(dimension) and dimension.dim_value != length:
            claim = f"length in the input {quoted(info.name)}"
            raise refused("the model fixes this dimension", claim, dimension.dim_value, length)
        if dimension.dim_param and known.setdefault(dimension.dim_param, length) != length:
            claim = f"dimension {quoted(dimension.dim_param)}"
            raise refused("one dimension is given two lengths", claim, known[dimension.dim_param], length)
        dimension.dim_value = length


def _dimensions(info: onnx.ValueInfoProto) -> Sequence[Dimension]:
    tensor = info.type.tensor_type
    if not tensor.HasField("shape"):
        message = f"the model does not say how many dimensions the input {quoted(info.name)} has"
        raise refused(f"{message}: give its shape, with --shape", "shape", "fixed", "unknown")
    if len(tensor.shape.dim) > RANK:
        raise refused(
            f"the input {quoted(info.name)} has too many dimensions", "dimensions", RANK, len(tensor.shape.dim)
        )
    found: Sequence[Dimension] = tensor.shape.dim
    return found


def _fix(dimension: Dimension, owner: str, axis: int, known: dict[str, int], notes: list[str]) -> None:
    if is_fixed(dimension):
        return
    name = dimension.dim_param
    if name not in known:
        place = f"the dimension {quoted(name)} of the input {quoted(owner)}"
        if not _is_batch("" if name == f"{owner}:{axis}" else name, axis):
            raise refused(
                f"the model leaves {place} open: give its length, with --dim or --shape", "length", "fixed", "open"
            )
        notes.append(f"{place} is a batch: fixed to 1")
    dimension.dim_value = known.get(name, 1)


def is_fixed(dimension: Dimension) -> bool:
    """Whether a length is a number; some exporters write -1 for those that are open."""
    return dimension.HasField("dim_value") and dimension.dim_value >= 0


def _is_batch(name: str, axis: int) -> bool:
    word = "".join(each for each in name.lower() if each.isalpha())
    return word in BATCHES or "batch" in word or (axis == 0 and not any(each in word for each in LENGTHS))


def declared_outputs(graph: onnx.GraphProto) -> dict[str, tuple[int | None, ...]]:
    """The shapes that a model says its outputs have, and forget them: they are inferred. None is an open length.

    Empty where inputs are open: what exporters write of outputs then is often of the size that they traced.
    """
    free = free_inputs(graph).values()
    is_open = any(not is_fixed(each) for info in free for each in info.type.tensor_type.shape.dim)
    declared = {}
    for info in graph.output:
        tensor = info.type.tensor_type
        if tensor.HasField("shape") and not is_open:
            declared[info.name] = tuple(each.dim_value if is_fixed(each) else None for each in tensor.shape.dim)
        tensor.ClearField("shape")
    return declared


def check_outputs(graph: onnx.GraphProto, declared: Mapping[str, tuple[int | None, ...]]) -> None:
    """Outputs have the shapes that were declared. Raises `ConfigurationError`."""
    for info in graph.output:
        said = declared.get(info.name)
        tensor = info.type.tensor_type
        if said is None or not tensor.HasField("shape"):
            continue
        found = [each.dim_value if is_fixed(each) else None for each in tensor.shape.dim]
        pairs = zip(said, found, strict=False)
        if len(said) != len(found) or any(None not in pair and pair[0] != pair[1] for pair in pairs):
            claim = f"shape of the output {quoted(info.name)}"
            raise refused("the model says another shape than it computes", claim, list(said), found)
