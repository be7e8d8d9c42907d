"""`sealedge build` and `sealedge run`: what is built answers as the model, in numpy and class names, and in a fleet."""

import json
import os
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import helper

from broker.embedded import Embedded
from edge_agent.enclave.loading import Loaded
from edge_agent.enclave.running.runtime import Runtime
from publisher.compiler.compiling import CompiledModel, compile_model_untrusted
from schemas.kinds import Role
from schemas.model import CarriedTensor, ModuleLimits, OpenAxis
from sealedge import Sensor
from sealedge.cli.application import main
from sealedge.operations import build as building
from sealedge.operations.describe import load_description
from tests.support import world as world_module
from tests.support.models import CLASSES, classifier, model
from tests.unit.client.live_fleet import LiveFleet

ROOT = Path(__file__).parents[3]
MODEL = classifier().SerializeToString()
READINGS = np.random.default_rng(1).normal(size=(5, 6)).astype(np.float32)
COMPILED: list[CompiledModel] = []
Run = Callable[..., tuple[int, str, str]]


def expected() -> np.ndarray[Any, Any]:
    session = onnxruntime.InferenceSession(MODEL, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"readings": READINGS})[0])


def names(probabilities: np.ndarray[Any, Any]) -> list[str]:
    return [CLASSES[number] for number in probabilities.argmax(axis=1)]


def remembered(*arguments: Any, **options: Any) -> CompiledModel:
    """What `build` compiles, kept: the C compiler is what takes long here."""
    COMPILED.append(compile_model_untrusted(*arguments, **options))
    return COMPILED[-1]


