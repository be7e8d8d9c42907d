"""Chains of convolutions, a band of lines at a time, against onnxruntime: bands of any height, at any edge."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from onnx import helper

from publisher.compiler.operators import depthwise
from tests.support.compiling import against_onnxruntime, graph_of, model_of

RNG = np.random.default_rng(12)
WINDOWS: list[tuple[int, dict[str, list[int]]]] = [
    (3, {"pads": [1, 1, 1, 1]}),
    (5, {"pads": [2, 1, 3, 2], "strides": [2, 1]}),
    (3, {"pads": [0, 2, 1, 0], "strides": [2, 3]}),
    (2, {"strides": [3, 3]}),
    (3, {"pads": [2, 2, 2, 2], "dilations": [2, 2]}),
]


def floats(*shape: int) -> Any:
    return RNG.standard_normal(shape).astype("float32")


@pytest.mark.slow
@pytest.mark.parametrize(
    "size",
    [
        pytest.param(1, id="a line", marks=pytest.mark.slow),
        pytest.param(3000, id="some lines"),
        pytest.param(2**20, id="everything", marks=pytest.mark.slow),
    ],
)
def test_bands_of_any_height_answer_the_same(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(depthwise, "BAND_BYTES", size)
    monkeypatch.setattr(depthwise, "PLANE_BYTES", size)
    x = floats(2, 5, 12, 11)
    nodes, constants, outputs = [], {}, []
    for number, (kernel, window) in enumerate(WINDOWS):
        names = [f"{each}{number}" for each in "abcdef"]
        shapes = ((10, 5, 1, 1), (10,), (10, 1, kernel, kernel), (10,), (6, 10, 1, 1), (6,))
        constants.update({name: floats(*shape) for name, shape in zip(names, shapes, strict=True)})
        a, b, c, d, e, f = names
        before, middle, after = (f"{part}{number}" for part in ("before ", "middle ", "after "))
        nodes += [
            helper.make_node("Conv", ["x", a, b], [before]),
            helper.make_node("Relu", [before], [before + "r"]),
            helper.make_node("Conv", [before + "r", c, d], [middle], group=10, **window),
            helper.make_node("Tanh", [middle], [middle + "r"]),
            helper.make_node("Conv", [middle + "r", e, f], [after]),
        ]
        # Alone: what is before is read as it lies.
        constants |= {f"{c}alone": floats(5, 1, kernel, kernel), f"{e}alone": floats(6, 5, 1, 1)}
        nodes += [
            helper.make_node("Conv", ["x", f"{c}alone"], [f"alone {number}"], group=5, **window),
            helper.make_node("Conv", ["x", f"{c}alone"], [f"between {number}"], group=5, **window),
            helper.make_node("Conv", [f"between {number}", f"{e}alone"], [f"narrowed {number}"]),
        ]
        outputs += [after, f"alone {number}", f"narrowed {number}"]
    model = model_of(nodes, {"x": x}, outputs, constants)
    assert Counter(each.operator for each in graph_of(model).nodes)["chain"] == 2 * len(WINDOWS)
    against_onnxruntime(model, {"x": x}, 2e-6)
