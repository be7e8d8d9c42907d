"""What the families of element-by-element operators share: inputs broadcast onto one output, one C expression."""

from string import ascii_lowercase
from typing import Final

from protocol.errors import ConfigurationError
from publisher.compiler.errors import UnsupportedError
from publisher.compiler.graph import C_TYPES, Node
from publisher.compiler.loops import Operand, broadcast, nest
from publisher.compiler.operators.parameters import check
from publisher.compiler.step import Step, row_major

FLOATS: Final = ("float32", "float64")
UNSIGNED: Final = ("uint8", "uint16", "uint32", "uint64")
SIGNED: Final = ("int8", "int16", "int32", "int64")
INTEGERS: Final = (*UNSIGNED, *SIGNED)


def pointwise(node: Node, step: Step, expression: str, result: str = "", *, mixed: bool = False, **words: str) -> None:
    """Write an output element as a C expression of `{a}`, `{b}`, …: elements of the inputs, broadcast onto it.

    `{f}` is the suffix of C's mathematical functions, `{T}` the first input's type, `{U}` the unsigned type of at
    least 32 bits in which its sums wrap. Further `words` stand for themselves. The output is of the type `result`, or
    else of the first input's, and inputs are of one type unless `mixed`. Raises `ConfigurationError`.
    """
    out = step.value(node.outputs[0])
    given = [step.value(name) for name in node.inputs]
    check(out.dtype == (result or given[0].dtype), node, f"the output is {out.dtype}")
    check(mixed or len({each.dtype for each in given}) == 1, node, "the inputs are of several types")
    operands = {"o": Operand(step.pointer(out.name), row_major(out.shape), C_TYPES[out.dtype])}
    for letter, value in zip(ascii_lowercase, given, strict=False):
        shape = _aligned(node, value.shape, len(out.shape)) if letter == "b" else value.shape
        check_broadcast(node, shape, out.shape)
        strides = broadcast(shape, out.shape)
        operands[letter] = Operand(step.pointer(value.name), strides, f"const {C_TYPES[value.dtype]}")
    step.include("elementwise.h")
    nest(step, out.shape, operands, "{o} = " + expression + ";", words={**type_words(given[0].dtype), **words})


def _aligned(node: Node, shape: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """The second input's shape: before version 7 its dimensions could be named those from an axis on."""
    first = node.integer("axis", 1 if node.operator == "PRelu" else -1)
    if not 0 < node.version < 7 or first < 0 or not shape or first + len(shape) > rank:
        return shape
    return (*shape, *[1] * (rank - first - len(shape)))


def type_words(dtype: str) -> dict[str, str]:
    """The words of `pointwise` that depend on a type."""
    unsigned = "uint64_t" if dtype.endswith("64") else "uint32_t"
    return {"f": "f" if dtype == "float32" else "", "T": C_TYPES[dtype], "U": unsigned, "D": dtype}


def check_broadcast(node: Node, shape: tuple[int, ...], onto: tuple[int, ...]) -> None:
    """Raise `ConfigurationError` where a shape cannot be read as the other: the loops would leave its elements."""
    pairs = zip(reversed(shape), reversed(onto), strict=False)
    if len(shape) > len(onto) or any(length not in {1, other} for length, other in pairs):
        raise ConfigurationError(f"{node.operator}: a tensor of shape {shape} cannot be broadcast onto {onto}")


def check_type(node: Node, step: Step, allowed: tuple[str, ...], which: int = 0) -> str:
    """The type of an input, which must be among those allowed. Raises `UnsupportedError`."""
    dtype = step.value(node.inputs[which]).dtype
    if dtype not in allowed:
        raise UnsupportedError(node.operator, f"is not known for {dtype}", f"cast its input to {allowed[0]} before it")
    return dtype


def mapped(node: Node, step: Step, vectors: str, numbers: str) -> None:
    """Write an output of floats as a function of the only input: of float32 an f4 expression of `x`, else of `{a}`."""
    if check_type(node, step, FLOATS) != "float32":
        pointwise(node, step, numbers)
        return
    source, out = step.value(node.inputs[0]), step.value(node.outputs[0])
    check((out.dtype, out.shape) == (source.dtype, source.shape), node, f"the output is {out.dtype} {out.shape}")
    step.include("elementwise.h")
    step.call("F4_MAP", step.pointer(out.name), step.pointer(source.name), out.size, vectors)
