"""Small random models answer as onnxruntime does, whatever planning makes of them: fusion, layout, shared memory."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from protocol.errors import ConfigurationError
from publisher.compiler.graph import Graph
from publisher.compiler.importing import import_model
from publisher.compiler.planning import planned
from tests.support.compiling import by_onnxruntime, close, compiled, together
from tests.support.random_models import RandomModel, random_models

TOLERANCE = 1e-5
SENSITIVE = 50
"""How many times more than inputs changed in their last digits an answer may differ: some models divide by little."""


def check(seeds: Sequence[int], most: int = 9) -> None:
    """One module of the models of all seeds."""
    taken = [(model, graph) for model in random_models(seeds, most) if (graph := imported(model)) is not None]
    assert len(taken) >= 0.9 * len(seeds)
    models, graphs = [model for model, _ in taken], [graph for _, graph in taken]
    given = [model.inputs[name] for model, graph in zip(models, graphs, strict=True) for name in graph.inputs]
    answers = iter(compiled(planned(together(graphs)))(given))
    for model, graph in zip(models, graphs, strict=True):
        compare(model, graph, [next(answers) for _ in graph.outputs])


def imported(model: RandomModel) -> Graph | None:
    """None for what is refused in words: some forms of tensors without elements."""
    try:
        return import_model(model.model.SerializeToString())
    except ConfigurationError:
        return None


def compare(model: RandomModel, graph: Graph, found: Sequence[NDArray[np.float32]]) -> None:
    for number, (one, expected) in enumerate(zip(found, model.expected, strict=True)):
        try:
            close(one, expected, TOLERANCE)
        except AssertionError:
            assert one.shape == expected.shape, (model.seed, graph.outputs[number])
            most = SENSITIVE * sensitivity(model)[number]
            assert float(np.abs(one - expected).max()) <= most, (model.seed, graph.outputs[number])


def sensitivity(model: RandomModel) -> list[float]:
    """How far answers move when inputs change by a rounding."""
    rng = np.random.default_rng(0)
    moved = {
        name: (each * (1 + 1e-6 * rng.standard_normal(each.shape))).astype(np.float32)
        for name, each in model.inputs.items()
    }
    again = by_onnxruntime(model.model, moved)
    return [float(np.abs(one - other).max(initial=0)) for one, other in zip(again, model.expected, strict=True)]


@pytest.mark.slow
def test_some_random_models_answer_as_onnxruntime_does() -> None:
    check(range(8), most=6)


# onnxruntime 1.32 itself aborts on a model of the next thirty.
@pytest.mark.slow
@pytest.mark.parametrize("first", range(100, 340, 30))
def test_random_models_answer_as_onnxruntime_does(first: int) -> None:
    check(range(first, first + 30))
