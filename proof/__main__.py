"""`python -m proof`: prove every claim, show every story, break claims by removals. Exit 1 if one is not so."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from proof.model import Question, problem, questions
from proof.prover import Answer, Verdict, ask
from proof.removals import Removal, removals, unneeded

OTHERWISE = " **not as expected**"


@dataclass(frozen=True)
class Row:
    """One question that was asked: what about, what came out, whether that was expected, seconds."""

    table: str
    name: str
    claim: str
    verdict: str
    expected: bool
    seconds: float


def main() -> int:
    """Ask everything, print tables or JSON, and say by the exit code whether all is as expected."""
    parser = argparse.ArgumentParser(prog="python -m proof", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--seconds", type=int, default=120, help="of the processor's time for each question")
    parser.add_argument("--report", type=Path, help="write the tables to this file too")
    given = parser.parse_args()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        rows = list(pool.map(lambda asked: asked(given.seconds), _everything()))
    text = tables(rows)
    print(json.dumps([asdict(row) for row in rows], indent=1) if given.json else text)
    if given.report is not None:
        given.report.write_text(text, encoding="utf-8")
    return 0 if all(row.expected for row in rows) else 1


def _everything() -> Iterable[Callable[[int], Row]]:
    asked = questions()
    for question in asked.values():
        yield partial(_as_it_is, question)
    for removal in removals().values():
        yield partial(_without, removal, asked[removal.breaks])
    for question in asked.values():
        if question.claimed:
            yield partial(_without_what_is_unneeded, question)


def _as_it_is(question: Question, seconds: int) -> Row:
    wanted = Verdict.IMPOSSIBLE if question.claimed else Verdict.POSSIBLE
    table = "claim" if question.claimed else "story"
    return _row(table, question.name, question.name, ask(problem(question), seconds), wanted)


def _without(removal: Removal, question: Question, seconds: int) -> Row:
    answer = ask(problem(question, removal.marks), seconds)
    return _row("removal", removal.name, question.name, answer, Verdict.POSSIBLE)


def _without_what_is_unneeded(question: Question, seconds: int) -> Row:
    answer = ask(problem(question, unneeded(question)), seconds)
    return _row("unneeded", question.name, question.name, answer, Verdict.IMPOSSIBLE)


def _row(table: str, name: str, claim: str, answer: Answer, wanted: Verdict) -> Row:
    return Row(table, name, claim, answer.verdict.value, answer.verdict is wanted, round(answer.seconds, 2))


def tables(rows: list[Row]) -> str:
    """The rows as Markdown: claims, stories, what breaks, and what holds without all that no removal names."""
    return "\n".join(
        [
            "# What the prover said\n",
            *_claims(rows),
            *_stories(rows),
            *_removals(rows),
            *_unneeded(rows),
        ]
    )


def _claims(rows: list[Row]) -> list[str]:
    asked = questions()
    lines = ["| claim | SPECIFICATION | | a violation is | s |", "|---|---|---|---|---|"]
    for row in _of(rows, "claim"):
        about = asked[row.name]
        lines.append(
            f"| {row.name}: {about.text} | {about.section} | {about.rule} | {_said(row)} | {row.seconds:.2f} |"
        )
    return [*lines, ""]


def _stories(rows: list[Row]) -> list[str]:
    asked = questions()
    lines = ["| story | it is | s |", "|---|---|---|"]
    lines += [f"| {asked[row.name].text} | {_said(row)} | {row.seconds:.2f} |" for row in _of(rows, "story")]
    return [*lines, ""]


def _removals(rows: list[Row]) -> list[str]:
    taken = removals()
    lines = ["| removed | marks | claim that fails | found in s |", "|---|---|---|---|"]
    for row in _of(rows, "removal"):
        marks = ", ".join(sorted(taken[row.name].marks))
        lines.append(f"| {row.name} | {marks} | {row.claim}{'' if row.expected else OTHERWISE} | {row.seconds:.2f} |")
    return [*lines, ""]


def _unneeded(rows: list[Row]) -> list[str]:
    lines = ["| without every mark of its part that no removal names | a violation is | s |", "|---|---|---|"]
    lines += [f"| {row.name} | {_said(row)} | {row.seconds:.2f} |" for row in _of(rows, "unneeded")]
    return [*lines, ""]


def _said(row: Row) -> str:
    return row.verdict + ("" if row.expected else OTHERWISE)


def _of(rows: list[Row], table: str) -> list[Row]:
    return [row for row in rows if row.table == table]


if __name__ == "__main__":
    sys.exit(main())
