"""What a description says of a model: names that anybody can write, class names where they fit, limits with room."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import ConfigurationError
from publisher.compiler.compiling import CompiledModel
from publisher.compiler.emission import Program
from publisher.compiler.graph import Graph, Value
from schemas.model import TensorSpec
from sealedge.operations.build_description import (
    MILLISECONDS,
    describe,
    labelled,
    milliseconds,
    model_name,
    tensor_names,
)
from sealedge.operations.build_options import normalise

TWO, THREE = ("no", "yes"), ("a", "b", "c")


def graph(labels: dict[str, tuple[str, ...]] | None = None, **outputs: tuple[str, tuple[int, ...]]) -> Graph:
    values = {name: Value(name, dtype, shape) for name, (dtype, shape) in outputs.items()}
    return Graph((), values, (), tuple(outputs), labels or {})


@given(st.lists(st.text(max_size=80), max_size=8))
def test_names_are_plain_and_none_is_there_twice(names: list[str]) -> None:
    found = tensor_names(names)
    assert len(set(found)) == len(found) == len(names)
    assert all(each.isascii() and each.isprintable() and 1 <= len(each) <= 64 and '"' not in each for each in found)


def test_classes_go_to_the_outputs_that_they_fit() -> None:
    scores, numbers, chance = ("float32", (1, 3)), ("int64", (1,)), ("float32", (1, 1))
    assert labelled(graph(s=scores, n=numbers), {"": THREE}) == {"s": THREE}
    assert labelled(graph(s=("float32", (1, 9)), n=numbers), {"": THREE}) == {"n": THREE}
    assert labelled(graph(p=chance), {"": TWO}) == {"p": TWO}
    assert labelled(graph({"n": THREE}, s=scores, n=numbers), {}) == {"n": THREE}
    assert labelled(graph({"s": TWO}, s=scores, n=numbers), {"s": THREE}) == {"s": THREE}
    assert labelled(graph({"s": ("a\x1b", "b\n", "c" * 300)}, s=scores), {}) == {"s": ("a?", "b?", "c" * 256)}
    for wrong in ({"": TWO}, {"t": THREE}):
        with pytest.raises(ConfigurationError, match="no output"):
            labelled(graph(s=scores), wrong)


@given(st.floats(0, 10))
def test_limits_of_time_have_room_and_few_values(seconds: float) -> None:
    assert milliseconds(seconds) in MILLISECONDS
    assert milliseconds(seconds) >= min(20 * 1000 * seconds, MILLISECONDS[-1])


@pytest.mark.parametrize(
    ("file", "name"), [("Net_v2.final.onnx", "net-v2-final"), ("__.wasm", "model"), ("Ä" * 50 + ".wasm", "model")]
)
def test_a_name_is_made_of_the_file_s(file: str, name: str) -> None:
    assert model_name(None, Path(file)) == name
    assert model_name("said", Path(file)) == "said"


def test_the_file_is_toml_whatever_the_class_names() -> None:
    hostile = ('"]\nname = "x', "\\u0000", "\x7f", "é")
    values = {"x": Value("x", "float32", ()), "y": Value("y", "float32", (1, 4))}
    compiled = CompiledModel(b"", Graph((), values, ("x",), ("y",)), Program("", b"", 4, 16, 0, 0), "sealedge", "")
    limits = {"memory_bytes": 65536, "milliseconds": 1000, "output_bytes": 16}
    text = describe(compiled, {"y": hostile}, "m", limits, ()).toml()
    assert tomllib.loads(text) == {
        "name": "m",
        "inputs": [{"name": "x", "dtype": "float32", "shape": []}],
        "outputs": [{"name": "y", "dtype": "float32", "shape": [1, 4], "labels": list(hostile)}],
        "limits": limits,
    }
    assert TensorSpec.model_validate({**tomllib.loads(text)["outputs"][0], "labels": hostile, "shape": (1, 4)})


def test_normalisation_is_read_part_by_part() -> None:
    [step] = normalise(["x=y=mean:1,2.5,-3,std:4,type:uint8,layout:nhwc"]).values()
    assert (step.name, step.mean, step.std, step.raw, step.channels_last) == ("x=y", (1, 2.5, -3), (4,), "uint8", True)
    [step] = normalise(["x=std:2"]).values()
    assert (step.mean, step.std, step.raw, step.channels_last) == ((0.0,), (2,), "float32", False)
