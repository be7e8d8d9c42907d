"""Integer convolutions and products, against onnxruntime's own: the same quanta, and the same sums, to the last bit."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import NodeProto, helper

from protocol.errors import ConfigurationError
from publisher.compiler.errors import UnsupportedError
from publisher.compiler.operators import quantised_right
from publisher.compiler.operators.quantised_right import Right, deep_panels, panels
from tests.support.compiling import by_onnxruntime, compiled, model_of

Array = NDArray[Any]


class Case:
    """Nodes with inputs and constants, many of which make one model."""

    def __init__(self, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[NodeProto] = []
        self.inputs: dict[str, Array] = {}
        self.constants: dict[str, Array] = {}

    def drawn(self, dtype: str, *shape: int) -> Array:
        info = np.iinfo(dtype)
        return self.random.integers(info.min, info.max + 1, shape).astype(dtype)

    def constant(self, name: str, data: Any) -> str:
        self.constants[name] = np.asarray(data)
        return name

    def quantisation(self, name: str, scale: Any, zero: Any, dtype: str) -> list[str]:
        return [
            self.constant(f"{name}.scale", np.float32(scale)),
            self.constant(f"{name}.zero", np.asarray(zero, dtype)),
        ]

    def add(self, operator: str, inputs: list[str], **attributes: Any) -> None:
        self.nodes.append(helper.make_node(operator, inputs, [f"out{len(self.nodes)}"], **attributes))

    def conv(
        self, x: Array, w: Array, y: str, zeros: tuple[int, int, int], bias: bool = True, **attributes: Any
    ) -> None:
        at = f"n{len(self.nodes)}"
        self.inputs[f"{at}.x"] = x
        count = w.shape[0]
        # onnxruntime wants one zero point for all kernels of a ConvInteger.
        whole = w.dtype == np.uint8
        scales = 0.006 if whole else self.random.random(count) * 0.01 + 0.001
        points = zeros[1] if whole else [zeros[1]] * count
        given = [f"{at}.x", *self.quantisation(f"{at}.x", 0.02, zeros[0], x.dtype.name)]
        given += [self.constant(f"{at}.w", w), *self.quantisation(f"{at}.w", scales, points, w.dtype.name)]
        inner = float(np.prod(w.shape[1:]))
        given += self.quantisation(f"{at}.y", 0.012 * np.sqrt(inner), zeros[2], y)
        if bias:
            given.append(self.constant(f"{at}.b", self.random.integers(-5000, 5000, count).astype("i4")))
        self.add("QLinearConv", given, **attributes)
        self.add("ConvInteger", [f"{at}.x", f"{at}.w", f"{at}.x.zero", *[f"{at}.w.zero"] * whole], **attributes)

    def matmul(self, a: Array, b: Array, y: str, computed: bool = False) -> None:
        at = f"n{len(self.nodes)}"
        self.inputs[f"{at}.a"] = a
        (self.inputs if computed else self.constants)[f"{at}.b"] = b
        count = b.shape[-1] if b.ndim == 2 and not computed else 0
        middle = {each: 126 if each == "uint8" else -2 for each in ("int8", "uint8")}
        zero = middle[b.dtype.name]
        scales = self.random.random(count) * 0.01 + 0.001 if count else 0.006
        given = [f"{at}.a", *self.quantisation(f"{at}.a", 0.02, middle[a.dtype.name], a.dtype.name)]
        given += [f"{at}.b", *self.quantisation(f"{at}.b", scales, [zero] * count if count else zero, b.dtype.name)]
        given += self.quantisation(f"{at}.y", 0.012 * np.sqrt(a.shape[-1]), middle[y], y)
        self.add("QLinearMatMul", given)
        self.add("MatMulInteger", [f"{at}.a", f"{at}.b", f"{at}.a.zero", f"{at}.b.zero"])

    def check(self) -> None:
        outputs = [name for node in self.nodes for name in node.output]
        model = model_of(self.nodes, self.inputs, outputs, self.constants)
        for name, found, wanted in zip(
            outputs, compiled(model)(self.inputs), by_onnxruntime(model, self.inputs), strict=True
        ):
            assert len(np.unique(wanted)) > 3 or wanted.size < 8, name
            np.testing.assert_array_equal(found, wanted, name)


@pytest.fixture(name="form", params=["by pairs", "along the depth", pytest.param("of wide", marks=pytest.mark.slow)])
def packed_form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights packed in each way, whatever suits their size."""
    if request.param != "by pairs":
        monkeypatch.setattr(quantised_right, "LEAST_DEPTH", 1)
    if request.param == "of wide":
        monkeypatch.setattr(Right, "kind", property(lambda self: "BYTES" if self.weights is None else "WIDE"))


@pytest.mark.usefixtures("form")
def test_convolutions_make_the_quanta_and_the_sums_of_onnxruntime() -> None:
    case = Case()
    draw = case.drawn
    case.conv(draw("uint8", 1, 16, 9, 7), draw("int8", 24, 16, 1, 1), "uint8", (7, 0, 110))
    case.conv(
        draw("uint8", 2, 5, 9, 7), draw("int8", 11, 5, 3, 3), "uint8", (7, 0, 90), pads=[1, 1, 1, 1], strides=[2, 2]
    )
    case.conv(draw("uint8", 1, 12, 8, 8), draw("uint8", 18, 4, 3, 3), "uint8", (0, 131, 99), False, group=3,
              dilations=[2, 1], pads=[1, 0, 2, 1])  # fmt: skip
    case.conv(draw("uint8", 1, 6, 30), draw("int8", 8, 6, 5), "uint8", (3, 0, 128), auto_pad="SAME_LOWER")
    case.check()


