"""One guest in three languages, each built by one command, and each held to the same: guests/README.md."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.enclave.running.runtime import Limits, Module, Runtime
from guests.assemblyscript import install
from guests.build import GUESTS, build, main
from guests.rust import find_rustc
from protocol.errors import ConfigurationError, EnclaveError
from schemas.reason import Reason

LANGUAGES = ["c", "rust", pytest.param("assemblyscript", marks=pytest.mark.slow)]
MIB = 2**20


def need_compiler(language: str) -> None:
    """Skip where a compiler is missing; in CI, where scripts/ci-needs installs all, fail."""
    try:
        if language == "rust":
            find_rustc()
        elif language == "assemblyscript":
            install(GUESTS[language][0].parent)
    except ConfigurationError as error:
        stop = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        stop(f"the guest in {language} is not tried: {error}")


@pytest.fixture(scope="module", params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> str:
    need_compiler(request.param)
    return str(request.param)


@pytest.fixture(scope="module")
def wasm(language: str, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return build(language, tmp_path_factory.mktemp(language)).read_bytes()


@pytest.fixture(scope="module")
def runtime() -> Iterator[Runtime]:
    runtime = Runtime(Limits(max_input_bytes=4 * MIB, max_output_bytes=4 * MIB))
    yield runtime
    runtime.close()


@pytest.fixture(scope="module")
def module(runtime: Runtime, wasm: bytes) -> Module:
    module = runtime.load(wasm, Limits())
    assert isinstance(module, Module)
    return module


@settings(deadline=None)
@given(data=st.binary(max_size=5000))
def test_output_is_the_input_in_reverse_and_the_log_says_so(module: Module, data: bytes) -> None:
    log = bytearray()
    assert module.run(data, log) == data[::-1]
    assert log.decode() == f"received {len(data)} bytes\nreturning {len(data)} bytes\n"


def test_nobody_needs_to_read_the_log(module: Module) -> None:
    assert module.run(b"hello world") == b"dlrow olleh"


@pytest.mark.slow
def test_the_longest_input_and_output(runtime: Runtime, wasm: bytes) -> None:
    data = os.urandom(4 * MIB)
    assert runtime.load(wasm).run(data) == data[::-1]


@pytest.mark.slow
def test_the_capacity_is_kept(runtime: Runtime, wasm: bytes) -> None:
    assert runtime.load(wasm, Limits(max_output_bytes=5)).run(b"hello world") == b"dlrow"


@pytest.mark.slow
def test_want_of_memory_is_told_as_such(runtime: Runtime, wasm: bytes) -> None:
    module = runtime.load(wasm, Limits(max_memory_bytes=2 * MIB, max_input_bytes=4 * MIB))
    assert module.run(b"abc") == b"cba"
    with pytest.raises(EnclaveError) as refused:
        module.run(bytes(4 * MIB))
    assert refused.value.reason is Reason.MEMORY_LIMIT


@pytest.mark.slow
def test_one_command_builds_the_same_bytes_elsewhere(
    language: str, wasm: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([language, str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path / language}.wasm: {len(wasm)} bytes\n"
    assert (tmp_path / f"{language}.wasm").read_bytes() == wasm


def test_a_missing_compiler_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("RUSTC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    for language, word in (("rust", "libstd-rust-dev-wasm32"), ("assemblyscript", "Node.js")):
        assert main([language, str(tmp_path)]) == 2
        [line] = capsys.readouterr().err.splitlines()
        assert word in line
    assert list(tmp_path.iterdir()) == []


def fake_rustc(folder: Path, library: Path) -> None:
    folder.mkdir()
    (folder / "rustc").write_text(f"#!/bin/sh\necho {library}\n")
    (folder / "rustc").chmod(stat.S_IRWXU)


def test_the_rustc_that_has_a_standard_library_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """rustup's comes first on many a PATH, and lacks the target."""
    library = tmp_path / "lib"
    fake_rustc(tmp_path / "first", library)
    fake_rustc(tmp_path / "second", library)
    monkeypatch.delenv("RUSTC", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path / 'empty'}:{tmp_path / 'second'}")
    with pytest.raises(ConfigurationError, match="no Rust for WASI"):
        find_rustc()
    library.mkdir()
    (library / "libstd-0123.rlib").touch()
    assert find_rustc() == (tmp_path / "second" / "rustc", "wasm32-wasip1")
    monkeypatch.setenv("RUSTC", str(tmp_path / "first" / "rustc"))
    assert find_rustc() == (tmp_path / "first" / "rustc", "wasm32-wasip1")
