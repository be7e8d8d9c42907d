"""The smallest guest, compiled and run: input, output and log cross the boundary as guests/README.md says."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.enclave.runtime import Limits, Runtime
from guests import reverse


@pytest.fixture(scope="module")
def wasm(tmp_path_factory) -> bytes:
    return reverse.build(tmp_path_factory.mktemp("reverse")).read_bytes()


@pytest.fixture(scope="module")
def runtime():
    runtime = Runtime()
    yield runtime
    runtime.close()


@pytest.fixture(scope="module")
def module(runtime, wasm):
    return runtime.load(wasm)


@settings(deadline=None)
@given(data=st.binary(max_size=5000))
def test_output_is_the_input_in_reverse(module, data):
    log = bytearray()
    assert module.run(data, log) == data[::-1]
    assert log.decode() == f"received {len(data)} bytes\nreturning {len(data)} bytes\n"


def test_the_capacity_is_kept(runtime, wasm):
    module = runtime.load(wasm, Limits(max_output_bytes=5))
    assert module.run(b"hello world") == b"dlrow"


def test_another_build_gives_the_same_bytes(wasm, tmp_path):
    assert reverse.build(tmp_path / "elsewhere").read_bytes() == wasm