def status(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(each) for each in arguments])
    return ended.value.code if isinstance(ended.value.code, int) else 0


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: object) -> tuple[int, str, str]:
        code = status(*arguments)
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that was built, with all that is written."""
    folder = tmp_path_factory.mktemp("built")
    (folder / "model.onnx").write_bytes(MODEL)
    (folder / "classes.txt").write_text("\n".join(CLASSES) + "\n")
    np.save(folder / "readings.npy", READINGS)
    options = ["--name", "scan", "--tier", "simulated", "--licence", "Apache-2.0", "--labels", folder / "classes.txt"]
    files = ["-o", folder / "scan.wasm", "--sample", folder / "readings.npy", "--provenance", folder / "from"]
    said = (folder / "said.json").open("w")
    with said, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", said)
        patch.setattr(building, "compile_model_untrusted", remembered)
        patch.setenv("SOURCE_DATE_EPOCH", "1700000000")
        assert status("build", folder / "model.onnx", *files, *options, "--json") == 0
    return folder


def test_the_report_says_what_was_built_and_found(folder: Path) -> None:
    said = json.loads((folder / "said.json").read_text())
    assert said["operators"] == {"Gemm": 2, "Relu": 1, "Softmax": 1}
    assert said["macs"] == 6 * 8 + 8 * 3
    assert said["parameters"] == 6 * 8 + 8 + 8 * 3 + 3
    assert said["wasm_bytes"] == len((folder / "scan.wasm").read_bytes())
    assert said["compared"] == {"normal": 3, "uniform": 3, "wide": 3, "zeros": 1, "sample": 5}
    assert 0 <= said["max_error"] <= said["tolerance"] == 1e-4
    assert said["milliseconds"] > 0
    assert said["compiler"] == "sealedge"
    assert any("batch" in note for note in said["notes"])


def test_the_description_is_what_publishing_takes(folder: Path) -> None:
    described = load_description(folder / "scan.toml", None, ())
    assert (described.name, described.tiers) == ("scan", ("simulated",))
    assert [(each.name, each.dtype, each.shape) for each in described.inputs] == [("readings", "float32", (1, 6))]
    assert described.outputs[0].labels == CLASSES
    assert described.limits == ModuleLimits(**tomllib.loads((folder / "scan.toml").read_text())["limits"])
    assert described.limits.output_bytes == 12


def test_the_documents_name_the_module_and_the_model(folder: Path) -> None:
    said = json.loads((folder / "said.json").read_text())
    statement = json.loads((folder / "from" / "scan.intoto.json").read_text())
    assert statement["subject"] == [{"name": "scan.wasm", "digest": {"sha256": said["sha256"]}}]
    definition = statement["predicate"]["buildDefinition"]
    assert {"name": "model.onnx", "digest": {"sha256": said["model_sha256"]}} in definition["resolvedDependencies"]
    assert statement["predicate"]["runDetails"]["metadata"] == {"finishedOn": "2023-11-14T22:13:20Z"}
    bill = json.loads((folder / "from" / "scan.cdx.json").read_text())
    component = bill["metadata"]["component"]
    assert (bill["bomFormat"], bill["specVersion"], component["type"]) == ("CycloneDX", "1.6", "machine-learning-model")
    assert component["hashes"] == [{"alg": "SHA-256", "content": said["sha256"]}]
    assert component["licenses"] == [{"expression": "Apache-2.0"}]
    assert {"name": "sealedge:operator:Gemm", "value": "2"} in component["properties"]
    refs = {component["bom-ref"], *(each["bom-ref"] for each in bill["components"])}
    assert {each["ref"] for each in bill["dependencies"]} <= refs


def test_a_module_is_tried_without_a_fleet(folder: Path, run: Run) -> None:
    wrote = folder / "answers.npy"
    code, out, _ = run("run", folder / "scan.wasm", "--input", folder / "readings.npy", "--output", wrote, "--json")
    assert code == 0
    np.testing.assert_allclose(np.load(wrote).reshape(5, 3), expected(), atol=1e-5)
    said = json.loads(out)
    assert [each[0] for each in said["outputs"]["probabilities"]["labels"]] == names(expected())
    code, out, _ = run("run", folder / "scan.wasm", "--input", f"readings={folder / 'readings.npy'}")
    assert code == 0
    assert names(expected())[0] in out.splitlines()[0]


@pytest.mark.slow
def test_a_fleet_takes_arrays_and_gives_arrays_and_class_names(folder: Path) -> None:
    """ONNX to module to manifest to enclave to SDK: the enclave's runtime runs what was published."""
    runtime = Runtime()
    described = load_description(folder / "scan.toml", None, ())

    class Published(LiveFleet):
        def package(self, *_: object, **__: object) -> Any:
            about = {name: getattr(described, name) for name in ("inputs", "outputs", "tiers", "limits")}
            return super().package((folder / "scan.wasm").read_bytes(), **about)

        def _load(self, module: bytes, limits: ModuleLimits, machine_code: bytes | None) -> Loaded:
            return Loaded(runtime.load(module, runtime.cap.narrowed(limits)).run, machine_code or b"")

    start, world_module.START = world_module.START, time.time()
    with Embedded() as broker:
        fleet = Published(broker, folder / "fleet", "built").start_all()
        with Sensor(fleet.write(Role.SENSOR, "one")) as sensor:
            results = [sensor.infer(each.reshape(1, 6), timeout=20) for each in READINGS]
        fleet.stop()
    world_module.START = start
    runtime.close()
    np.testing.assert_allclose(np.concatenate([each.output for each in results]), expected(), atol=1e-5)
    assert [each.labels for each in results] == [(name,) for name in names(expected())]


