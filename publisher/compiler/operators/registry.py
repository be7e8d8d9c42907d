"""How a family says what it knows."""

from collections.abc import Callable
from typing import Final, Protocol

from publisher.compiler.graph import Node
from publisher.compiler.step import Step


class Emit(Protocol):
    """Writes the C statements of one node into its step.

    Raises `UnsupportedError` for a form it does not know, `ConfigurationError` for a node that is wrong.
    """

    def __call__(self, node: Node, step: Step) -> None: ...  # noqa: D102 - the class says it


emitters: Final[dict[str, Emit]] = {}


def operator(*names: str) -> Callable[[Emit], Emit]:
    """Register a function for operators, e.g. `@operator("Add", "Sub")`."""

    def register(emit: Emit) -> Emit:
        for name in names:
            if emitters.get(name, emit) is not emit:
                raise ValueError(f"the operator {name} is registered twice")
            emitters[name] = emit
        return emit

    return register
