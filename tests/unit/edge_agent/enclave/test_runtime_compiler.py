"""Compiling in a child process, within bounds that the operating system keeps."""

import dataclasses
import sys
import time

import pytest
import wasmtime

from edge_agent.enclave.compiling.compiler import compile_here, compile_in_child, one_line
from edge_agent.enclave.compiling.engine import EMPTY_MODULE, MAX_STACK_BYTES, PROBE, compiled, engine_fingerprint
from edge_agent.enclave.running.runtime import Limits, Runtime
from protocol.errors import EnclaveError
from schemas.reason import Reason
from tests.support.costly_modules import large_to_compile, slow_to_compile
from tests.support.wat_modules import ECHO, performing


def refusal(module: bytes, **limits: float) -> str:
    with pytest.raises(EnclaveError) as caught:
        compile_in_child(module, dataclasses.replace(Limits(), **limits), MAX_STACK_BYTES)
    assert caught.value.reason is Reason.MODEL_INVALID
    return caught.value.diagnostics


def test_the_child_makes_the_code_that_this_process_would_make():
    module = performing(ECHO)
    here = compile_here(module, Limits(), MAX_STACK_BYTES)
    assert compile_in_child(module, Limits(), MAX_STACK_BYTES) == here
    runtime = Runtime()
    assert runtime.load(module).run(b"from a child") == b"from a child"
    runtime.close()


@pytest.mark.slow
def test_a_module_that_takes_too_long_to_compile_is_given_up():
    module = slow_to_compile()
    started = time.monotonic()
    assert "longer than 0.5 s" in refusal(module, max_compile_seconds=0.5)
    assert time.monotonic() - started < 5.0


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds the compiler's memory")
def test_a_module_that_takes_too_much_memory_to_compile_is_given_up():
    assert "the compiler ended with" in refusal(large_to_compile(), max_compile_bytes=48 * 2**20)


@pytest.mark.parametrize(("setting", "value"), [("executable", "/no/such/python"), ("path", ["/no/such/directory"])])
def test_a_compiler_that_cannot_start_is_not_the_modules_fault(monkeypatch, setting, value):
    monkeypatch.setattr(sys, setting, value)
    with pytest.raises(EnclaveError, match="the compiler does not") as caught:
        compile_in_child(PROBE, Limits(), MAX_STACK_BYTES)
    monkeypatch.undo()
    assert caught.value.reason is Reason.INTERNAL
    assert "\n" not in str(caught.value)


def test_a_crash_of_the_compiler_does_not_reach_the_enclave(monkeypatch):
    monkeypatch.setattr("edge_agent.enclave.compiling.compiler.BOOTSTRAP", "import os; os.abort()")
    assert "the compiler ended with -6" in refusal(performing(ECHO))


def test_an_invalid_module_is_refused_with_wasmtimes_words():
    invalid = EMPTY_MODULE + b"\x0a\x01\x01"
    words = refusal(invalid)
    assert words.isascii()
    assert "\n" not in words
    with pytest.raises(EnclaveError) as here:
        compile_here(invalid, Limits(), MAX_STACK_BYTES)
    assert here.value.diagnostics == words


def test_the_engine_takes_no_text():
    with pytest.raises(wasmtime.WasmtimeError):
        compiled(b"(module)")


def test_quoted_words_cannot_reach_a_terminal():
    assert one_line("a\x1b[31m\n\tb\x07é" + "c" * 500) == "a?[31m b??" + "c" * 190


def test_the_fingerprint_is_one_line_and_follows_the_settings():
    fingerprint = engine_fingerprint()
    assert fingerprint == engine_fingerprint()
    assert fingerprint.isprintable()
    parts = fingerprint.split("; ")
    assert parts[0].startswith("wasmtime ")
    assert len(parts) == 4
    assert engine_fingerprint(MAX_STACK_BYTES * 2).split("; ")[2] != parts[2]
