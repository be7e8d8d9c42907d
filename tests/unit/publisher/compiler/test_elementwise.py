"""Arithmetic, functions, activations, comparison, casts: against onnxruntime, one module for all."""

from typing import Any

import numpy as np
import pytest
from onnx import helper

from protocol.errors import EnclaveError
from publisher.compiler.errors import UnsupportedError
from tests.support.compiling import compiled, model_of
from tests.support.single_nodes import Constant, Single, Table, const

RNG = np.random.default_rng(7)


def floats(*shape: int, dtype: str = "float32") -> Any:
    return (RNG.standard_normal(shape) * 3).astype(dtype)


def whole(*shape: int, dtype: str = "int32", low: int = -50, high: int = 50) -> Any:
    return RNG.integers(low, high, shape).astype(dtype)


SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, -1e-40, 88.0, -88.0, 3e38, -3e38], np.float32)
X, POSITIVE, UNIT = floats(3, 7), abs(floats(3, 7)) + 0.1, np.tanh(floats(3, 7))
ARITHMETIC = {
    "add channels": Single("Add", floats(2, 5, 6, 3), floats(5, 1, 1)),
    "sub both broadcast": Single("Sub", floats(4, 1, 5), floats(3, 1)),
    "mul scalar": Single("Mul", floats(33), floats()),
    "div float64": Single("Div", floats(9, dtype="float64"), floats(9, dtype="float64") + 9),
    "div rounds towards zero": Single("Div", whole(40), whole(40, low=1)),
    "div of the least": Single(
        "Div", np.int32([-(2**31), 7]), np.int32([-1, -2]), expected=lambda a, b: np.int32([-(2**31), -3])
    ),
    "mul wraps": Single("Mul", np.int8([100, -128]), np.int8([3, -1]), expected=lambda a, b: np.int8([44, -128])),
    "mod": Single("Mod", whole(40), whole(40, low=1) * np.int32(-1)),
    "fmod": Single("Mod", floats(40), floats(40), fmod=1),
    "fmod of integers": Single("Mod", whole(40, dtype="int64"), whole(40, dtype="int64", low=1), fmod=1),
    "pow": Single("Pow", POSITIVE, X),
    "square": Single("Pow", X, const(2.0, dtype="float32")),
    "pow of integers": Single("Pow", whole(9, low=-5, high=5), np.int32([0, 1, 2, 3, 4, 5, 6, 7, 8])),
    "max keeps NaN": Single("Max", SPECIAL, SPECIAL[::-1].copy(), floats(1)),
    "min of three": Single("Min", floats(2, 3), floats(3), floats(2, 1)),
    "mean": Single("Mean", floats(2, 3), floats(3), floats(2, 1)),
    "clip": Single("Clip", X, Constant(np.float32(-1)), None),
    "clip by both": Single("Clip", whole(20), np.int32(-5), np.int32(6)),
    "shift left": Single("BitShift", whole(8, dtype="uint8", low=0), np.arange(8, dtype=np.uint8), direction="LEFT"),
    "shift right": Single(
        "BitShift", whole(8, dtype="uint64", low=0), np.arange(8, dtype=np.uint64), direction="RIGHT"
    ),
    "xor of bits": Single("BitwiseXor", whole(2, 9), whole(9)),
    "not of bits": Single("BitwiseNot", whole(9)),
}
FUNCTIONS = {
    **{name: Single(name, X) for name in ("Sin", "Cos", "Tan", "Atan", "Sinh", "Cosh", "Asinh", "Ceil", "Floor")},
    **{name: Single(name, UNIT) for name in ("Asin", "Acos", "Atanh")},
    **{name: Single(name, POSITIVE) for name in ("Log", "Sqrt", "Reciprocal")},
    "Acosh": Single("Acosh", POSITIVE + np.float32(1)),
    "Round": Single("Round", np.float32([0.5, 1.5, 2.5, -0.5, -1.5, 2.4, 2.6])),
    "Exp": Single("Exp", X),
    "Erf": Single("Erf", X),
    "Erf of float64": Single("Exp", floats(5, dtype="float64")),
    "Sign": Single("Sign", whole(9)),
    "Abs": Single("Abs", whole(9, dtype="int8")),
    "Neg": Single("Neg", X),
    "Shrink": Single("Shrink", X, lambd=1.0, bias=0.5),
    "Shrink of nothing": Single("Shrink", X, lambd=-1.0, bias=-0.5),
}
ACTIVATIONS = {
    **{
        name: Single(name, X)
        for name in ("Relu", "Tanh", "Sigmoid", "Softplus", "Softsign", "HardSwish", "Mish", "Gelu")
    },
    **{f"{name} of anything": Single(name, SPECIAL) for name in ("Relu", "Tanh", "Sigmoid", "Elu")},
    "Gelu by tanh": Single("Gelu", X, approximate="tanh"),
    "LeakyRelu": Single("LeakyRelu", X, alpha=0.3),
    "PRelu": Single("PRelu", floats(2, 5, 3, 3), floats(5, 1, 1)),
    "ThresholdedRelu": Single("ThresholdedRelu", X, alpha=0.7),
    "HardSigmoid": Single("HardSigmoid", X, alpha=0.3, beta=0.4),
    "Elu": Single("Elu", X, alpha=1.3),
    "Celu": Single("Celu", X, alpha=1.3),
    "Selu": Single("Selu", X),
    "Tanh of a few": Single("Tanh", floats(3)),
}
BOOLEANS = {
    "Greater": Single("Greater", X, floats(7)),
    "LessOrEqual": Single("LessOrEqual", whole(9), whole(9)),
    "Equal": Single("Equal", whole(99, low=0, high=3), whole(99, low=0, high=3)),
    "And": Single("And", X > 0, X[0] > 0),
    "Xor": Single("Xor", X > 0, X[0] > 0),
    "Not": Single("Not", X > 0),
    "Where": Single("Where", X > 0, X, floats(3, 1)),
    "IsNaN": Single("IsNaN", SPECIAL),
    "IsInf": Single("IsInf", SPECIAL, detect_negative=0),
    "of unclean booleans": Single(
        "Equal", np.array([2, 1, 0], np.uint8).view(bool), np.array([1, 255, 0], np.uint8).view(bool),
        expected=lambda a, b: np.array([True, True, True]),
    ),
}  # fmt: skip
CASTS = {
    f"{source} to {target}": Single(
        "Cast", whole(20, low=0, high=100).astype(source), to=helper.np_dtype_to_tensor_dtype(np.dtype(target))
    )
    for source in ("float32", "int64", "uint8", "bool", "float64")
    for target in ("float32", "int32", "int8", "bool", "uint16", "int64")
} | {
    "what does not fit": Single(
        "Cast", np.float32([1e30, -1e30, np.nan, 2.9, -2.9]), to=6,
        expected=lambda x: np.int32([2**31 - 1, -(2**31), 0, 2, -2]),
    ),
    "narrow ones wrap": Single("Cast", np.float32([300.0, -1.0]), to=2, expected=lambda x: np.uint8([44, 255])),
}  # fmt: skip
TABLE = Table({**ARITHMETIC, **FUNCTIONS, **ACTIVATIONS, **BOOLEANS, **CASTS})


@pytest.mark.parametrize("name", TABLE.cases)
def test_answers_as_onnxruntime_does(name: str) -> None:
    TABLE.check(name)


def test_dividing_an_integer_by_zero_is_impossible_input() -> None:
    b = np.int32([1, 0])
    model = compiled(model_of([helper.make_node("Div", ["a", "b"], ["c"])], {"a": b, "b": b}, ["c"]))
    with pytest.raises(EnclaveError, match="does not take this input"):
        model([b, b])
    assert model([b, b + 1])[0].tolist() == [0, 0]


def test_an_approximation_that_nobody_knows_is_refused_with_what_to_do() -> None:
    x = floats(3)
    with pytest.raises(UnsupportedError, match=r"Gelu .*'sinh'.*export it with"):
        compiled(model_of([helper.make_node("Gelu", ["x"], ["y"], approximate="sinh")], {"x": x}, ["y"]))
