"""The check finds what differs, by the right measure, and draws the same samples everywhere."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from protocol.errors import ConfigurationError
from publisher.compiler.check import (
    Answer,
    Arrays,
    Sample,
    check,
    merged,
    random_samples,
    relative_error,
    require,
    whole_ranges,
)
from publisher.compiler.errors import MismatchError
from publisher.compiler.graph import Graph, Node, Value

INPUTS = [Value("x", "float32", (4,)), Value("i", "int64", (2,)), Value("b", "bool", (3,)), Value("q", "uint8", (5,))]


def array(*values: float) -> NDArray[Any]:
    return np.array(values, np.float32)


def always(*outputs: NDArray[Any]) -> Answer:
    return lambda _: outputs


def test_samples_are_of_the_model_s_types_and_the_same_each_time() -> None:
    first, again = random_samples(INPUTS), random_samples(INPUTS)
    for one, other in zip(first, again, strict=True):
        assert [(each.dtype.name, each.shape) for each in one.inputs] == [(v.dtype, v.shape) for v in INPUTS]
        assert [each.tobytes() for each in one.inputs] == [each.tobytes() for each in other.inputs]
    assert {each.kind for each in first} == {"normal", "uniform", "wide", "zeros"}


@pytest.mark.parametrize(
    ("expected", "found", "error"),
    [
        ([0.0, 1.0], [0.0, 1.0], 0.0),
        ([0.0, 10.0], [0.0, 9.0], 0.1),
        ([1000.0, 1000.5], [1000.0, 1000.6], 0.1 / 1000.5),
        ([5.0], [5.5], 0.1),
        ([0.0, 0.0], [0.0, 0.25], 0.25),
        ([float("nan"), 1.0], [float("nan"), 1.0], 0.0),
        ([float("nan"), 1.0], [0.0, 1.0], float("inf")),
        ([1.0, 2.0], [1.0, float("nan")], float("inf")),
        ([float("inf"), 2.0], [float("-inf"), 2.0], float("inf")),
        ([float("inf"), 2.0], [float("inf"), 2.0], 0.0),
    ],
)
def test_an_error_is_relative_to_the_range(expected: list[float], found: list[float], error: float) -> None:
    assert relative_error([array(*expected)], [array(*found)]) == pytest.approx(error, rel=1e-3)


def test_outputs_next_to_nothing_are_measured_by_what_other_inputs_bring() -> None:
    """A detector answers noise with 1e-5, and something with 1."""
    samples = [Sample("normal", (array(1e-5, 0),)), Sample("wide", (array(1, 0),))]

    def changed(inputs: Arrays) -> Arrays:
        return (inputs[0] + np.float32(1e-7),)

    assert check(samples, lambda inputs: inputs, changed, ["y"]).error == pytest.approx(1e-5, rel=0.1)
    assert check(samples[:1], lambda inputs: inputs, changed, ["y"]).error == pytest.approx(1e-2, rel=0.1)
    assert check(samples[:1], lambda inputs: inputs, changed, ["y"], ranges={"y": 1}).error == pytest.approx(
        1e-5, rel=0.1
    )


def test_outputs_of_bounded_operators_have_a_range() -> None:
    nodes = (Node("Tanh", ("x",), ("t",)), Node("Sigmoid", ("x",), ("s",)), Node("Reshape", ("s", "c"), ("r",)))
    values = {name: Value(name, "float32", (4,)) for name in ("x", "t", "s", "r")}
    graph = Graph((*nodes, Node("Add", ("s", "t"), ("a",))), values, ("x",), ("t", "r", "a", "x"))
    assert whole_ranges(graph) == {"t": 2.0, "r": 1.0}


@given(st.integers(0, 9), st.sampled_from([1e-3, 1.0, float("nan")]))
def test_whichever_sample_differs_is_found(place: int, change: float) -> None:
    samples = random_samples([INPUTS[0]])

    def changed(inputs: Arrays) -> Arrays:
        found = inputs[0].copy()
        if inputs is samples[place].inputs:
            found[1] += change * max(1.0, float(np.abs(found).max()))
        return (found,)

    checked = check(samples, lambda inputs: inputs, changed, ["y"])
    assert checked.errors[0].kind == samples[place].kind
    with pytest.raises(MismatchError, match="answers otherwise"):
        require(checked)
    require(check(samples, lambda inputs: inputs, lambda inputs: inputs, ["y"]))


@pytest.mark.parametrize("number", [0.0, 3.0, float("nan")])
def test_an_output_that_no_input_changes_is_known(number: float) -> None:
    samples = random_samples([INPUTS[0]])
    still = check(samples, always(array(number, 1)), always(array(number, 1)), ["y"])
    moving = check(samples, lambda inputs: inputs, lambda inputs: inputs, ["y"])
    assert still.errors[0].same
    assert not moving.errors[0].same
    assert not merged([still, moving]).errors[0].same
    assert not check(samples[:1], lambda inputs: inputs, lambda inputs: inputs, ["y"]).errors[0].same


def test_the_worst_of_several_outputs_is_named() -> None:
    one, other = always(array(0, 1), array(0, 1)), always(array(0, 1), array(0, 2))
    with pytest.raises(MismatchError) as raised:
        require(check([Sample("sample", ())], one, other, ["first", "second"]))
    assert raised.value.finding is not None
    assert raised.value.finding.claim == "output 'second'"


@pytest.mark.parametrize(
    "found", [array(0, 1).astype(np.float64), array(0, 1).reshape(1, 2), array(0, 1).astype(np.int32)]
)
def test_another_type_or_shape_is_refused(found: NDArray[Any]) -> None:
    with pytest.raises(MismatchError, match="type or shape"):
        check([Sample("sample", ())], always(array(0, 1)), always(found), ["y"])


def test_inputs_that_both_refuse_are_skipped_and_that_one_refuses_is_a_mismatch() -> None:
    odd = [Sample("sample", (array(number),)) for number in range(4)]

    def refuses_odd(inputs: Arrays) -> Arrays | None:
        return None if inputs[0][0] % 2 else inputs

    checked = check(odd, refuses_odd, refuses_odd, ["y"])
    assert (checked.compared, checked.skipped) == ({"sample": 2}, 2)
    with pytest.raises(MismatchError, match="the module refuses"):
        check(odd, lambda inputs: inputs, refuses_odd, ["y"])
    with pytest.raises(MismatchError, match="onnxruntime refuses"):
        check(odd, refuses_odd, lambda inputs: inputs, ["y"])
    with pytest.raises(ConfigurationError, match="--sample"):
        check(odd, lambda _: None, lambda _: None, ["y"])
