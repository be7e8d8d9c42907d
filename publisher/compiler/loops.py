"""Nested loops over tensors: each operand with strides of its own, dimensions that run on merged into one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from publisher.compiler.step import Step, row_major

Stride = int | str


@dataclass(frozen=True, slots=True)
class Operand:
    """A typed C pointer expression, and the strides with which the loops walk it, in elements (0: stays).

    A stride that is a text is a C pointer to the offset for each index. `ctype` begins with "const " for what is only
    read.
    """

    pointer: str
    strides: tuple[Stride, ...]
    ctype: str


def broadcast(shape: Sequence[int], onto: Sequence[int]) -> tuple[int, ...]:
    """The strides with which a row-major tensor of `shape` is read when it is broadcast onto a larger shape."""
    own = [0 if length == 1 else stride for length, stride in zip(shape, row_major(shape), strict=True)]
    return (*([0] * (len(onto) - len(shape))), *own)


def nest(
    step: Step,
    shape: Sequence[int],
    operands: Mapping[str, Operand],
    statement: str,
    *,
    ordered: bool = False,
    words: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Write loops over `shape`; in `statement`, `{a}` is the element of operand `a`, and `{word}` one of `words`.

    Iterations must not depend on one another, unless they are `ordered`. What stays in the innermost loop, which runs
    over merged dimensions, is read before it, so that the compiler can make vectors of the rest.
    """
    if 0 in shape:
        return
    lengths, strides = merged(shape, [each.strides for each in operands.values()])
    walked = dict(zip(operands, strides, strict=True))
    staying = {name for name, own in walked.items() if own[-1:] == [0] and operands[name].ctype.startswith("const ")}
    elements = {name: f"{name}[{index(own)}]" for name, own in walked.items()}
    step.line("{")
    for name, each in operands.items():
        step.line(f"{each.ctype} *const {name} = {each.pointer};")
    for depth, length in enumerate(lengths):
        if depth == len(lengths) - 1:
            step.line("{", *(f"{operands[name].ctype} {name}_ = {elements[name]};" for name in sorted(staying)))
            step.line("" if ordered else "INDEPENDENT")
        step.line(f"for (int i{depth} = 0; i{depth} < {length}; i{depth}++)")
    elements |= {name: f"{name}_" for name in staying}
    step.line("{ " + statement.format(**elements, **words) + " }", *("}" if lengths else ""), "}")


def index(strides: Sequence[Stride]) -> str:
    """The C expression of an offset: loop variables i0, i1, … times strides."""
    return " + ".join(_term(depth, stride) for depth, stride in enumerate(strides) if stride) or "0"


def _term(depth: int, stride: Stride) -> str:
    if isinstance(stride, str):
        return f"{stride}[i{depth}]"
    return f"i{depth}" if stride == 1 else f"i{depth} * {stride}"


def merged(shape: Sequence[int], strides: Sequence[Sequence[Stride]]) -> tuple[list[int], list[list[Stride]]]:
    """The same walk with fewer loops: a dimension joins the one outside it where every operand runs on."""
    lengths: list[int] = []
    walks: list[list[Stride]] = [[] for _ in strides]
    for depth, length in enumerate(shape):
        here = [own[depth] for own in strides]
        if length == 1 and not any(isinstance(each, str) for each in here):
            continue
        if lengths and all(_runs_on(own[-1], stride, length) for own, stride in zip(walks, here, strict=True)):
            lengths[-1] *= length
            for own, stride in zip(walks, here, strict=True):
                own[-1] = stride
        else:
            lengths.append(length)
            for own, stride in zip(walks, here, strict=True):
                own.append(stride)
    return lengths, walks


def _runs_on(outer: Stride, inner: Stride, length: int) -> bool:
    return isinstance(outer, int) and isinstance(inner, int) and outer == inner * length
