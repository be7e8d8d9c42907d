"""What is taken away from the model, and which claim fails then (removals.toml)."""

import tomllib
from dataclasses import dataclass

from proof.model import HERE, Question, marks


@dataclass(frozen=True)
class Removal:
    """Checks that are removed together, and the claim that does not survive it."""

    name: str
    marks: frozenset[str]
    breaks: str


def removals() -> dict[str, Removal]:
    """All removals by name, in the order of the file."""
    rows = tomllib.loads((HERE / "removals.toml").read_text(encoding="utf-8"))
    return {name: Removal(name, frozenset(row["marks"]), row["breaks"]) for name, row in rows.items()}


def unneeded(question: Question) -> frozenset[str]:
    """The marks in a question's part that no removal names: the claims hold without all of them together."""
    named = frozenset(mark for removal in removals().values() for mark in removal.marks)
    return frozenset(mark for name in question.files for mark in marks(name)) - named
