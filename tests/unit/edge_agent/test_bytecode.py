"""Bytecode that is kept between starts: run only if this agent made it, of the sources as they are now."""

import marshal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_agent.bytecode import BytecodeCache, _kept, imported_sources
from edge_agent.enclave.start import KeptCode
from edge_agent.host import EnclaveProcess, command, list_sources
from protocol.cbor import decode_untrusted, encode
from protocol.errors import ConfigurationError, EnclaveError
from tests.support.examples import examples
from tests.support.world import World

SECRET = b"k" * 32


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "module.py"
    path.write_text("said = 'honest'\n", "utf-8")
    return path


@pytest.fixture
def cache(tmp_path: Path, source: Path) -> BytecodeCache:
    made = BytecodeCache(tmp_path / "bytecode", SECRET, lambda: [("module", str(source))])
    assert made.make() == 1
    return made


def said(cache: BytecodeCache) -> object:
    """What the module that is kept says."""
    found, notes = cache.opened()
    assert notes == ()
    assert found is not None
    with found:
        code = KeptCode(found.fileno()).code("module")
    names: dict[str, object] = {}
    exec(code, names)
    return names["said"]


def parts(path: Path) -> tuple[list[Any], bytes]:
    """The list and the code of a file."""
    body = path.read_bytes()[32:]
    end = 4 + int.from_bytes(body[:4], "big")
    listed = decode_untrusted(body[4:end])
    assert isinstance(listed, list)
    return listed, body[end:]


def rewrite(cache: BytecodeCache, path: Path, listed: bytes, code: bytes) -> None:
    """What `cache` would take for its own."""
    body = len(listed).to_bytes(4, "big") + listed + code
    path.write_bytes(cache._tag(body) + body)


def why_not(cache: BytecodeCache) -> object:
    found, [note] = cache.opened()
    assert found is None
    assert note.what == "bytecode-refused"
    return note.detail["why"]


def test_what_was_made_is_run(cache: BytecodeCache) -> None:
    assert said(cache) == "honest"


def test_nothing_is_kept_before_it_is_made(tmp_path: Path) -> None:
    assert BytecodeCache(tmp_path / "bytecode", SECRET, list).opened() == (None, ())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(60))
@given(st.data())
def test_no_changed_byte_is_run(cache: BytecodeCache, tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "bytecode"
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    try:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :])
        assert "did not make" in str(why_not(cache))
        path.write_bytes(whole[:at])
        assert why_not(cache)
    finally:
        path.write_bytes(whole)


def test_what_was_made_of_another_source_is_not_run(cache: BytecodeCache, source: Path) -> None:
    source.write_text("said = 'hacked'\n", "utf-8")
    assert "another source" in str(why_not(cache))
    cache.make()
    assert said(cache) == "hacked"


def test_what_another_agent_or_tee_made_is_not_run(cache: BytecodeCache, tmp_path: Path) -> None:
    assert "did not make" in str(why_not(BytecodeCache(tmp_path / "bytecode", b"o" * 32, list)))


def test_what_another_python_made_is_not_run(cache: BytecodeCache, tmp_path: Path) -> None:
    path = tmp_path / "bytecode"
    listed, code = parts(path)
    rewrite(cache, path, encode([b"\0\0\r\n", listed[1]]), code)
    assert "another Python" in str(why_not(cache))


@pytest.mark.parametrize("body", [b"", b"\0\0", b"\0\0\0\1", b"\xff\xff\xff\xff" + bytes(64), encode([b"older", []])])
def test_what_an_older_agent_kept_in_another_form_is_not_run(cache: BytecodeCache, tmp_path: Path, body: bytes) -> None:
    (tmp_path / "bytecode").write_bytes(cache._tag(body) + body)
    assert why_not(cache)
    cache.make()
    assert said(cache) == "honest"


def test_a_source_that_is_gone_or_that_nobody_can_name_is_said(cache: BytecodeCache, source: Path) -> None:
    source.unlink()
    assert "cannot be read" in str(why_not(cache))
    with pytest.raises(ConfigurationError, match="cannot be read"):
        cache.make()
    with pytest.raises(EnclaveError):
        imported_sources((sys.executable, "-c", "raise SystemExit(1)"))


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [[], ["99"], ["x", "3"], ["list", "x"], ["vsock:x"]])
def test_wrong_usage_starts_nothing(arguments: Sequence[str]) -> None:
    assert subprocess.run([*command(), *arguments], check=False, env={}).returncode == 64


@pytest.fixture(scope="module")
def sources() -> list[tuple[str, str]]:
    return imported_sources(list_sources())


@pytest.mark.slow
def test_the_sources_are_those_of_the_enclave(sources: Sequence[tuple[str, str]]) -> None:
    named = {Path(path).as_posix() for _, path in sources}
    root = Path(__file__).parents[3]
    assert (root / "edge_agent/enclave/enclave.py").as_posix() in named
    assert sys.platform != "linux" or (root / "edge_agent/enclave/compiling/separate.py").as_posix() in named
    assert (root / "protocol/cbor_decoding.py").as_posix() in named
    assert not any("/broker/" in each or "/edge_agent/host" in each for each in named)


@pytest.mark.slow
def test_an_enclave_runs_what_is_kept_and_nothing_that_was_tampered_with(
    tmp_path: Path, sources: list[tuple[str, str]]
) -> None:
    configuration = World().configuration()
    path = tmp_path / "bytecode"
    cache = BytecodeCache(path, SECRET, lambda: sources)
    cache.make()
    # Authentic, and made of the source by this agent; but not what the source says: so one sees which of them runs.
    listed, _ = parts(path)
    codes: dict[str, tuple[str, bytes]] = {}
    for name, source in sources:
        text = Path(source).read_text("utf-8")
        if name == "edge_agent.enclave.boundary":
            text = text.replace('{"client": enclave.client_id', '{"client": "kept"')
        codes[name] = (source, marshal.dumps(compile(text, source, "exec", dont_inherit=True)))
    rewrite(cache, path, encode(listed), _kept(codes))

    heard: list[str] = []

    def opened() -> IO[bytes] | None:
        kept, notes = cache.opened()
        heard.extend(each.what for each in notes)
        return kept

    with EnclaveProcess(configuration, bytecode=opened) as process:
        assert process.client.client_id == "kept"
    assert heard == []
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(whole)
    with EnclaveProcess(configuration, bytecode=opened) as process:
        assert process.client.client_id == "sealedge-clinic-agent-agent-1"
    assert heard == ["bytecode-refused"]
