"""onnxruntime in its own process: it answers, refuses, and its end is one clear line."""

import os
import signal

import numpy as np
import pytest

from protocol.errors import ConfigurationError
from publisher.compiler import reference as module
from publisher.compiler.graph import Graph, Value
from publisher.compiler.importing.wishes import Wishes
from publisher.compiler.reference import Reference
from tests.support.models import classifier

MODEL = classifier().SerializeToString()
VALUES = {"readings": Value("readings", "float32", (2, 6)), "probabilities": Value("probabilities", "float32", (2, 3))}
GRAPH = Graph((), VALUES, ("readings",), ("probabilities",))
READINGS = (np.ones((2, 6), np.float32),)


def test_it_answers_until_its_process_ends() -> None:
    with Reference(MODEL, GRAPH) as reference:
        found = reference.answer(READINGS)
        assert found is not None
        assert (found[0].shape, found[0].dtype) == ((2, 3), np.float32)
        np.testing.assert_allclose(found[0].sum(axis=1), 1, rtol=1e-5)
        assert 0 < reference.seconds < 10
        assert reference.version.startswith("1.")
        with pytest.raises(ConfigurationError, match="readings"):
            reference.answer((np.ones((2, 5), np.float32),))
        os.kill(reference._child.pid, signal.SIGSEGV)
        with pytest.raises(ConfigurationError, match="ended on this model"):
            reference.answer(READINGS)


def test_what_it_does_not_take_is_a_refusal() -> None:
    with pytest.raises(ConfigurationError, match="does not take the model"):
        Reference(b"no model", GRAPH)
    wider = Graph((), {**VALUES, "readings": Value("readings", "float32", (2, 7))}, ("readings",), ("probabilities",))
    with Reference(MODEL, wider, Wishes()) as reference:
        assert reference.answer((np.ones((2, 7), np.float32),)) is None


def test_it_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.01)
    with pytest.raises(ConfigurationError, match="longer than"):
        Reference(MODEL, GRAPH)
