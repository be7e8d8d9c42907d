"""The demonstration's model: what the Wasm module says is what numpy says, and the build is the same each time."""

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edge_agent.enclave.running.runtime import Module, Runtime
from guests import toolchain
from guests.breast_cancer.build import HERE, LABELS, BuiltModel, build, held_out
from protocol.errors import ConfigurationError, EnclaveError
from schemas.reason import Reason

MEASUREMENTS = arrays(np.float32, 30, elements=st.floats(-1e4, 1e4, width=32))


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> BuiltModel:
    return build(tmp_path_factory.mktemp("guests"))


@pytest.fixture(scope="module")
def module(built) -> Iterator[Module]:
    runtime = Runtime()
    yield runtime.load(built.path.read_bytes())
    runtime.close()


@pytest.fixture(scope="module")
def training() -> ModuleType:
    """Imported here: scikit-learn takes seconds, in every process that only collects the tests."""
    return importlib.import_module("guests.breast_cancer.train")


@pytest.fixture(scope="module")
def everyone():
    return importlib.import_module("sklearn.datasets").load_breast_cancer()


@pytest.fixture(scope="module")
def network(training):
    return training.train(training.patients()[0])


def probabilities(module: Module, inputs: np.ndarray) -> np.ndarray:
    """float32[n, 2] from the module, one run a row."""
    rows = [np.frombuffer(module.run(row.astype("<f4").tobytes()), "<f4") for row in inputs]
    return np.stack(rows)


@pytest.mark.slow
def test_the_module_is_as_good_as_the_network(built, module, network, training):
    unseen = held_out()
    computed = probabilities(module, unseen.inputs)
    expected = training.malignant(network, unseen.inputs)
    assert np.abs(computed[:, 1] - expected).max() <= 1e-6
    assert np.abs(computed.sum(axis=1) - 1).max() <= 1e-6
    assert int((computed.argmax(axis=1) == unseen.labels).sum()) == built.correct
    assert built.held_out == len(unseen.labels) == 171
    assert built.accuracy >= 0.94


@pytest.mark.slow
def test_the_model_learned_more_than_the_larger_class(built):
    labels = held_out().labels
    assert built.accuracy > max(labels.mean(), 1 - labels.mean()) + 0.25


@pytest.mark.slow
def test_held_out_patients_were_not_trained_on(training, everyone):
    seen, unseen = training.patients()
    assert len(seen.inputs) + len(unseen.inputs) == len(everyone.data) == 569
    assert {row.tobytes() for row in seen.inputs}.isdisjoint(row.tobytes() for row in unseen.inputs)
    assert abs(seen.labels.mean() - unseen.labels.mean()) < 0.01


@pytest.mark.slow
def test_label_1_is_malignant(everyone):
    unseen = held_out()
    at = [int(np.flatnonzero((everyone.data.astype(np.float32) == row).all(axis=1))[0]) for row in unseen.inputs[:20]]
    assert [str(everyone.target_names[everyone.target[each]]) for each in at] == [
        LABELS[label] for label in unseen.labels[:20]
    ]


@pytest.mark.slow
def test_folding_the_scaler_changes_nothing(network, training):
    make_pipeline = importlib.import_module("sklearn.pipeline").make_pipeline
    seen, unseen = training.patients()
    classifier = training.MLPClassifier((16,), solver="lbfgs", alpha=1.0, max_iter=2000, random_state=training.SEED)
    pipeline = make_pipeline(training.StandardScaler(), classifier).fit(seen.inputs.astype(np.float64), seen.labels)
    expected = pipeline.predict_proba(unseen.inputs.astype(np.float64))[:, 1]
    assert np.abs(training.malignant(network, unseen.inputs) - expected).max() <= 1e-4


@pytest.mark.slow
@settings(deadline=None)
@given(MEASUREMENTS)
def test_any_measurements_give_what_numpy_gives(module, network, training, measurements):
    computed = probabilities(module, measurements[None])[0]
    with np.errstate(over="ignore"):
        expected = training.malignant(network, measurements[None])[0]
    assert abs(computed[1] - expected) <= 1e-6
    assert abs(computed[0] + computed[1] - 1) <= 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("data", [b"", bytes(116), bytes(119), bytes(121), bytes(124), bytes(240)])