def test_depthwise_convolutions_make_the_quanta_and_the_sums_of_onnxruntime() -> None:
    case = Case(1)
    draw = case.drawn
    case.conv(draw("uint8", 1, 16, 9, 9), draw("int8", 16, 1, 3, 3), "uint8", (7, 0, 110), group=16, pads=[1, 1, 1, 1])
    case.conv(draw("int8", 2, 20, 12, 13), draw("int8", 20, 1, 5, 4), "int8", (-128, 0, 4), group=20,
              pads=[2, 2, 2, 2], strides=[2, 2])  # fmt: skip
    case.conv(draw("uint8", 1, 9, 7, 14), draw("uint8", 9, 1, 2, 3), "uint8", (0, 3, 99), False, group=9,
              dilations=[2, 1], pads=[0, 2, 1, 0], strides=[1, 3])  # fmt: skip
    case.check()


@pytest.mark.slow
@pytest.mark.parametrize("stride", [1, 2])
def test_depthwise_convolutions_of_any_width_make_each_place_once_or_twice(stride: int) -> None:
    case = Case(stride)
    for width in (1, 2, 5, 6, 7, 10, 13):
        x, w = case.drawn("uint8", 1, 9, 4, stride * width), case.drawn("int8", 9, 1, 3, 3)
        case.conv(x, w, "uint8", (7, 0, 110), group=9, pads=[1] * 4, strides=[stride] * 2)
    case.check()


@pytest.mark.usefixtures("form")
def test_products_of_matrices_make_the_quanta_and_the_sums_of_onnxruntime() -> None:
    case = Case(2)
    draw = case.drawn
    case.matmul(draw("uint8", 5, 19), draw("int8", 19, 21), "uint8")
    case.matmul(draw("uint8", 1, 37), draw("uint8", 37, 13), "uint8")
    case.matmul(draw("uint8", 2, 1, 9, 16), draw("uint8", 3, 16, 12), "uint8", computed=True)
    case.matmul(draw("int8", 2, 3, 9, 16), draw("int8", 16, 12), "int8")
    case.matmul(draw("uint8", 4, 7, 16), draw("uint8", 4, 16, 5), "uint8")
    case.matmul(draw("uint8", 6, 67), draw("int8", 67, 9), "uint8")
    case.check()


@settings(max_examples=50)
@given(st.integers(1, 20), st.integers(1, 20))
def test_every_weight_lies_in_its_panel(inner: int, columns: int) -> None:
    weights = np.random.default_rng(inner * 21 + columns).integers(-128, 128, (inner, columns)).astype(np.int32)
    packed = panels(weights, "int8")
    rows, column = np.divmod(np.arange(inner * columns), columns)
    assert packed.shape == (-(-columns // 8), -(-inner // 2), 8, 2)
    np.testing.assert_array_equal(packed[column // 8, rows // 2, column % 8, rows % 2], weights.reshape(-1))
    assert np.count_nonzero(packed) == np.count_nonzero(weights)
    deep = deep_panels(weights, "int8")
    assert deep.shape == (-(-columns // 8) * 2, -(-inner // 8), 4, 8)
    np.testing.assert_array_equal(deep[column // 4, rows // 8, column % 4, rows % 8], weights.reshape(-1))
    assert np.count_nonzero(deep) == np.count_nonzero(weights)


@pytest.mark.parametrize(
    ("low", "high", "kind", "shift"), [(-128, 127, "NARROW", 0), (0, 255, "NARROW", -128), (-200, 200, "WIDE", 72)]
)
def test_weights_are_stored_in_bytes_where_their_range_allows_it(low: int, high: int, kind: str, shift: int) -> None:
    right = Right(2, 1, np.array([[[low], [high]]], np.int32))
    assert (right.kind, right.shift) == (kind, shift)


def test_forms_that_are_not_known_are_refused_with_a_remedy() -> None:
    case = Case(3)
    at = case.drawn("uint8", 2, 4)
    given = ["a", *case.quantisation("a", [0.1, 0.2], [1, 2], "uint8"), case.constant("b", case.drawn("int8", 4, 3))]
    given += [*case.quantisation("b", 0.1, 0, "int8"), *case.quantisation("y", 0.1, 0, "uint8")]
    case.add("QLinearMatMul", given)
    with pytest.raises(UnsupportedError, match=r"for each row.*per tensor"):
        compiled(model_of(case.nodes, {"a": at}, ["out0"], case.constants))


def test_groups_that_do_not_fit_are_wrong() -> None:
    case = Case(4)
    case.conv(case.drawn("uint8", 1, 6, 4, 4), case.drawn("int8", 4, 3, 1, 1), "uint8", (0, 0, 0), group=3)
    with pytest.raises(ConfigurationError):
        compiled(model_of(case.nodes, case.inputs, ["out0"], case.constants))
