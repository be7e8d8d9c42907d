"""The node tests of the onnx package: some always, all in the full run, which holds docs/operators.md true too."""

import re
from pathlib import Path

import numpy as np
import pytest

from publisher.compiler.operators import known_operators
from tests.conformance.onnx_cases import Case, collect, collect_of, exported
from tests.conformance.onnx_report import Report, as_page, report
from tests.conformance.onnx_running import FAILED, PASSED, UNSUPPORTED, Outcome, outcomes

PAGE = Path(__file__).parents[2] / "docs" / "operators.md"
LEAST = 75.0
"""Percent of all tests that must pass."""
SOME = ("slice", "reshape", "where", "cumsum", "gathernd", "expand", "hardsigmoid", "mod")


@pytest.fixture(scope="module")
def everything() -> list[Outcome]:
    return outcomes(collect())


@pytest.fixture(scope="module")
def everything_counted(everything: list[Outcome]) -> Report:
    return report(everything)


def some(name: str) -> Case:
    return next(case for case in collect_of("slice") if case.name == name)


def test_some_pass() -> None:
    cases = [case for case in collect_of(*SOME) if "expanded" not in case.name]
    found = outcomes(cases)
    assert len(found) > 30
    assert [each for each in found if each.verdict != PASSED] == []


def test_a_wrong_answer_fails_and_its_neighbours_pass() -> None:
    right = some("test_slice")
    wrong = Case("wrong", "Slice", right.model, right.inputs, [right.outputs[0] + np.float32(0.1)], 1e-3, 1e-7)
    assert [each.verdict for each in outcomes([right, wrong])] == [PASSED, FAILED]


@pytest.mark.slow
def test_a_broken_expectation_of_the_runner_fails_that_test_alone() -> None:
    right = some("test_slice")
    short = Case("short", "Slice", right.model, {"x": right.inputs["x"][:1]}, right.outputs, 1e-3, 1e-7)
    assert [each.verdict for each in outcomes([short, right])] == [FAILED, PASSED]


def test_the_page_claims_what_is_known() -> None:
    claimed = PAGE.read_text(encoding="utf-8").split("## Claimed")[1].split("##")[0]
    names = re.findall(r"([\w.]+) \(\d+\)", claimed)
    assert len(names) > 100
    # Some are put in terms of others before they are compiled.
    assert len(set(names) - set(known_operators())) < len(names) / 3


@pytest.mark.slow
def test_none_gives_a_wrong_answer(everything: list[Outcome]) -> None:
    assert [f"{each.name}: {each.why}" for each in everything if each.verdict == FAILED] == []


@pytest.mark.slow
def test_models_that_pytorch_exported_pass() -> None:
    found = outcomes(exported())
    assert len(found) > 100
    assert [f"{each.name}: {each.why}" for each in found if each.verdict != PASSED] == []


@pytest.mark.slow
def test_claimed_operators_pass_all_and_most_tests_pass(
    everything_counted: Report, capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        print(f"\nclaimed: {' '.join(everything_counted.claimed)}")
    assert all(everything_counted.tallies[name].verdicts[UNSUPPORTED] == 0 for name in everything_counted.claimed)
    assert everything_counted.count(PASSED) >= LEAST / 100 * everything_counted.total


@pytest.mark.slow
def test_the_page_says_what_was_found(everything_counted: Report) -> None:
    assert PAGE.read_text(encoding="utf-8") == as_page(everything_counted), (
        "run `python -m tests.conformance.onnx_nodes --write docs/operators.md`"
    )
