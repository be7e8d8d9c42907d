"""A model, an option or an array that is wrong: one clear line, exit status 2, nothing written."""

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from publisher.compiler import compiling
from publisher.compiler.importing.preparing import prepared
from publisher.compiler.importing.wishes import Wishes
from sealedge.cli.application import main
from tests.support.models import classifier, model

ONE_LINE = re.compile(r"sealedge: [a-z-]+: [^\n]+\n")
GOOD = classifier().SerializeToString()
Case = Callable[[Path], list[str]]


def written(path: Path, content: bytes | onnx.ModelProto) -> list[str]:
    path.write_bytes(content if isinstance(content, bytes) else content.SerializeToString())
    return [str(path)]


def cyclic() -> onnx.ModelProto:
    nodes = [helper.make_node("Add", ["x", "b"], ["a"]), helper.make_node("Relu", ["a"], ["b"])]
    return model(nodes, {"x": [2]}, {"b": [2]})


def wrong_shapes() -> onnx.ModelProto:
    return model([helper.make_node("MatMul", ["x", "y"], ["z"])], {"x": [2, 3], "y": [4, 5]}, {"z": [2, 5]})


def outside() -> onnx.ModelProto:
    weights = TensorProto(name="W", data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    weights.external_data.add(key="location", value="weights.bin")
    return model([helper.make_node("Add", ["x", "W"], ["z"])], {"x": [2]}, {"z": [2]}, [weights])


def hostile_names() -> onnx.ModelProto:
    name = 'x\x1b[2J\n*/ system("true"); /*'
    return model([helper.make_node("Relu", [name], ["z"])], {name: [2]}, {"z": [2]})


def unknown() -> onnx.ModelProto:
    return model([helper.make_node("Frobnicate", ["x"], ["z"], domain="org.example")], {"x": [2]}, {"z": [2]})


def open_length() -> onnx.ModelProto:
    return model([helper.make_node("Relu", ["x"], ["z"])], {"x": [1, "seq"]}, {"z": [1, "seq"]})


def no_channels() -> onnx.ModelProto:
    return model([helper.make_node("Relu", ["x"], ["z"])], {"x": [0, 2]}, {"z": [0, 2]})


def sparse(path: Path) -> list[str]:
    with path.open("wb") as file:
        file.truncate(3 * 2**30)
    return [str(path)]


def pipe(path: Path) -> list[str]:
    os.mkfifo(path)
    return [str(path)]


MODELS: dict[str, tuple[Case, str]] = {
    "truncated": (lambda t: written(t / "m.onnx", GOOD[: len(GOOD) // 2]), "cut short|no ONNX"),
    "not ONNX": (lambda t: written(t / "m.onnx", b"\x89PNG\r\n\x1a\n" + bytes(200)), "no ONNX|cut short"),
    "empty": (lambda t: written(t / "m.onnx", b""), "no ONNX"),
    "cyclic": (lambda t: written(t / "m.onnx", cyclic()), "cycl|circle|before"),
    "wrong shapes": (lambda t: written(t / "m.onnx", wrong_shapes()), "dimension|shape"),
    "missing external data": (lambda t: written(t / "m.onnx", outside()), "weights.bin"),
    "hostile names": (lambda t: written(t / "m.onnx", hostile_names()), "printed"),
    "unknown operator": (lambda t: written(t / "m.onnx", unknown()), "Frobnicate"),
    "open length": (lambda t: written(t / "m.onnx", open_length()), "seq"),
    "no elements": (lambda t: written(t / "m.onnx", no_channels()), "at least 1|zero|empty|no elements"),
    "3 GB": (lambda t: sparse(t / "m.onnx"), "too large"),
    "a folder": (lambda t: [str(t)], "regular file"),
    "a pipe": (lambda t: pipe(t / "m.onnx"), "regular file"),
    "not there": (lambda t: [str(t / "m.onnx")], "No such file"),
}

OPTIONS: dict[str, tuple[Case, str]] = {
    "not a length": (lambda t: ["--dim", "N=many"], "--dim"),
    "no name": (lambda t: ["--dim", "4"], "--dim"),
    "no such dimension": (lambda t: ["--dim", "M=4"], "no such dimension"),
    "state of nothing": (lambda t: ["--state", "h=probabilities"], "no input"),
    "all of it state": (lambda t: ["--state", "readings=probabilities"], "not every input"),
    "a range for tinygrad": (lambda t: ["--dim", "N=1..2", "--compiler", "tinygrad"], "no open dimension"),
    "two ranges": (lambda t: ["--dim", "N=1..2", "--dim", "M=1..2"], "one dimension"),
    "half a range": (lambda t: ["--dim", "N=1.."], "--dim"),
    "another rank": (lambda t: ["--shape", "readings=1,2,3"], "shape"),
    "a dimension twice": (lambda t: ["--dim", "N=1", "--dim", "N=2"], "each name once"),
    "labels that fit nothing": (
        lambda t: ["--labels", *written(t / "l.txt", b"one\ntwo\nthree\nfour\nfive")],
        "classes",
    ),
    "labels that are not text": (lambda t: ["--labels", *written(t / "l.txt", b"\xff\xfe")], "UTF-8"),
    "std of nothing": (lambda t: ["--normalise", "readings=mean:1,std:0"], "std not 0"),
    "a word unknown": (lambda t: ["--normalise", "readings=median:1"], "--normalise"),
    "no word": (lambda t: ["--normalise", "readings=1,2"], "--normalise"),
    "no such input": (lambda t: ["--normalise", "x=mean:1"], "no input"),
    "no image": (lambda t: ["--normalise", "readings=layout:nhwc"], "4 dimensions"),
    "a sample of another shape": (lambda t: ["--sample", saved(t / "s.npy", np.zeros(5, np.float32))], "does not fit"),
    "a sample of text": (lambda t: ["--sample", saved(t / "s.npy", np.array(["a"]))], "numbers"),
    "a sample that is none": (lambda t: ["--sample", *written(t / "s.npy", b"junk")], "no .npy"),
    "a sample of objects": (lambda t: ["--sample", saved(t / "s.npy", np.array([{}]))], "no .npy"),
    "a name that is none": (lambda t: ["--name", "A B"], "name"),
    "a module that is none": (lambda t: ["-o", str(t / "m.onnx")], ".wasm"),
    "a tier that is none": (lambda t: ["--tier", "sgy"], "tier"),
    "a licence that is none": (lambda t: ["--licence", "MIT\n"], "licence"),
}


def saved(path: Path, array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> str:
    np.save(path, array, allow_pickle=array.dtype == object)
    return str(path)


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Imports without a child process each, which has tests of its own (and the slow ones here)."""

    def imported(data: bytes, **wishes: object) -> object:
        return prepared(data, Wishes(**wishes)).graph()  # type: ignore[arg-type] # as compiling has them

    monkeypatch.setattr(compiling, "import_model_untrusted", imported)


def refused(arguments: list[str], words: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["build", "-o", str(tmp_path / "made" / "m.wasm"), *arguments])
    captured = capfd.readouterr()
    assert ended.value.code == 2, captured.err
    assert captured.out == ""
    assert ONE_LINE.fullmatch(captured.err), captured.err
    assert re.search(words, captured.err), captured.err
    assert not (tmp_path / "made").exists()


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize("case", MODELS)
def test_a_bad_model_gets_one_line(case: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    make, words = MODELS[case]
    refused(make(tmp_path), words, tmp_path, capfd)


@pytest.mark.slow
@pytest.mark.parametrize("case", MODELS)
def test_a_bad_model_gets_one_line_from_the_child(case: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    make, words = MODELS[case]
    refused(make(tmp_path), words, tmp_path, capfd)


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize("case", OPTIONS)
def test_a_wrong_option_gets_one_line(
    case: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make, words = OPTIONS[case]
    # Nothing here needs the C compiler: what is wrong shows without a module.
    monkeypatch.setattr(compiling, "compile_program", lambda *_, **__: b"\0asm\x01\0\0\0")
    refused([*written(tmp_path / "good.onnx", GOOD), *make(tmp_path)], words, tmp_path, capfd)


@pytest.mark.parametrize("command", [["build", "model.onnx"], ["run", "m.wasm", "--input", "x.npy"]])
def test_packages_that_only_builders_need_are_named(
    command: list[str], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [each for each in sys.modules if each.startswith(("sealedge.operations.", "publisher.compiler"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert ended.value.code == 2
    assert "onnx is not installed: this needs pip install 'sealedge[build]'" in capfd.readouterr().err
