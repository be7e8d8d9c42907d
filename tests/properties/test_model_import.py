"""Whatever the bytes, a model becomes a graph and C, or one clear line, in bounded time.

Models are imported in child processes, many in each, because what reads them may crash; one that did is imported once
more as users import it.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from random import Random

import cbor2
import numpy as np
import onnx
import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from protocol.errors import ConfigurationError
from publisher.compiler.importing import import_model, import_model_untrusted
from publisher.compiler.importing.transfer import decode_untrusted, encode

SECONDS = 5.0
"""For one model: far more than any of these small ones takes."""
CHILD = """
import sys, time, cbor2
sys.path[:] = sys.argv[1:]
from protocol.errors import ConfigurationError
from publisher.compiler.emission import emit
from publisher.compiler.importing import import_model
from publisher.compiler.planning import planned
for data in cbor2.loads(sys.stdin.buffer.read()):
    start = time.process_time()
    try:
        emit(planned(import_model(data)))
        line = ""
    except ConfigurationError as refusal:
        line = refusal.diagnostics
    except BaseException as other:
        line = chr(10) + repr(other)
    print(repr((line, time.process_time() - start)), flush=True)
"""


@cache
def seeds() -> tuple[bytes, ...]:
    """A perceptron, a convolution with shapes computed at run time, a recurrent layer with a decided branch."""
    return tuple(each.SerializeToString() for each in (_perceptron(), _convolution(), _recurrent()))


def _info(name: str, *shape: int | str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)


def _model(
    nodes: list[onnx.NodeProto], source: onnx.ValueInfoProto, target: str, **constants: object
) -> onnx.ModelProto:
    weights = [numpy_helper.from_array(np.asarray(each), name) for name, each in constants.items()]
    graph = helper.make_graph(nodes, "g", [source], [onnx.ValueInfoProto(name=target)], weights)
    graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    graph.output[0].type.tensor_type.shape.SetInParent()
    del graph.output[0].type.tensor_type.shape.dim[:]
    for name in ("a", "b"):
        graph.output[0].type.tensor_type.shape.dim.add(dim_param=name)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def _numbers(*shape: int) -> object:
    return np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape)


def _perceptron() -> onnx.ModelProto:
    nodes = [helper.make_node("Gemm", ["x", "w", "c"], ["h"]), helper.make_node("Relu", ["h"], ["y"])]
    return _model(nodes, _info("x", "batch", 4), "y", w=_numbers(4, 3), c=_numbers(3))


def _convolution() -> onnx.ModelProto:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["h"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Slice", ["s", "zero", "one"], ["n"]),
        helper.make_node("Concat", ["n", "rest"], ["shape"], axis=0),
        helper.make_node("Reshape", ["h", "shape"], ["y"]),
    ]
    lists = {"zero": np.array([0]), "one": np.array([1]), "rest": np.array([-1])}
    return _model(nodes, _info("x", "batch", 2, 5, 5), "y", w=_numbers(3, 2, 3, 3), **lists)


def _recurrent() -> onnx.ModelProto:
    shape = _info("z", "a", "b")
    branches = [helper.make_graph([helper.make_node(each, ["h"], ["z"])], each, [], [shape]) for each in ("Neg", "Exp")]
    nodes = [
        helper.make_node("GRU", ["x", "w", "r"], ["all", "end"], hidden_size=2),
        helper.make_node("Squeeze", ["end", "zero"], ["h"]),
        helper.make_node("If", ["yes"], ["y"], then_branch=branches[0], else_branch=branches[1]),
    ]
    constants = {"w": _numbers(1, 6, 3), "r": _numbers(1, 6, 2), "zero": np.array([0]), "yes": np.array(True)}
    return _model(nodes, _info("x", 2, "batch", 3), "y", **constants)


def damaged(random: Random) -> bytes:
    """A model with bytes changed, cut out, doubled or put in, or a part of another model in it."""
    data = bytearray(random.choice(seeds()))
    for _ in range(random.randint(1, 3)):
        at, length = random.randrange(len(data)), random.randint(1, 12)
        kind = random.choice(["change", "change", "cut", "double", "insert", "splice"])
        if kind == "change":
            data[at] = random.randrange(256)
        elif kind == "cut":
            del data[at : at + length]
        elif kind == "double":
            data[at:at] = data[at : at + 8 * length]
        elif kind == "insert":
            data[at:at] = random.randbytes(length)
        else:
            data[at : at + length] = random.choice(seeds())[at : at + 4 * length]
    return bytes(data)


NUMBERS = ("0", "-1", "7", str(2**31), str(2**62))
WORDS = ('""', '"x"', '"y"', '"Loop"', '"Shape"', r'"\n"')
PLACES = re.compile(r'(?m)(?<=: )(-?\d+|"[^"\\]*")$')


@cache
def texts() -> tuple[str, ...]:
    return tuple(text_format.MessageToString(onnx.ModelProto.FromString(each)) for each in seeds())


def edited() -> Iterator[bytes]:
    """Every number of the models in turn replaced by ones that overflow, every name by others."""
    for text in texts():
        for found in PLACES.finditer(text):
            for word in WORDS if found[0].startswith('"') else NUMBERS:
                yield from _of_text(text[: found.start()] + word + text[found.end() :])


def edited_often(random: Random) -> Iterator[bytes]:
    """A few numbers and names of a model replaced by others of the same model."""
    text = random.choice(texts())
    for _ in range(random.randint(2, 4)):
        found = random.choice(list(PLACES.finditer(text)))
        words = [each[0] for each in PLACES.finditer(text) if each[0].startswith('"') == found[0].startswith('"')]
        text = text[: found.start()] + random.choice(words) + text[found.end() :]
    yield from _of_text(text)


def _of_text(text: str) -> Iterator[bytes]:
    with suppress(text_format.ParseError):  # the number does not fit the field
        yield text_format.Parse(text, onnx.ModelProto()).SerializeToString()


def examine(models: list[bytes]) -> set[str]:
    """What each was refused for ("" for a graph); fails if one was neither taken nor refused, or took too long."""
    lines: set[str] = set()
    done = 0
    while done < len(models):
        command = [sys.executable, "-c", CHILD, *sys.path]
        request = cbor2.dumps(models[done:])
        child = subprocess.run(command, input=request, capture_output=True, timeout=300, check=False)
        answers = [eval(each) for each in child.stdout.decode().splitlines()]
        for line, seconds in answers:
            assert line.isprintable() or not line, line
            assert len(line) < 900
            assert seconds < SECONDS, line
            lines.add(line)
        done += len(answers)
        if child.returncode:
            lines.add(crashed(models[done]))
            done += 1
    return lines


def crashed(data: bytes) -> str:
    """The line for a model that crashed the process that read it, or "" when only onnxruntime does."""
    try:
        import_model_untrusted(data)
    except ConfigurationError as refusal:
        return refusal.diagnostics
    return ""


def test_the_models_themselves_are_taken() -> None:
    assert examine(list(seeds())) == {""}


@pytest.mark.slow
def test_damaged_models_are_taken_or_refused() -> None:
    random = Random(1)
    lines = examine([damaged(random) for _ in range(150)])
    assert len(lines) > 10


@pytest.mark.slow
def test_edited_models_are_taken_or_refused() -> None:
    lines = examine(list(edited())[::25])
    assert len(lines) > 10


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_many_damaged_models_are_taken_or_refused(seed: int) -> None:
    random = Random(f"many {seed}")
    assert len(examine([damaged(random) for _ in range(2500)])) > 50


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_models_edited_often_are_taken_or_refused(seed: int) -> None:
    random = Random(f"often {seed}")
    assert len(examine([each for _ in range(1500) for each in edited_often(random)])) > 50


@pytest.mark.slow
def test_all_edited_models_are_taken_or_refused() -> None:
    assert len(examine(list(edited()))) > 50


@cache
def graphs() -> tuple[bytes, ...]:
    return tuple(encode(import_model(each)) for each in seeds())


@given(st.data())
def test_what_a_child_process_says_is_checked(data: st.DataObject) -> None:
    whole = bytearray(data.draw(st.sampled_from(graphs())))
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with suppress(ConfigurationError):
        graph = decode_untrusted(bytes(whole))
        for value in graph.values.values():
            assert value.data is None or (value.data.shape, value.data.dtype.name) == (value.shape, value.dtype)
