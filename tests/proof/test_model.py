"""The protocol as clauses: its parts name what the specification has, and its marks are all put to use."""

import re
from pathlib import Path

import pytest

from proof.model import HERE, file_text, marks, problem, questions
from proof.removals import removals, unneeded

SPECIFICATION = (Path(__file__).parents[2] / "SPECIFICATION.md").read_text(encoding="utf-8")
PARTS = sorted(path.stem for path in HERE.glob("*.p"))
REFERENCE = re.compile(r'§(\d+)(?: "([^"]+)"| ([A-Z][a-z ]+))?')


def sections() -> dict[str, str]:
    pieces = re.split(r"^## (?=\d)", SPECIFICATION, flags=re.MULTILINE)[1:]
    return {piece.split()[0]: piece for piece in pieces}


def references(name: str) -> list[tuple[str, str, str]]:
    lines = [line for line in file_text(name).splitlines() if line.startswith(("% SPECIFICATION", "%claim"))]
    return [found for line in lines for found in REFERENCE.findall(line)]


@pytest.mark.parametrize("name", PARTS)
def test_every_section_named_exists(name: str) -> None:
    found = references(name)
    assert found
    for number, word, title in found:
        text = sections()[number]
        assert not title or text.startswith(f"{number} {title.strip()}"), (number, title)
        assert not word or re.search(rf"(?:\*\*[^*]*{word}|## .*{word}|`{word}|\*\*{word})", text), (number, word)


def test_a_section_that_is_not_there_would_be_noticed() -> None:
    assert "99" not in sections()
    assert not re.search(r"\*\*[^*]*Baptism", sections()["7"])


def test_every_rule_of_the_protocol_stands_below_a_section() -> None:
    for name in set(PARTS) - {"attacker", "corruption", "claims", "once"}:
        text = file_text(name)
        assert text.index("% SPECIFICATION §") < text.index("cnf("), name


def test_every_claim_fails_for_something() -> None:
    broken = {removal.breaks for removal in removals().values()}
    assert {question.name for question in questions().values() if question.claimed} == broken


def test_removals_name_marks_of_the_claims_part() -> None:
    for removal in removals().values():
        there = frozenset(mark for name in questions()[removal.breaks].files for mark in marks(name))
        assert removal.marks
        assert removal.marks <= there, removal.name


def test_marks_leave_no_trace_in_what_the_prover_gets() -> None:
    for question in questions().values():
        for without in (frozenset[str](), unneeded(question)):
            clauses = re.sub(r"^%.*$", "", problem(question, without), flags=re.MULTILINE)
            assert "@" not in clauses
            assert clauses.count("(") == clauses.count(")")


def test_a_removed_check_is_gone_and_a_removed_comparison_compares_nothing() -> None:
    question = questions()["evidence_agreement"]
    whole, without = problem(question), problem(question, frozenset({"nonce_open", "measurement"}))
    assert "| ~ open_nonce(F,V,N,Nonce,T) %-" in whole
    assert "| ~ open_nonce(F,V,N,Nonce,T) %-" not in without
    assert "report(good,report_data(Nonce,V,pk(S),Kem,F,N))" in whole
    assert "report(Anything0,report_data(Nonce,V,pk(S),Kem,F,N))" in without


def test_a_comparison_of_a_structure_is_freed_as_a_whole() -> None:
    question = questions()["reply_agreement"]
    assert "commitment(Salt,Output),pk(key(F,sensor,S)),hardware" in problem(question)
    freed = problem(question, frozenset({"reply_output"}))
    assert re.search(r"Anything\d+,pk\(key\(F,sensor,S\)\),hardware", freed)
