"""A trained recurrent model all the way: ONNX, `sealedge build --state`, an enclave's runtime, two sensors in turn.

What each sensor is answered is what onnxruntime answers when it is handed back its own states.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge_agent.enclave.running.runtime import Runtime
from protocol.carried import sent_inputs, shown_outputs
from publisher.package import ModelDescription
from sealedge.cli.application import main
from sealedge.client.events import Answered
from sealedge.operations.describe import load_description
from tests.support.world import World

pytestmark = pytest.mark.slow  # compiles a model and checks it

WIDTH, HIDDEN, STEPS = 4, 6, 8
Array = NDArray[np.float32]


def lstm() -> onnx.ModelProto:
    """`frame` [1, 1, 4], and the states before and after it; `score` [1, 3]. States stand first, as exporters like."""
    random = np.random.default_rng(11)
    shapes = {"W": (1, 4 * HIDDEN, WIDTH), "R": (1, 4 * HIDDEN, HIDDEN), "B": (1, 8 * HIDDEN), "V": (HIDDEN, 3)}
    weights = [
        numpy_helper.from_array(random.normal(size=each).astype(np.float32), name) for name, each in shapes.items()
    ]
    nodes = [
        helper.make_node("LSTM", ["frame", "W", "R", "B", "", "h", "c"], ["", "hn", "cn"], hidden_size=HIDDEN),
        helper.make_node("Reshape", ["hn", "flat"], ["row"]),
        helper.make_node("MatMul", ["row", "V"], ["score"]),
    ]
    weights.append(numpy_helper.from_array(np.array([1, HIDDEN], np.int64), "flat"))
    state = [1, 1, HIDDEN]
    inputs = {"h": state, "c": state, "frame": [1, 1, WIDTH]}
    outputs = {"hn": state, "score": [1, 3], "cn": state}
    said = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in each.items()]
        for each in (inputs, outputs)
    ]
    graph = helper.make_graph(nodes, "lstm", *said, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ModelDescription]:
    folder = tmp_path_factory.mktemp("lstm")
    onnx.save(lstm(), folder / "lstm.onnx")
    module, state = folder / "lstm.wasm", ["--state", "h=hn", "--state", "c=cn"]
    with pytest.raises(SystemExit) as ended:
        main(["build", str(folder / "lstm.onnx"), "-o", str(module), *state, "--tier", "simulated"])
    assert ended.value.code in {0, None}
    return module, load_description(module.with_suffix(".toml"), "scan", ())


@pytest.fixture(scope="module")
def runtime() -> Iterator[Runtime]:
    runtime = Runtime()
    yield runtime
    runtime.close()


def expected(frames: Array) -> list[Array]:
    session = onnxruntime.InferenceSession(lstm().SerializeToString())
    h = c = np.zeros((1, 1, HIDDEN), np.float32)
    found = []
    for frame in frames:
        h, score, c = session.run(["hn", "score", "cn"], {"h": h, "c": c, "frame": frame.reshape(1, 1, WIDTH)})
        found.append(score.reshape(3))
    return found


def test_two_sensors_are_answered_as_onnxruntime_answers(
    built: tuple[Path, ModelDescription], runtime: Runtime
) -> None:
    path, description = built
    assert [each.name for each in sent_inputs(description)] == ["frame"]
    assert [each.name for each in shown_outputs(description)] == ["score"]
    world = World(compute=runtime.load(path.read_bytes()).run)
    world.package(path.read_bytes(), inputs=description.inputs, outputs=description.outputs, state=description.state)
    world.start_verifier()
    world.start_publisher()
    world.start_agent()
    sensors = [world.start_sensor(f"sensor-{number}") for number in range(2)]
    world.settle()
    frames = np.random.default_rng(5).normal(size=(2, STEPS, WIDTH)).astype(np.float32)
    asked = {}
    for step in range(STEPS):
        for number, sensor in enumerate(sensors):
            asked[world.infer(sensor, frames[number, step].tobytes())] = (number, step)
    world.broker.advance(5)
    answers = world.events(Answered)
    assert len(answers) == 2 * STEPS
    wanted = [expected(each) for each in frames]
    for answer in answers:
        number, step = asked[answer.request]
        assert answer.step == step
        found = np.frombuffer(answer.output or b"", np.float32)
        np.testing.assert_allclose(found, wanted[number][step], rtol=1e-4, atol=1e-5)
