"""The ABI of guests/README.md in C: fixed buffers for models of one size, placed ones where a length is open.

Either way tensors lie one after the other without gaps, row-major and little-endian. Steps may rely on addresses that
are multiples of 16, so an input that lies at another is copied before they run.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Final

from publisher.compiler.graph import Graph
from publisher.compiler.planning.memory import ALIGNMENT
from publisher.compiler.repeating import Repeated

KERNELS_NEED: Final = 16


@dataclass(frozen=True, slots=True)
class Places:
    """Where inputs lie, as C expressions by name, and the C that declares what they lie in."""

    addresses: Mapping[str, str]
    declarations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Placed:
    """A graph for `count` elements of the repeated dimension: its steps, and where its inputs and outputs lie."""

    count: int
    graph: Graph
    calls: tuple[str, ...]
    inputs: Mapping[str, str]
    outputs: tuple[str, ...]


def fixed_places(graph: Graph) -> tuple[Places, list[str]]:
    """Inputs where the caller wrote them, or copied from there where that address is odd; the copies."""
    addresses, copies, offset, staged = {}, [], 0, 0
    for name in graph.inputs:
        size = graph.values[name].bytes
        addresses[name] = f"input + {offset}"
        if offset % KERNELS_NEED and size:
            addresses[name] = f"staged + {staged}"
            copies.append(_copy(f"staged + {staged}", f"input + {offset}", size))
            staged += _aligned(size)
        offset += size
    return Places(addresses, (f"unsigned char input[{offset} + 1] ALIGNED;", _buffer("staged", staged))), copies


def fixed_interface(graph: Graph, body: Sequence[str], outputs: Sequence[str], sizes: Mapping[str, int]) -> list[str]:
    """`infer`, its buffers and their sizes."""
    lines, offset = [f"unsigned char output[{sizes['output']} + 1] ALIGNED;"], 0
    lines += [f"EXPORT({name}_size) unsigned {name}_size(void) {{ return {size}; }}" for name, size in sizes.items()]
    lines += ["EXPORT(infer) int infer(void) {", "invalid = 0;", *body]
    for name, address in zip(graph.outputs, outputs, strict=True):
        lines.append(_copy(f"output + {offset}", address, graph.values[name].bytes))
        offset += graph.values[name].bytes
    return [*lines, f"return invalid ? -1 : {sizes['output']};", "}"]


def slots(graphs: Iterable[Graph]) -> Places:
    """A place for each input that is as large as the largest graph needs it."""
    sizes: dict[str, int] = {}
    for graph in graphs:
        for name in graph.inputs:
            sizes[name] = max(sizes.get(name, 0), graph.values[name].bytes)
    addresses, offset = {}, 0
    for name, size in sizes.items():
        addresses[name] = f"given + {offset}"
        offset += _aligned(size)
    return Places(addresses, (_buffer("given", offset),))


def repeated_interface(repeated: Repeated, placed: Sequence[Placed]) -> list[str]:
    """`perform_inference`: the length of the input says how often the dimension is there."""
    inputs, outputs = repeated.input_layout, repeated.output_layout
    lines = [
        "EXPORT(perform_inference) int perform_inference(const unsigned char *from, unsigned length,",
        "unsigned char *to, unsigned capacity) {",
        f"if (length < {inputs.fixed} || (length - {inputs.fixed}) % {inputs.each}) return -1;",
        f"const unsigned count = (length - {inputs.fixed}) / {inputs.each};",
        f"if (count < {repeated.minimum} || count > {repeated.maximum}) return -1;",
        f"const unsigned written = {outputs.fixed} + {outputs.each} * count;",
        "if (written > capacity) return (int)written;",
        "invalid = 0;",
        "unsigned at = 0;",
    ]
    for each in placed:
        loop = f"for (; count - at >= {each.count}; at += {each.count}) {{"
        lines += [
            loop if repeated.loops else f"if (count == {each.count}) {{",
            "first = at == 0;",
            *_pass(repeated, each),
            "if (invalid) return -1;",
            "}",
        ]
    return [*lines, "return (int)written;", "}"]


def _pass(repeated: Repeated, placed: Placed) -> Iterator[str]:
    """Copy a part of each input to its place, run, and copy each output to its part."""
    for name, place in zip(repeated.inputs, repeated.input_layout.places(), strict=True):
        yield from _part(placed, place, repeated.axes[name], name, placed.inputs[name], into=True)
    yield from placed.calls
    for name, address, place in zip(repeated.outputs, placed.outputs, repeated.output_layout.places(), strict=True):
        yield from _part(placed, place, repeated.axes[name], name, address, into=False)


def _part(placed: Placed, place: str, axis: int | None, name: str, address: str, *, into: bool) -> Iterator[str]:
    value = placed.graph.values[name]
    outside = "from" if into else "to"
    if axis is None or value.size == 0:
        pair, size = (address, f"{outside} + {place}"), value.bytes
        yield _copy(*(pair if into else pair[::-1]), size)
        return
    rows = prod(value.shape[:axis])
    part = value.bytes // rows
    each = part // placed.count
    yield f"for (unsigned row = 0; row < {rows}; row++)"
    pair = (f"{address} + row * {part}", f"{outside} + {place} + (row * count + at) * {each}")
    yield _copy(*(pair if into else pair[::-1]), part)


def _copy(to: str, source: str, size: int) -> str:
    return f"__builtin_memcpy({to}, {source}, {size});"


def _buffer(name: str, size: int) -> str:
    return f"static unsigned char {name}[{size} + 1] ALIGNED;"


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
