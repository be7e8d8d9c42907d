"""`sealedge run`: any module, with and without a description; what goes wrong is one line."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sealedge.cli.application import main
from tests.support.wat_modules import ECHO, FOREVER, performing

Run = Callable[..., tuple[int, str, str]]
ONE_LINE = re.compile(r"sealedge: [a-z-]+: [^\n]+\n")

DESCRIPTION = """
name = "echo"
[[inputs]]
name = "x"
dtype = "uint8"
shape = [4]
[[outputs]]
name = "y"
dtype = "uint8"
shape = [4]
labels = ["a", "b", "c", "d"]
[limits]
memory_bytes = 262144
milliseconds = 50
output_bytes = 16
"""


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["run", *map(str, arguments)])
        captured = capfd.readouterr()
        return ended.value.code if isinstance(ended.value.code, int) else 0, captured.out, captured.err

    return call


@pytest.fixture
def echo(tmp_path: Path) -> Path:
    (tmp_path / "echo.wasm").write_bytes(performing(ECHO))
    np.save(tmp_path / "x.npy", np.array([1, 9, 3, 4], np.uint8))
    (tmp_path / "x.bin").write_bytes(b"hello")
    return tmp_path / "echo.wasm"


def test_bytes_go_in_and_out_without_a_description(echo: Path, run: Run) -> None:
    code, out, _ = run(echo, "--input", echo.with_name("x.bin"), "--output", echo.with_name("y.bin"), "--json")
    assert (code, json.loads(out)["output"]) == (0, b"hello".hex())
    assert echo.with_name("y.bin").read_bytes() == b"hello"
    code, out, _ = run(echo, "--input", echo.with_name("x.npy"))
    assert (code, out) == (0, "4 bytes: 01090304\n")


def test_arrays_and_class_names_with_one(echo: Path, run: Run) -> None:
    echo.with_suffix(".toml").write_text(DESCRIPTION)
    code, out, _ = run(echo, "--input", echo.with_name("x.npy"))
    assert code == 0
    assert out.splitlines()[0] == "y uint8[4]  1 9 3 4  b"
    np.save(echo.with_name("many.npy"), np.zeros((12, 4), np.uint8))
    code, out, _ = run(echo, "--input", f"x={echo.with_name('many.npy')}", "--output", echo.with_name("all.npz"))
    assert code == 0
    assert "and 2 more inferences" in out
    assert np.load(echo.with_name("all.npz"))["y"].shape == (12, 4)


WRONG: dict[str, tuple[Callable[[Path], list[object]], int, str]] = {
    "another shape": (lambda e: ["--input", array(e, np.zeros(5, np.uint8))], 2, "does not fit"),
    "another type": (lambda e: ["--input", array(e, np.zeros(4, np.float32))], 2, "does not fit"),
    "another name": (lambda e: ["--input", f"z={array(e, np.zeros(4, np.uint8))}"], 2, "inputs"),
    "a name twice": (lambda e: ["--input", "x=a.npy", "--input", "x=b.npy"], 2, "each name once"),
    "no array": (lambda e: ["--input", e.with_name("x.bin")], 2, "no .npy"),
    "no file": (lambda e: ["--input", "nowhere.npy"], 2, "No such file"),
    "no description": (lambda e: ["--input", "x.npy", "--description", "nowhere.toml"], 2, "nowhere.toml"),
}


def array(echo: Path, value: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]") -> Path:
    np.save(echo.with_name("wrong.npy"), value)
    return echo.with_name("wrong.npy")


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_one_line(case: str, echo: Path, run: Run) -> None:
    echo.with_suffix(".toml").write_text(DESCRIPTION)
    make, status, words = WRONG[case]
    code, out, err = run(echo, *make(echo))
    assert (code, out) == (status, "")
    assert ONE_LINE.fullmatch(err), err
    assert words in err


def test_a_module_that_fails_ends_with_its_reason(echo: Path, run: Run) -> None:
    given = ["--input", echo.with_name("x.npy")]
    echo.with_suffix(".toml").write_text(DESCRIPTION)
    for module, reason in ((performing(FOREVER), "deadline-exceeded"), (b"\0asm no module", "model-invalid")):
        echo.write_bytes(module)
        code, out, err = run(echo, *given)
        assert (code, out) == (1, "")
        assert ONE_LINE.fullmatch(err), err
        assert err.startswith(f"sealedge: {reason}: ")
