"""LSTM, GRU and RNN in all their forms, in the runtime, against onnxruntime."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper

from protocol.errors import ConfigurationError
from publisher.compiler.errors import UnsupportedError
from tests.support.compiling import against_onnxruntime, close, compiled, model_of

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
FUNCTIONS = {"LSTM": 3, "GRU": 2, "RNN": 1}
STEPS, BATCH, INPUTS = 5, 3, 6
Array = NDArray[Any]


class Nodes:
    """Several recurrent nodes in one model, which share its input x: one compilation tests them all."""

    def __init__(self, seed: int = 0, *, batch_first: bool = False) -> None:
        self.random = np.random.default_rng(seed)
        shape = (BATCH, STEPS, INPUTS) if batch_first else (STEPS, BATCH, INPUTS)
        self.inputs = {"x": self.array(*shape)}
        self.batch_first = batch_first
        self.constants: dict[str, Array] = {}
        self.nodes: list[onnx.NodeProto] = []
        self.outputs: list[str] = []

    def array(self, *shape: int) -> Array:
        return self.random.uniform(-1, 1, shape).astype("f4")

    def add(
        self,
        operator: str,
        hidden: int = 5,
        *,
        optional: Sequence[str] = (),
        lengths: Sequence[int] = (),
        computed: bool = False,
        outputs: str = "yhc",
        **attributes: Any,
    ) -> None:
        """`optional`: which of bias, h, c and peepholes the node is given; `computed`: weights are inputs."""
        number, directions = len(self.nodes), 2 if attributes.get("direction") == "bidirectional" else 1
        rows = GATES[operator] * hidden
        state = (BATCH, directions, hidden) if self.batch_first else (directions, BATCH, hidden)
        wanted = {
            "w": self.array(directions, rows, INPUTS),
            "r": self.array(directions, rows, hidden),
            "bias": self.array(directions, 2 * rows),
            "lengths": np.array(lengths or [STEPS] * BATCH, "i4"),
            "h": self.array(*state),
            "c": self.array(*state),
            "peepholes": self.array(directions, 3 * hidden),
        }
        given = {"w", "r", *optional, *(["lengths"] if lengths else [])}
        names = ["x", *(f"{name}{number}" if name in given else "" for name in wanted)]
        into = self.inputs if computed else self.constants
        into.update({f"{name}{number}": wanted[name] for name in wanted if name in given})
        made = [f"{each}_out{number}" if each in outputs else "" for each in ("yhc" if operator == "LSTM" else "yh")]
        while not names[-1]:
            names.pop()
        self.nodes.append(helper.make_node(operator, names, made, hidden_size=hidden, **attributes))
        self.outputs += [each for each in made if each]

    def check(self) -> None:
        against_onnxruntime(self.model(), self.inputs, 1e-6)

    def model(self) -> onnx.ModelProto:
        return model_of(self.nodes, self.inputs, self.outputs, self.constants)


def test_a_few_forms() -> None:
    nodes = Nodes(9)
    nodes.add("LSTM", 6, optional=["bias", "h", "c", "peepholes"], direction="bidirectional")
    nodes.add("GRU", 5, optional=["bias", "h"], linear_before_reset=1, lengths=[5, 2, 1], direction="reverse")
    nodes.add("GRU", 4, optional=["bias"], computed=True)
    nodes.add("RNN", 8, clip=0.5)
    nodes.check()


@pytest.mark.slow
def test_directions_states_and_lengths() -> None:
    nodes = Nodes()
    for operator in GATES:
        optional = ["bias", "h", "c"] if operator == "LSTM" else ["bias", "h"]
        nodes.add(operator, 8)
        nodes.add(operator, 5, optional=optional, direction="bidirectional", computed=True)
        nodes.add(operator, 7, optional=optional, direction="reverse", lengths=[5, 2, 1])
        nodes.add(operator, 1, optional=["bias"], direction="bidirectional", lengths=[3, 1, 4], computed=True)
    nodes.check()


@pytest.mark.slow
def test_attributes() -> None:
    nodes = Nodes(1)
    nodes.add("LSTM", 6, optional=["bias", "peepholes", "c"], clip=0.4)
    nodes.add("LSTM", 4, optional=["bias", "peepholes"], computed=True, outputs="h")
    nodes.add("LSTM", 5, input_forget=1, outputs="c")
    nodes.add("GRU", 6, optional=["bias", "h"], linear_before_reset=1, direction="bidirectional", clip=0.7)
    nodes.add("GRU", 3, linear_before_reset=1, outputs="y")
    nodes.add("GRU", 9, optional=["bias"], linear_before_reset=1, computed=True)
    nodes.add("RNN", 6, optional=["bias"], clip=0.3, direction="reverse")
    nodes.check()


@pytest.mark.slow
def test_functions() -> None:
    nodes = Nodes(2)
    names = ["Relu", "Tanh", "Sigmoid", "LeakyRelu", "HardSigmoid", "Elu"]
    for name in [*names, "Softsign", "Softplus"]:
        nodes.add("RNN", 6, activations=[name])
    # onnxruntime takes 0 for alpha of these where ONNX says 1.
    nodes.add("RNN", 4, activations=["Affine"], activation_alpha=[0.3], activation_beta=[0.1])
    nodes.add("RNN", 4, activations=["ThresholdedRelu"], activation_alpha=[0.2])
    nodes.add("RNN", 4, activations=["ScaledTanh"], activation_alpha=[0.9], activation_beta=[1.1])
    nodes.add(
        "LSTM",
        5,
        direction="bidirectional",
        activations=["HardSigmoid", "Elu", "ScaledTanh", "Sigmoid", "LeakyRelu", "Tanh"],
        activation_alpha=[0.3, 0.5, 0.9, 0.2],
        activation_beta=[0.4, 0.8],
    )
    nodes.add("GRU", 5, activations=["hardsigmoid", "softsign"])
    nodes.check()


@pytest.mark.slow
def test_batch_first_is_the_same_transposed() -> None:
    first, then = Nodes(3, batch_first=True), Nodes(3)
    for nodes in (first, then):
        for operator in GATES:
            nodes.random = np.random.default_rng(4)
            layout = {"layout": 1} if nodes.batch_first else {}
            nodes.add(operator, 5, optional=["bias"], direction="bidirectional", lengths=[5, 1, 3], **layout)
    x = np.random.default_rng(5).normal(size=(STEPS, BATCH, INPUTS)).astype("f4")
    expected = dict(zip(then.outputs, compiled(then.model())([x]), strict=True))
    for name, found in zip(first.outputs, compiled(first.model())([x.transpose(1, 0, 2)]), strict=True):
        order = (2, 0, 1, 3) if name.startswith("y") else (1, 0, 2)
        close(found, expected[name].transpose(order), 1e-6, name)


@pytest.mark.slow
def test_long_sequences_and_padded_units() -> None:
    x = np.random.default_rng(6).normal(size=(40, 2, 33)).astype("f4")
    nodes = Nodes(6)
    nodes.inputs["x"] = x
    for operator, gates in GATES.items():
        rows = gates * 30
        number = len(nodes.nodes)
        nodes.constants |= {
            f"w{number}": nodes.array(1, rows, 33) / 5,
            f"r{number}": nodes.array(1, rows, 30) / 5,
        }
        nodes.nodes.append(
            helper.make_node(operator, ["x", f"w{number}", f"r{number}"], [f"y{number}"], hidden_size=30)
        )
        nodes.outputs.append(f"y{number}")
    nodes.check()


def test_a_length_out_of_range_is_an_invalid_input() -> None:
    nodes = Nodes(7)
    nodes.add("RNN", 4, lengths=[1, 2, 3], computed=True)
    run = compiled(nodes.model())
    run(nodes.inputs)
    for wrong in (STEPS + 1, -1, 2**31 - 1, -(2**31)):
        nodes.inputs["lengths0"] = np.array([1, wrong, 3], "i4")
        with pytest.raises(Exception, match="input"):
            run(nodes.inputs)


def refused(**attributes: Any) -> str:
    nodes = Nodes(8)
    nodes.add("LSTM", 4, **attributes)
    with pytest.raises(ConfigurationError) as told:
        compiled(nodes.model())
    return str(told.value)


def test_what_is_refused() -> None:
    assert "activation" in refused(activations=["Cubic", "Tanh", "Tanh"])
    assert r"3 activation" in refused(activations=["Tanh", "Tanh"])
    nodes = Nodes(8)
    nodes.add("LSTM", 4)
    nodes.constants["r0"] = nodes.array(1, 16, 5)
    with pytest.raises(ConfigurationError):
        compiled(nodes.model())
    assert issubclass(UnsupportedError, ConfigurationError)
