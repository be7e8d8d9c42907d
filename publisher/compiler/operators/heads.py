"""Tensors of several heads, whichever way their dimensions lie."""

from dataclasses import dataclass

from protocol.errors import ConfigurationError
from publisher.compiler.errors import UnsupportedError
from publisher.compiler.graph import Node, Value
from publisher.compiler.step import Step, literal, row_major


@dataclass(frozen=True, slots=True)
class Heads:
    """A tensor as [batch, heads, length, size], wherever its elements lie: a C pointer, and strides in elements."""

    pointer: str
    batch: int
    heads: int
    length: int
    size: int
    strides: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """[batch, heads, length, size]."""
        return self.batch, self.heads, self.length, self.size


def heads_of(node: Node, step: Step, value: Value, heads: int) -> Heads:
    """A value [batch, heads, length, size], or [batch, length, heads · size] of so many heads."""
    if value.dtype != "float32":
        raise UnsupportedError(node.operator, f"of {value.dtype} is not known", "cast to float32 before it")
    shape, pointer = value.shape, step.pointer(value.name)
    if len(shape) == 4:
        return Heads(pointer, *shape, row_major(shape)[:3])
    if len(shape) != 3 or heads < 1 or shape[2] % heads:
        raise ConfigurationError(
            f"{node.operator} is of [batch, heads, length, size], or of 3 dimensions with its heads"
        )
    size = shape[2] // heads
    return Heads(pointer, shape[0], heads, shape[1], size, (shape[1] * shape[2], size, shape[2]))


def listed(numbers: tuple[int, ...]) -> str:
    """Numbers as a C initialiser."""
    return "{" + ", ".join(literal(each) for each in numbers) + "}"
