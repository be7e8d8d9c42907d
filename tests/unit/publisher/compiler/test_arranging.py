"""State goes last, in its order, and what the model computes stays as it is."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from protocol.errors import ConfigurationError
from publisher.compiler.arranging import arrange_untrusted
from tests.support.models import model

NODES = [
    helper.make_node("Add", ["x", "c"], ["y"]),
    helper.make_node("Sub", ["h", "x"], ["hn"]),
    helper.make_node("Mul", ["c", "x"], ["cn"]),
]
MODEL = model(
    NODES,
    {name: [2] for name in ("h", "x", "c")},
    {name: [2] for name in ("cn", "y", "hn")},
).SerializeToString()


def test_state_is_last_and_the_answers_are_the_same() -> None:
    made = arrange_untrusted(MODEL, {"c": "cn", "h": "hn"})
    graph = onnx.ModelProto.FromString(made).graph
    assert [each.name for each in graph.input] == ["x", "c", "h"]
    assert [each.name for each in graph.output] == ["y", "cn", "hn"]
    given = {name: np.random.default_rng(number).normal(size=2).astype(np.float32) for number, name in enumerate("hxc")}
    before, after = (
        onnxruntime.InferenceSession(each, providers=["CPUExecutionProvider"]).run(["y", "cn", "hn"], given)
        for each in (MODEL, made)
    )
    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"z": "hn"}, "no input"),
        ({"h": "z"}, "no output"),
        ({"h": "hn", "c": "hn"}, "no output"),
        ({"h": "hn", "c": "cn", "x": "y"}, "not every input"),
    ],
)
def test_what_the_model_does_not_have_is_refused(state: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        arrange_untrusted(MODEL, state)


def test_bytes_of_anybody_are_refused() -> None:
    with pytest.raises(ConfigurationError):
        arrange_untrusted(MODEL[:50], {"h": "hn"})
