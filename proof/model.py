"""Read the model: clauses with marks, in parts, and what is asked of them.

The clauses are TPTP's CNF. Around them stand comments that only this module reads:

    %scenario NAME: ...      the clauses from here to the next such line hold in that scenario alone (`always`: in all)
    %part NAME: FILES        the questions from here on are asked of these files
    %claim NAME | SECTION | PROPERTY | SCENARIOS | TEXT     what must not come about
    %story NAME | TEXT                                      what must come about
    literal %-[MARK]         a check; without it, the line is gone
    term@MARK                a comparison; without it, anything may stand there
    %+[MARK] clause          what holds only without MARK
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
PHASE = re.compile(r"knows\((?:T|now|past),")
CLAUSES_OF_A_REMOVAL = re.compile(r"^%\+\[(\w+)\] ", re.MULTILINE)
LINES_TO_REMOVE = re.compile(r"%-\[(\w+)\]")
TERMS_TO_FREE = re.compile(r"@(\w+)")
GOAL = "cnf(nothing_is_violated, negated_conjecture, ~ violated).\n"


@dataclass(frozen=True)
class Question:
    """A claim, which must not be violated, or a story, which must be possible (in its clauses, `violated` too)."""

    name: str
    claimed: bool
    files: tuple[str, ...]
    section: str
    rule: str
    scenarios: frozenset[str]
    text: str
    clauses: str


def file_text(name: str) -> str:
    """The text of one file of the model."""
    return (HERE / f"{name}.p").read_text(encoding="utf-8")


def marks(name: str) -> frozenset[str]:
    """The names of all checks and comparisons of a file."""
    text = file_text(name)
    return frozenset(
        found for pattern in (LINES_TO_REMOVE, TERMS_TO_FREE, CLAUSES_OF_A_REMOVAL) for found in pattern.findall(text)
    )


def questions() -> dict[str, Question]:
    """All claims and stories, by name, in the order of the file."""
    files: tuple[str, ...] = ()
    found = {}
    for block in re.split(r"^(?=%(?:part|claim|story) )", file_text("claims"), flags=re.MULTILINE)[1:]:
        head, _, clauses = block.partition("\n")
        if head.startswith("%part "):
            files = tuple(head.partition(":")[2].split())
        else:
            question = _question(head, files, clauses)
            found[question.name] = question
    return found


def _question(head: str, files: tuple[str, ...], clauses: str) -> Question:
    fields = [field.strip() for field in head.split("|")]
    kind, name = fields[0].split()
    if kind == "%story":
        return Question(name, False, files, "", "", frozenset(), fields[1], clauses)
    section, rule, scenarios, text = fields[1:]
    return Question(name, True, files, section, rule, frozenset(scenarios.split()), text, clauses)


def problem(question: Question, without: frozenset[str] = frozenset()) -> str:
    """What the prover is given: the question's part of the model, without the checks that `without` names."""
    text = "".join(_kept(file_text(name), question.scenarios, without) for name in question.files)
    common = file_text("claims").partition("%part ")[0]
    text = _freed(text, without) + common + question.clauses + GOAL
    return text if "phases" in question.scenarios else PHASE.sub("knows(", text)


def _kept(text: str, scenarios: frozenset[str], without: frozenset[str]) -> str:
    lines = []
    scenario = "always"
    for line in text.splitlines():
        if line.startswith("%scenario "):
            scenario = line.split()[1].rstrip(":")
        elif scenario == "always" or scenario in scenarios:
            lines.append(_line(line, without))
    return "\n".join(lines) + "\n"


def _line(line: str, without: frozenset[str]) -> str:
    added = CLAUSES_OF_A_REMOVAL.match(line)
    if added is not None:
        return line[added.end() :] if added[1] in without else ""
    removed = LINES_TO_REMOVE.search(line)
    return "" if removed is not None and removed[1] in without else line


def _freed(text: str, without: frozenset[str]) -> str:
    """Each `term@MARK` as its term, or as a variable that occurs nowhere else."""
    numbers = itertools.count()
    pieces = []
    end = 0
    for mark in TERMS_TO_FREE.finditer(text):
        start = _term_start(text, mark.start())
        term = f"Anything{next(numbers)}" if mark[1] in without else text[start : mark.start()]
        pieces += [text[end:start], term]
        end = mark.end()
    return "".join([*pieces, text[end:]])


def _term_start(text: str, end: int) -> int:
    start = end
    if text[end - 1] == ")":
        start = next(_opening_brackets(text, end))
    while text[start - 1].isalnum() or text[start - 1] == "_":
        start -= 1
    return start


def _opening_brackets(text: str, end: int) -> Iterator[int]:
    depth = 0
    for place in range(end - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(text[place], 0)
        if depth == 0:
            yield place
