"""What an operator is told by an attribute or, in later versions, by an input that must be a constant here."""

from collections.abc import Sequence

from protocol.errors import ConfigurationError
from publisher.compiler.errors import UnsupportedError
from publisher.compiler.graph import Node
from publisher.compiler.step import Step


def numbers(node: Node, step: Step, which: int, attribute: str = "") -> tuple[int, ...] | None:
    """Whole numbers from an input, or from an attribute in earlier versions; None where neither is there.

    Raises `UnsupportedError` where the input is computed.
    """
    if node.has(which):
        data = step.value(node.inputs[which]).data
        if data is None:
            what = attribute or f"input {which}"
            raise UnsupportedError(node.operator, f"computes its {what}", f"export the model with constant {what}")
        check(data.dtype.kind in "iub", node, f"input {which} is no list of integers")
        return tuple(int(each) for each in data.reshape(-1))
    return node.integers(attribute) if attribute in node.attributes else None


def number(node: Node, step: Step, which: int, default: int, attribute: str = "") -> int:
    """One whole number, likewise."""
    found = numbers(node, step, which)
    if found is None:
        return node.integer(attribute, default) if attribute else default
    check(len(found) == 1, node, f"input {which} is not one number")
    return found[0]


def axis_of(node: Node, axis: int, rank: int) -> int:
    """An axis counted from the first; it may be given from the last, -1. Raises `ConfigurationError`."""
    if not -rank <= axis < rank:
        raise ConfigurationError(f"{node.operator}: there is no axis {axis} among {rank}")
    return axis % rank


def axes_of(node: Node, axes: Sequence[int], rank: int) -> tuple[int, ...]:
    """Axes counted from the first, none twice. Raises `ConfigurationError`."""
    found = tuple(axis_of(node, each, rank) for each in axes)
    if len(set(found)) != len(found):
        raise ConfigurationError(f"{node.operator}: an axis is named twice")
    return found


def check(condition: bool, node: Node, what: str) -> None:
    """Raise `ConfigurationError` where a node is wrong: what it is told does not fit its tensors."""
    if not condition:
        raise ConfigurationError(f"{node.operator}: {what}")