@pytest.mark.slow
def test_what_answers_otherwise_is_refused_and_not_written(
    folder: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The module is of another model than the one that onnxruntime is asked about."""
    monkeypatch.setattr(building, "compile_model_untrusted", lambda *_, **__: COMPILED[-1])
    (folder / "other.onnx").write_bytes(classifier(seed=4).SerializeToString())
    code, out, err = run("build", folder / "other.onnx", "-o", tmp_path / "made.wasm", "--provenance", tmp_path)
    assert (code, out) == (1, "")
    assert err.startswith("sealedge: model-invalid: the compiled model answers otherwise than onnxruntime")
    assert "output 'probabilities': expected at most 0.0001, found" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_batch_is_as_long_as_each_request_wants(folder: Path, tmp_path: Path, run: Run) -> None:
    module, wrote = tmp_path / "batch.wasm", tmp_path / "answers.npy"
    files = ["-o", module, "--sample", folder / "readings.npy", "--tier", "simulated"]
    code, out, err = run("build", folder / "model.onnx", *files, "--dim", "N=2..9", "--json")
    assert code == 0, err
    assert json.loads(out)["compared"] == {"normal": 6, "uniform": 6, "wide": 6, "zeros": 4, "sample": 1}
    described = load_description(tmp_path / "batch.toml", None, ())
    assert [each.shape for each in (*described.inputs, *described.outputs)] == [(9, 6), (9, 3)]
    assert described.inputs[0].open == described.outputs[0].open == OpenAxis(axis=0, each=1, minimum=2)
    code, _, err = run("run", module, "--input", folder / "readings.npy", "--output", wrote)
    assert code == 0, err
    np.testing.assert_allclose(np.load(wrote), expected(), atol=1e-5)
    np.save(tmp_path / "one.npy", READINGS[:1])
    assert run("run", module, "--input", tmp_path / "one.npy")[0] == 2


@pytest.mark.slow
def test_state_is_described_and_carried_from_one_inference_to_the_next(tmp_path: Path, run: Run) -> None:
    nodes = [helper.make_node("Add", ["sum", "x"], ["next"]), helper.make_node("Tanh", ["next"], ["y"])]
    given, answered = {"sum": [2], "x": [2]}, {"next": [2], "y": [2]}
    (tmp_path / "sum.onnx").write_bytes(model(nodes, given, answered).SerializeToString())
    files = ["-o", tmp_path / "sum.wasm", "--tier", "simulated"]
    code, _, err = run("build", tmp_path / "sum.onnx", *files, "--state", "sum=next")
    assert code == 0, err
    described = load_description(tmp_path / "sum.toml", None, ())
    assert [each.name for each in (*described.inputs, *described.outputs)] == ["x", "sum", "y", "next"]
    assert described.state == (CarriedTensor(before="sum", after="next"),)
    readings = np.random.default_rng(3).normal(size=(4, 2)).astype(np.float32)
    np.save(tmp_path / "x.npy", readings)
    code, _, err = run("run", tmp_path / "sum.wasm", "--input", tmp_path / "x.npy", "--output", tmp_path / "y.npy")
    assert code == 0, err
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), np.tanh(readings.cumsum(axis=0)), atol=1e-5)


@pytest.mark.slow
def test_an_image_comes_as_bytes_with_its_channels_last(tmp_path: Path, run: Run) -> None:
    given = {"image": [1, 3, 8, 8]}
    pool = model([helper.make_node("GlobalAveragePool", ["image"], ["mean"])], given, {"mean": [1, 3, 1, 1]})
    (tmp_path / "pool.onnx").write_bytes(pool.SerializeToString())
    how = "image=mean:10,20,30,std:2,type:uint8,layout:nhwc"
    code, _, err = run("build", tmp_path / "pool.onnx", "-o", tmp_path / "pool.wasm", "--normalise", how)
    assert code == 0, err
    photo = np.random.default_rng(2).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    np.save(tmp_path / "photo.npy", photo)
    files = ["--input", tmp_path / "photo.npy", "--output", tmp_path / "means.npy"]
    code, _, err = run("run", tmp_path / "pool.wasm", *files)
    assert code == 0, err
    means = (photo.reshape(-1, 3).mean(axis=0) - [10, 20, 30]) / 2
    np.testing.assert_allclose(np.load(tmp_path / "means.npy").ravel(), means, atol=1e-3)


@pytest.mark.slow
def test_the_same_model_gives_the_same_bytes_anywhere(folder: Path, tmp_path: Path) -> None:
    """Another folder, another cache, other hashes: module, description and documents are the same."""
    (tmp_path / "model.onnx").write_bytes(MODEL)
    environment = {**os.environ, "PYTHONHASHSEED": "1", "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    environment["SOURCE_DATE_EPOCH"] = "1700000000"
    command = [sys.executable, "-m", "sealedge", "build", "model.onnx", "-o", "scan.wasm", "--provenance", "from"]
    options = ["--name", "scan", "--tier", "simulated", "--licence", "Apache-2.0", "--labels", folder / "classes.txt"]
    done = subprocess.run([*command, *options], cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in ("scan.wasm", "scan.toml", "from/scan.intoto.json", "from/scan.cdx.json"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes(), name
