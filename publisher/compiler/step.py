"""One node's C: what an operator writes, and what it asks for while it does."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Protocol

from numpy.typing import NDArray

from publisher.compiler.graph import C_TYPES, Graph, Value


class Storage(Protocol):
    """Where values and constants lie; the program being written."""

    def address(self, name: str) -> str:
        """The address of a value as a C expression of type `unsigned char *` (const for a constant)."""
        ...

    def constant(self, data: NDArray[Any]) -> str:
        """Keep a constant among the weights, 64-byte aligned, once; its address as a C expression."""
        ...

    def kept(self, name: str, size: int) -> str:
        """Bytes that last from one pass over a sequence to the next, the same for the same name; their address."""
        ...

    def include(self, header: str) -> None:
        """Use a header of kernels/."""
        ...

    def define(self, text: str) -> None:
        """Write C before all steps, once."""
        ...


class Step:
    """The C function of one node: `lines` are its statements. Made by emission, filled by an operator."""

    def __init__(self, graph: Graph, storage: Storage) -> None:
        self.graph = graph
        self.lines: list[str] = []
        self.scratch_bytes = 0
        self._storage = storage

    def value(self, name: str) -> Value:
        """Type, shape and, for a constant, data of a value."""
        return self.graph.values[name]

    def pointer(self, name: str) -> str:
        """A typed C pointer to a value, e.g. `((float *)(arena + 64))`, 16-byte aligned at least."""
        value = self.value(name)
        qualifier = "const " if value.data is not None else ""
        return f"(({qualifier}{C_TYPES[value.dtype]} *)({self._storage.address(name)}))"

    def constant(self, data: NDArray[Any]) -> str:
        """A typed C pointer to data that the operator made of its constants: packed weights, tables."""
        return f"((const {C_TYPES[data.dtype.name]} *)({self._storage.constant(data)}))"

    def scratch(self, size: int, dtype: str = "float32") -> str:
        """A typed C pointer to `size` elements that hold anything now, and nothing after this step; 64-byte aligned."""
        itemsize = 8 if dtype.endswith("64") else 1 if dtype in {"int8", "uint8", "bool"} else 2 if "16" in dtype else 4
        start = self.scratch_bytes
        self.scratch_bytes += -(-size * itemsize // 64) * 64
        return f"(({C_TYPES[dtype]} *)(scratch + {start}))"

    def kept(self, name: str, size: int) -> str:
        """The address of so many bytes that last until the next pass over a sequence, under a name."""
        return f"({self._storage.kept(name, size)})"

    def include(self, *headers: str) -> None:
        """Use headers of kernels/, e.g. "gemm.h"."""
        for header in headers:
            self._storage.include(header)

    def function(self, kind: str, head: str, *lines: str) -> str:
        """Define a C function beside the step, e.g. `("finish", "INLINE f4 {}(f4 x)", "return x;")`; its name."""
        body = "\n".join((" {", *lines, "}"))
        name = f"{kind}_{sha256((head + body).encode()).hexdigest()[:16]}"
        self._storage.define(head.format(name) + body)
        return name

    def line(self, *lines: str) -> None:
        """Add C statements. A step that finds its input impossible (an index out of range) sets `invalid = 1`."""
        self.lines.extend(lines)

    def call(self, function: str, *arguments: str | int | float) -> None:
        """Add the call of a kernel. Numbers become exact literals."""
        self.lines.append(f"{function}({', '.join(literal(each) for each in arguments)});")


def literal(value: str | float) -> str:
    """A C expression for a number, exact; a text stays as it is."""
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return f"{value}" if abs(value) < 2**31 else f"{value}ll"
    if value != value:  # noqa: PLR0124 - the one number that is not itself
        return '__builtin_nanf("")'
    if value in {float("inf"), float("-inf")}:
        return f"{'-' if value < 0 else ''}__builtin_inff()"
    return float(value).hex() + "f"


def row_major(shape: Sequence[int]) -> tuple[int, ...]:
    """The strides of a row-major tensor, in elements."""
    strides, step = [], 1
    for length in reversed(shape):
        strides.append(step)
        step *= length
    return tuple(reversed(strides))
