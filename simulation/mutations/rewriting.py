"""Replaces words in the source of a function that is loaded, for as long as a `with` lasts."""

import importlib
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any


class RewritingError(Exception):
    """The words are not there, or not once: the code has moved on, and the mutation must follow."""


@dataclass(frozen=True, slots=True)
class Edit:
    """In the function `target` (`module:qualified.name`), the words `old` become `new`."""

    target: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Mutation:
    """A bug by name: what somebody forgot, against which property, and the words that do it."""

    name: str
    against: str
    edits: tuple[Edit, ...]


def mutation(name: str, against: str, *edits: tuple[str, str, str]) -> Mutation:
    """A mutation from (target, old, new)."""
    return Mutation(name, against, tuple(Edit(*each) for each in edits))


@contextmanager
def planted(mutation: Mutation | None) -> Iterator[None]:
    """The bug is in this process inside the `with`; None plants nothing. Raises `RewritingError`."""
    with ExitStack() as stack:
        edits = () if mutation is None else mutation.edits
        for target in dict.fromkeys(edit.target for edit in edits):
            stack.enter_context(_edited(target, [edit for edit in edits if edit.target == target]))
        yield


@contextmanager
def _edited(target: str, edits: Sequence[Edit]) -> Iterator[None]:
    module, owner, name = _resolved(target)
    original = inspect.getattr_static(owner, name)
    source = _rewritten(_source(original), edits)
    if inspect.isclass(owner):
        # Outside of its class statement, a method does not know its class.
        source = source.replace("super()", f"super({owner.__name__}, self)")
    found: dict[str, Any] = {}
    exec(compile(source, f"<{target}>", "exec"), module.__dict__, found)  # noqa: S102 - the words are this room's own
    changed = found[name]
    places = [(owner, name)] if inspect.isclass(owner) else _places(original)
    for place, known in places:
        setattr(place, known, changed)
    try:
        yield
    finally:
        for place, known in places:
            setattr(place, known, original)


def _resolved(target: str) -> tuple[ModuleType, Any, str]:
    module_name, _, path = target.partition(":")
    module = importlib.import_module(module_name)
    owner: Any = module
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    return module, owner, name


def _source(original: Any) -> str:
    if isinstance(original, property):
        original = original.fget
    function: Callable[..., Any] = getattr(original, "__func__", original)
    return textwrap.dedent(inspect.getsource(function))


def _rewritten(source: str, edits: Sequence[Edit]) -> str:
    for edit in edits:
        if source.count(edit.old) != 1:
            raise RewritingError(f"{edit.target}: {source.count(edit.old)} times {edit.old!r}")
        source = source.replace(edit.old, edit.new)
    return source


def _places(function: Any) -> list[tuple[ModuleType, str]]:
    """Every module that knows the function, under whatever name."""
    return [
        (module, name)
        for module in tuple(sys.modules.values())
        if isinstance(module, ModuleType)
        for name, value in tuple(vars(module).items())
        if value is function
    ]