def test_another_length_is_refused(module, data):
    with pytest.raises(EnclaveError) as caught:
        module.run(data)
    assert caught.value.reason is Reason.INPUT_INVALID


@pytest.mark.slow
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("position", [0, 17, 29])
def test_measurements_that_are_no_numbers_are_refused(module, value, position):
    measurements = np.zeros(30, np.float32)
    measurements[position] = value
    with pytest.raises(EnclaveError) as caught:
        module.run(measurements.tobytes())
    assert caught.value.reason is Reason.INPUT_INVALID


@pytest.mark.slow
def test_the_schema_says_what_the_module_takes_and_gives(built, module):
    taken = np.zeros(built.inputs[0].shape, built.inputs[0].dtype)
    given_back = np.frombuffer(module.run(taken.tobytes()), built.outputs[0].dtype)
    assert given_back.shape == built.outputs[0].shape
    assert built.outputs[0].labels == ("benign", "malignant")


@pytest.mark.slow
def test_the_same_bytes_come_out_of_another_build(built, tmp_path):
    assert build(tmp_path).path.read_bytes() == built.path.read_bytes()


@pytest.mark.slow
def test_weights_are_written_exactly(network, training):
    written = [float.fromhex(word.strip("{} ;\nf")) for word in words_of(training.c_header(network), "OUTPUT_WEIGHTS")]
    assert np.array_equal(np.float32(written), network.output_weights)


def words_of(header: str, name: str) -> list[str]:
    return header.split(f"{name}[HIDDEN] =")[1].split(";", maxsplit=1)[0].split(",")


@pytest.mark.slow
def test_a_second_build_does_nothing(built):
    steps: list[str] = []
    assert build(built.path.parent, lambda step, _done: steps.append(step)) == built
    assert steps == ["ready"]


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["module", "note", "note is a list", "recipe"])
def test_a_build_that_is_not_what_it_was_is_made_anew(built, tmp_path, monkeypatch, damage):
    path, note = tmp_path / "breast_cancer.wasm", tmp_path / "breast_cancer.json"
    path.write_bytes(built.path.read_bytes() + (b"\0" if damage == "module" else b""))
    facts = json.loads(built.path.with_suffix(".json").read_bytes())
    if damage == "recipe":
        facts["recipe"] = "0" * 64
    note.write_text({"note": "{", "note is a list": "[]"}.get(damage, json.dumps(facts)))
    steps: list[tuple[str, float]] = []

    def make(target: Path, _say: object) -> tuple[int, int]:
        steps.append(("made", 0.5))
        target.write_bytes(built.path.read_bytes())
        return built.correct, built.held_out

    monkeypatch.setattr("guests.breast_cancer.build._make", make)
    anew = build(tmp_path, lambda *step: steps.append(step))
    assert steps == [("made", 0.5), ("ready", 1.0)]
    assert anew.digest == built.digest
    assert build(tmp_path) == anew


def test_a_missing_compiler_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(ConfigurationError, match=r"install sealedge\[demo\]") as caught:
        toolchain.compile_c(HERE / "model.c", tmp_path / "model.wasm")
    assert "\n" not in caught.value.diagnostics


def test_missing_packages_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr("guests.breast_cancer.build.PACKAGES", ("numpy", "no-such-package-as-this"))
    with pytest.raises(ConfigurationError, match=r"no-such-package-as-this is missing: install sealedge\[demo\]"):
        build(tmp_path)


def test_what_does_not_compile_is_reported_in_one_line(tmp_path):
    source = tmp_path / "wrong.c"
    source.write_text("int f( {")
    with pytest.raises(ConfigurationError, match="the C compiler failed") as caught:
        toolchain.compile_c(source, tmp_path / "wrong.wasm")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "wrong.wasm").exists()


def test_held_out_patients_need_scikit_learn(monkeypatch):
    monkeypatch.delitem(sys.modules, "guests.breast_cancer.train", raising=False)
    monkeypatch.delattr("guests.breast_cancer.train", raising=False)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ConfigurationError, match=r"sklearn.datasets is missing: install sealedge\[demo\]"):
        held_out()
