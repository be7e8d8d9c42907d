"""Convolutions and transposed ones in all their forms, against onnxruntime; and forms that are refused."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from onnx import helper

from protocol.errors import ConfigurationError
from publisher.compiler.emission import emit
from publisher.compiler.errors import UnsupportedError
from publisher.compiler.graph import Attribute, Graph, Node, Value
from publisher.compiler.operators.window import window_of
from publisher.compiler.operators.winograd import suits
from publisher.compiler.planning import planned
from tests.support.compiling import OPSET, against_onnxruntime, compiled, model_of
from tests.support.single_nodes import Constant, Single, Table

RNG = np.random.default_rng(7)


def floats(*shape: int) -> Any:
    return RNG.standard_normal(shape).astype("float32")


def weights(*shape: int) -> Constant:
    return Constant(floats(*shape))


CONVOLUTIONS = {
    "3 x 3": Single("Conv", floats(1, 3, 11, 13), weights(10, 3, 3, 3), weights(10), strides=[2, 2], pads=[1] * 4),
    "pointwise": Single("Conv", floats(2, 8, 9, 7), weights(12, 8, 1, 1), weights(12)),
    "pointwise, with gaps": Single("Conv", floats(1, 20, 12, 12), weights(30, 20, 1, 1), weights(30), strides=[2, 2]),
    "by channel": Single("Conv", floats(1, 6, 9, 9), weights(6, 1, 3, 3), weights(6), group=6, pads=[1] * 4),
    "by channel, wide and uneven": Single(
        "Conv", floats(2, 8, 30, 41), weights(8, 1, 5, 5), weights(8), group=8, pads=[2, 1, 2, 3], strides=[2, 1]
    ),
    "by channel, 7 x 7": Single("Conv", floats(1, 16, 26, 26), weights(16, 1, 7, 7), group=16, pads=[3] * 4),
    "by channel, with holes": Single(
        "Conv", floats(1, 5, 30, 30), weights(5, 1, 3, 3), group=5, pads=[2] * 4, dilations=[2, 2], strides=[1, 2]
    ),
    "by channel, nothing but edges": Single("Conv", floats(1, 4, 2, 3), weights(4, 1, 5, 5), group=4, pads=[4] * 4),
    "by channel, in one dimension": Single("Conv", floats(1, 12, 30), weights(12, 1, 5), weights(12), group=12),
    "two filters a channel": Single(
        "Conv", floats(1, 6, 8, 9), weights(12, 1, 3, 3), group=6, auto_pad="SAME_LOWER", strides=[2, 3]
    ),
    "groups": Single(
        "Conv", floats(1, 8, 9, 7), weights(12, 4, 3, 3), weights(12), group=2, dilations=[2, 1], pads=[0, 2, 1, 0]
    ),
    "one dimension": Single("Conv", floats(1, 5, 20), weights(7, 5, 4), weights(7), strides=[3], pads=[2, 0]),
    "three dimensions": Single(
        "Conv", floats(1, 2, 5, 6, 7), weights(4, 2, 2, 3, 3), weights(4), pads=[1, 0, 1, 0, 1, 1], dilations=[1, 2, 1]
    ),
    "strides longer than needed": Single(
        "Conv", floats(1, 1, 8, 6), weights(1, 1, 1, 1), auto_pad="SAME_LOWER", strides=[4, 3]
    ),
    "the same size": Single("Conv", floats(1, 7, 5, 5), weights(9, 7, 3, 3), auto_pad="SAME_UPPER"),
    "a kernel larger than the image": Single("Conv", floats(1, 3, 4, 4), weights(17, 3, 9, 9), pads=[4] * 4),
    "a summand that is computed": Single("Conv", floats(1, 3, 5, 5), weights(6, 3, 3, 3), floats(6)),
}
WINOGRAD = {
    "padded": Single("Conv", floats(1, 16, 11, 13), weights(20, 16, 3, 3), weights(20), pads=[1] * 4),
    "two images, unpadded": Single("Conv", floats(2, 24, 12, 12), weights(16, 24, 3, 3)),
    "many channels": Single("Conv", floats(1, 96, 20, 20), weights(24, 96, 3, 3), pads=[1] * 4),
    "padded unevenly": Single("Conv", floats(1, 20, 21, 9), weights(24, 20, 3, 3), weights(24), pads=[0, 2, 1, 0]),
    "padded beyond a tile": Single("Conv", floats(1, 16, 6, 6), weights(16, 16, 3, 3), pads=[5] * 4),
}
TRANSPOSED = {
    "side by side": Single("ConvTranspose", floats(2, 24, 8, 9), weights(24, 24, 2, 2), weights(24), strides=[2, 2]),
    "side by side, one filter": Single(
        "ConvTranspose", floats(1, 24, 8, 9), weights(24, 1, 2, 3), weights(1), strides=[2, 3]
    ),
    "side by side, groups": Single(
        "ConvTranspose", floats(1, 8, 5, 9), weights(8, 3, 2, 2), weights(6), group=2, strides=[2, 2]
    ),
    "overlapping": Single(
        "ConvTranspose",
        *(floats(1, 6, 7, 5), weights(6, 5, 3, 3), weights(5)),
        strides=[2, 2],
        pads=[1, 0, 1, 1],
        output_padding=[1, 0],
    ),
    "with holes": Single(
        "ConvTranspose", floats(1, 6, 7, 5), weights(6, 3, 3, 4), group=2, strides=[3, 2], dilations=[2, 2]
    ),
    "upper": Single("ConvTranspose", floats(1, 6, 7, 5), weights(6, 3, 3, 4), strides=[3, 2], auto_pad="SAME_UPPER"),
    "lower": Single("ConvTranspose", floats(1, 6, 7, 5), weights(6, 3, 3, 4), strides=[3, 2], auto_pad="SAME_LOWER"),
    "of a stated shape": Single("ConvTranspose", floats(1, 6, 7), weights(6, 3, 5), strides=[3], output_shape=[20]),
    "a volume": Single("ConvTranspose", floats(1, 3, 4, 4, 4), weights(3, 2, 3, 3, 3), strides=[2] * 3, pads=[1] * 6),
}
ALL = {
    **CONVOLUTIONS,
    **{f"transposed, {name}": each for name, each in TRANSPOSED.items()},
    **{f"fewer products, {name}": each for name, each in WINOGRAD.items()},
}
USUAL = (
    *("3 x 3", "pointwise", "by channel", "by channel, wide and uneven", "groups", "three dimensions"),
    *("a summand that is computed", "transposed, side by side", "transposed, overlapping", "fewer products, padded"),
)
TABLE = Table({name: ALL[name] for name in USUAL})
FURTHER = Table({name: each for name, each in ALL.items() if name not in USUAL})


def tolerance(name: str) -> float:
    return 2e-6 if name.startswith("fewer products") else 1e-6


@pytest.mark.parametrize("name", TABLE.cases)
def test_answers_as_onnxruntime_does(name: str) -> None:
    TABLE.check(name, tolerance(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", FURTHER.cases)
def test_further_forms_answer_as_onnxruntime_does(name: str) -> None:
    FURTHER.check(name, tolerance(name))


@pytest.mark.parametrize("case", WINOGRAD.values(), ids=WINOGRAD)
def test_where_fewer_products_pay(case: Single) -> None:
    """Or the cases above would not be about them."""
    constant = case.inputs[1]
    assert isinstance(constant, Constant)
    filters, channels, *_ = constant.data.shape
    (out,) = case.answers(21)
    window = window_of(Node("Conv", (), (), case.attributes), case.given["i0"].shape[2:], (3, 3), out.shape[2:])
    assert suits(window, channels, filters)


def conv(weight: Value, out: tuple[int, ...], attributes: Mapping[str, Attribute]) -> Graph:
    values = {"x": Value("x", "float32", (1, 4, 6, 6)), "w": weight, "y": Value("y", "float32", out)}
    return Graph((Node("Conv", ("x", "w"), ("y",), attributes, "", 21),), values, ("x",), ("y",))


WEIGHT = Value("w", "float32", (2, 4, 3, 3), np.zeros((2, 4, 3, 3), np.float32))


@pytest.mark.parametrize(
    ("weight", "out", "attributes"),
    [
        (WEIGHT, (1, 2, 4, 4), {"group": 3}),
        (WEIGHT, (1, 2, 4, 4), {"group": 0}),
        (WEIGHT, (1, 2, 4, 4), {"strides": (1,)}),
        (WEIGHT, (1, 2, 4, 4), {"strides": (0, 1)}),
        (WEIGHT, (1, 2, 4, 4), {"pads": (1, 1, 1)}),
        (WEIGHT, (1, 2, 4), {}),
        (WEIGHT, (1, 2, 4, 4), {"dilations": (1, 2**40)}),
        (WEIGHT, (1, 2, 4, 4), {"strides": (2**29, 1)}),
        (WEIGHT, (1, 9, 4, 4), {}),
    ],
)
def test_what_does_not_fit_is_refused(weight: Value, out: tuple[int, ...], attributes: dict[str, Attribute]) -> None:
    with pytest.raises(ConfigurationError):
        emit(planned(conv(weight, out, attributes)))


@pytest.mark.parametrize(("how", "stride"), [("SAME_UPPER", 4), ("SAME_LOWER", 5)])
def test_convolutions_that_onnxruntime_begins_late_are_refused(how: str, stride: int) -> None:
    case = Single("Conv", floats(1, 1, 2 * stride), weights(1, 1, 1), auto_pad=how, strides=[stride])
    with pytest.raises(ConfigurationError, match="write pads"):
        compiled(case.model(OPSET))


def test_forms_that_are_not_known_name_the_operator() -> None:
    computed = Value("w", "float32", (2, 4, 3, 3))
    with pytest.raises(UnsupportedError, match="Conv has weights that are computed"):
        emit(planned(conv(computed, (1, 2, 4, 4), {})))
    with pytest.raises(UnsupportedError, match="negative padding"):
        emit(planned(conv(WEIGHT, (1, 2, 2, 4), {"pads": (-1, 0, -1, 0)})))


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 3, 4, 5, 16, 18])
@pytest.mark.parametrize("size", [3, 14, 25])
def test_every_kernel_and_gap(channels: int, size: int) -> None:
    """Depthwise convolutions and common ones, each kernel with each stride and hole."""
    x = floats(1, channels, size, size + 2)
    nodes, constants = [], {}
    for kernel in (1, 2, 3, 5, 6):
        for stride, hole in ((1, 1), (2, 1), (3, 1), (1, 2), (2, 3)):
            for group, filters in ((channels, channels), (1, 7)):
                name = f"{kernel} {stride} {hole} {group} {filters}"
                constants[name] = floats(filters, channels // group, kernel, kernel)
                spread = {"strides": [stride] * 2, "dilations": [hole] * 2, "pads": [kernel * hole // 2] * 4}
                nodes.append(helper.make_node("Conv", ["x", name], [f"y {name}"], group=group, **spread))
    model = model_of(nodes, {"x": x}, [node.output[0] for node in nodes], constants)
    against_onnxruntime(model, {"x": x}, 1e-6)
