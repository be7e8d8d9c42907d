"""Importing a model for every length of one open dimension, up to a maximum.

Where the model is separable along it (separation.py), one graph computes one element, and the module passes over the
input: the module is as large as that of a single length, and takes time in proportion. Where it is not, there is one
graph for each length, with the weights in common: code, and the time to compile it, grow with the number of lengths,
of which there may be `LENGTHS`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from publisher.compiler.graph import Graph, Value
from publisher.compiler.importing import import_each_untrusted
from publisher.compiler.importing.bounds import TENSOR_BYTES
from publisher.compiler.importing.refusing import quoted, refused
from publisher.compiler.importing.wishes import Wishes
from publisher.compiler.repeating import Dim, Repeated
from publisher.compiler.separating import LONG, SHORT, InseparableError
from publisher.compiler.separation import Separation, part, separated

LENGTHS: Final = 32
LONGEST: Final = 65_536
BLOCK: Final = 8
"""So many elements at a time where there are that many left: kernels then read weights once for all of them."""
BLOCK_FROM: Final = 16
BLOCK_VALUE_BYTES: Final = 2**18
"""Values of a block are no larger than this, so that the block does not cost more memory than it saves time."""


Importer = Callable[[bytes, Wishes, Sequence[Mapping[str, int]]], list[Graph]]


def import_open_untrusted(
    data: bytes, dim: Dim, wishes: Wishes, importer: Importer = import_each_untrusted
) -> Repeated:
    """The model for every length of `dim`; other lengths as `wishes` say. Raises `ConfigurationError` alone.

    `importer` makes one graph for each set of lengths: `import_each` where the model's maker is trusted.
    """
    if not 1 <= dim.minimum < dim.maximum <= LONGEST:
        claim = f"lengths of the dimension {quoted(dim.name)}"
        raise refused("the lengths are no range", claim, f"1 to {LONGEST}", f"{dim.minimum} to {dim.maximum}")
    short, long = importer(data, wishes, [_with(wishes, dim, SHORT), _with(wishes, dim, LONG)])
    try:
        return _looped(dim, separated(short, long))
    except InseparableError as inseparable:
        importing = partial(importer, data, wishes)
        return _specialised(importing, dim, wishes, inseparable)


def _with(wishes: Wishes, dim: Dim, length: int) -> dict[str, int]:
    return {**wishes.dims, dim.name: length}


def _looped(dim: Dim, separation: Separation) -> Repeated:
    counts = [1]
    block = part(separation, BLOCK)
    if dim.maximum >= BLOCK_FROM and max(each.bytes for each in _computed(block)) <= BLOCK_VALUE_BYTES:
        counts.append(BLOCK)
    names = (*separation.short.inputs, *separation.short.outputs)
    axes = {name: separation.axis(name) for name in names}
    note = f"{quoted(dim.name)} is open up to {dim.maximum}: computed part by part"
    graphs = {count: _noted(part(separation, count), note) for count in counts}
    return _sized(Repeated(dim.minimum, dim.maximum, True, graphs, axes), dim)


def _computed(graph: Graph) -> Iterator[Value]:
    return (value for value in graph.values.values() if value.data is None)


def _specialised(
    importing: Callable[[Sequence[Mapping[str, int]]], list[Graph]], dim: Dim, wishes: Wishes, why: InseparableError
) -> Repeated:
    lengths = range(dim.minimum, dim.maximum + 1)
    if len(lengths) > LENGTHS:
        message = f"the model does not compute the parts of {quoted(dim.name)} one by one ({why})"
        raise refused(message, "lengths", f"at most {LENGTHS}", len(lengths))
    imported = importing([_with(wishes, dim, each) for each in lengths])
    graphs = dict(zip(lengths, imported, strict=True))
    note = f"{quoted(dim.name)} is open up to {dim.maximum}: a program for each of {len(lengths)} lengths, for {why}"
    axes = {name: _axis(name, graphs, dim) for name in (*imported[0].inputs, *imported[0].outputs)}
    noted = {length: _noted(graph, note) for length, graph in graphs.items()}
    return _sized(Repeated(dim.minimum, dim.maximum, False, noted, axes), dim)


def _axis(name: str, graphs: Mapping[int, Graph], dim: Dim) -> int | None:
    """Along which axis an input or output grows by the same amount for each length."""
    shapes = {length: graph.values[name].shape for length, graph in graphs.items()}
    (length, first), last = next(iter(shapes.items())), shapes[max(shapes)]
    axes = [axis for axis, (one, other) in enumerate(zip(first, last, strict=False)) if one != other]
    each = first[axes[0]] // length if axes else 0
    for length, shape in shapes.items():
        expected = tuple(each * length if axis in axes[:1] else own for axis, own in enumerate(first))
        if shape != expected:
            raise refused(f"{quoted(name)} does not grow evenly with {quoted(dim.name)}", "shape", expected, shape)
    return axes[0] if axes else None


def _sized(repeated: Repeated, dim: Dim) -> Repeated:
    """Checked: its length can be told from the input's, and is no more than an address."""
    if repeated.input_layout.each == 0:
        raise refused(f"no input of the model has {quoted(dim.name)}", "inputs", "one that has", "none")
    size = max(repeated.input_bytes, repeated.output_bytes)
    if size > TENSOR_BYTES:
        raise refused(
            f"inputs or outputs of {dim.maximum} {quoted(dim.name)} are too large", "bytes", TENSOR_BYTES, size
        )
    return repeated


def _noted(graph: Graph, note: str) -> Graph:
    return replace(graph, notes=(*graph.notes, note))
