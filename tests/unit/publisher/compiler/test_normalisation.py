"""Every normalisation against onnxruntime, with parameters that are constants and with such as are computed."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, helper

from protocol.errors import ConfigurationError
from tests.support.compiling import compiled
from tests.support.single_nodes import Constant, Single, Table

RNG = np.random.default_rng(12)
Floats = NDArray[np.float32]


def floats(*shape: int) -> Floats:
    return RNG.standard_normal(shape).astype(np.float32)


X = floats(2, 6, 5, 7) * 2 + 1
POSITIVE = abs(floats(6)) + np.float32(0.1)
# A mean far from 0: what is left after it is subtracted has few digits, unless the sums had many.
FAR = floats(3, 1, 999) + np.float32(100)


class Alike(Single):
    """A node whose output is like its first input, which ONNX's shape inference does not know."""

    def model(self, opset: int) -> ModelProto:
        names = [f"i{number}" for number in range(len(self.inputs))]
        infos = [helper.make_tensor_value_info(name, 1, self.given[name].shape) for name in names]
        out = helper.make_tensor_value_info("o0", 1, self.given["i0"].shape)
        graph = helper.make_graph(
            [helper.make_node(self.operator, names, ["o0"], **self.attributes)], "g", infos, [out]
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def held(*arrays: Floats) -> tuple[Constant, ...]:
    return tuple(Constant(each) for each in arrays)


def root_mean_square(x: Floats, scale: Floats) -> Floats:
    wide = x.astype(np.float64)
    made: Any = wide / np.sqrt(np.mean(wide**2, axis=-1, keepdims=True) + 1e-5) * scale
    return made.astype(np.float32)


def responses(size: int, alpha: float) -> Callable[[Floats], Floats]:
    """What onnxruntime does of odd sizes and four dimensions alone."""

    def divided(x: Floats) -> Floats:
        wide = x.astype(np.float64)
        made = np.empty_like(wide)
        for channel in range(x.shape[1]):
            near = wide[:, max(0, channel - (size - 1) // 2) : channel + size // 2 + 1]
            made[:, channel] = wide[:, channel] / (1 + alpha / size * np.sum(near**2, axis=1)) ** 0.75
        return made.astype(np.float32)

    return divided


BATCH = (floats(6), floats(6), floats(6), POSITIVE)
TABLE = Table(
    {
        "batches": Single("BatchNormalization", X, *held(*BATCH)),
        "batches, computed parameters": Single("BatchNormalization", X, *BATCH, epsilon=0.01),
        "batches of vectors": Single("BatchNormalization", X[:, :, 0, 0], *held(*BATCH)),
        "a training batch": Single("BatchNormalization", X, *BATCH, outputs=3, training_mode=1, momentum=0.8),
        "layers": Single("LayerNormalization", X, *held(floats(7), floats(7))),
        "layers of three axes": Single("LayerNormalization", X, floats(6, 5, 7), axis=1),
        "layers, broadcast parameters": Single("LayerNormalization", X, floats(7), floats(5, 1), axis=2),
        "layers and their moments": Single("LayerNormalization", X, *held(floats(7)), outputs=3, epsilon=0.1),
        "layers far from 0": Single("LayerNormalization", FAR, *held(floats(999))),
        "instances": Single("InstanceNormalization", X, floats(6), floats(6)),
        "instances of one axis": Single("InstanceNormalization", X[:, :, :, 0], *held(floats(6), floats(6))),
        "groups": Alike("GroupNormalization", X, floats(6), floats(6), num_groups=3),
        "root mean squares": Single("RMSNormalization", X, floats(7), expected=root_mean_square),
        "mean and variance": Alike("MeanVarianceNormalization", X),
        "mean and variance over some axes": Alike("MeanVarianceNormalization", X, axes=[-1, 1]),
        "responses": Single("LRN", X, size=3, alpha=0.9, beta=0.6, bias=1.5),
        "responses of an even size": Single("LRN", X, expected=responses(4, 2.0), size=4, alpha=2.0),
        "responses of all channels": Single("LRN", X[:, :, :3, 0], expected=responses(99, 5.0), size=99, alpha=5.0),
        "norms": Single("LpNormalization", X, axis=1),
        "norms of absolute values": Single("LpNormalization", X, p=1),
        "a norm of 0": Single(
            "LpNormalization", np.float32([[0, 0], [3, 4]]), expected=lambda x: x / np.float32([[1], [5]])
        ),
        "nothing": Single("LRN", np.zeros((0, 3, 2), np.float32), size=3, expected=lambda x: x),
    },
    opset=23,
)


@pytest.mark.parametrize("name", TABLE.cases)
def test_answers_as_onnxruntime_does(name: str) -> None:
    TABLE.check(name, 1e-5 if "far" in name else 1e-6)


@pytest.mark.parametrize(
    ("single", "word"),
    [
        (Single("LayerNormalization", X, floats(2, 6, 1, 7), axis=2), "each row"),
        (Single("LpNormalization", X, p=3), "p 1 or 2"),
        (Single("LpNormalization", X, axis=4), "axis"),
    ],
)
def test_what_is_refused(single: Single, word: str) -> None:
    with pytest.raises(ConfigurationError, match=word):
        compiled(single.model(21))
