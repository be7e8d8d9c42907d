"""Run onnx's node tests: what became of each.

Each test's model is imported, planned and written like any other; many of them then make one module, so that the C
compiler starts rarely. A module that fails is halved until the test that is at fault stands alone.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocol.errors import ConfigurationError
from publisher.compiler.emission import emit
from publisher.compiler.graph import Graph
from tests.conformance.onnx_cases import Case
from tests.support.compiling import compiled, graph_of, together

TOGETHER = 40
"""Tests in one module."""
ROUNDING = 2.0**-23
PASSED, FAILED, UNSUPPORTED = "passed", "failed", "unsupported"


@dataclass(frozen=True)
class Outcome:
    """What became of a test, and why."""

    name: str
    operator: str
    verdict: str
    why: str = ""


@dataclass(frozen=True)
class Ready:
    """A test whose graph can be written."""

    case: Case
    graph: Graph


def outcomes(cases: Sequence[Case], workers: int = 2) -> list[Outcome]:
    """Every test's, in their order."""
    found: dict[str, Outcome] = {}
    ready: list[Ready] = []
    for case in cases:
        prepared = _prepared(case)
        if isinstance(prepared, Ready):
            ready.append(prepared)
        else:
            found[case.name] = prepared
    with ThreadPoolExecutor(workers) as pool:
        for some in pool.map(_ran, [ready[at : at + TOGETHER] for at in range(0, len(ready), TOGETHER)]):
            found |= {each.name: each for each in some}
    return [found[case.name] for case in cases]


def _prepared(case: Case) -> Ready | Outcome:
    try:
        graph = graph_of(case.model)
        emit(graph)
    except ConfigurationError as refused:
        return Outcome(case.name, case.operator, UNSUPPORTED, str(refused))
    except Exception as fault:
        # Whatever it is, it is this test's, and the others go on.
        return Outcome(case.name, case.operator, FAILED, f"{type(fault).__name__}: {fault}")
    return Ready(case, graph)


def _ran(batch: Sequence[Ready]) -> list[Outcome]:
    try:
        answers = _answers(batch)
    except Exception as fault:
        if len(batch) == 1:
            return [Outcome(batch[0].case.name, batch[0].case.operator, FAILED, f"{type(fault).__name__}: {fault}")]
        middle = len(batch) // 2
        return [*_ran(batch[:middle]), *_ran(batch[middle:])]
    return [_judged(each.case, answer) for each, answer in zip(batch, answers, strict=True)]


def _answers(batch: Sequence[Ready]) -> list[list[NDArray[Any]]]:
    """What one module with all these graphs answers, for each."""
    answers = iter(
        compiled(together([each.graph for each in batch]))([array for each in batch for array in _inputs(each)])
    )
    return [[next(answers) for _ in each.graph.outputs] for each in batch]


def _inputs(ready: Ready) -> list[NDArray[Any]]:
    return [ready.case.inputs[name] for name in ready.graph.inputs]


def _judged(case: Case, found: list[NDArray[Any]]) -> Outcome:
    try:
        for one, expected in zip(found, case.outputs, strict=True):
            _compare(one, expected, case)
    except (AssertionError, ValueError) as wrong:
        return Outcome(case.name, case.operator, FAILED, " ".join(str(wrong).split())[:300])
    return Outcome(case.name, case.operator, PASSED)


def _compare(found: NDArray[Any], expected: NDArray[Any], case: Case) -> None:
    """By the test's own tolerances; integers and booleans exactly.

    Besides, floats may miss by a rounding of the largest of them: 0 is often what sums of larger numbers should give.
    """
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    if expected.dtype.kind != "f":
        np.testing.assert_array_equal(found, expected)
        return
    largest = np.abs(expected[np.isfinite(expected)]).max(initial=0.0)
    np.testing.assert_allclose(found, expected, rtol=case.rtol, atol=case.atol + ROUNDING * largest)
