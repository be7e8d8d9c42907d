"""WASI 0.2 components: of one world, without imports, under the limits that hold for core modules."""

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.enclave.compiling.compiler import compile_here
from edge_agent.enclave.compiling.engine import EMPTY_MODULE
from edge_agent.enclave.running.runtime import Runtime
from protocol.errors import EnclaveError
from schemas.reason import Reason
from tests.support.components import TYPE, component
from tests.support.examples import examples
from tests.support.wat_modules import wasm


@pytest.fixture(scope="module")
def echo(load):
    return load(component())


@settings(deadline=None, max_examples=examples(50))
@given(st.binary(max_size=5000))
def test_input_comes_back_whatever_it_is(echo, data):
    assert echo.run(data) == data


def test_a_large_input_comes_back(echo):
    data = bytes(range(256)) * 256
    assert echo.run(data) == data


def test_an_error_is_a_refusal_of_the_input(refusal):
    assert refusal(component(is_error=1), b"input") is Reason.INPUT_INVALID


def test_an_errors_text_goes_no_further(load):
    with pytest.raises(EnclaveError) as caught:
        load(component(is_error=1)).run(b"a diagnosis")
    assert "diagnosis" not in repr(caught.value) + caught.value.diagnostics


FAULTS = {
    "loop": ("(loop (br 0))", {}, Reason.DEADLINE_EXCEEDED, "milliseconds"),
    "trap": ("unreachable", {}, Reason.GUEST_TRAP, "trap"),
    "outside": ("(drop (i32.load (i32.const -4)))", {}, Reason.GUEST_TRAP, "trap"),
    "recursion": ("(call $down)", {}, Reason.GUEST_TRAP, "stack bytes"),
    "long output": ("(local.set $length (i32.const 5000))", {}, Reason.OUTPUT_TOO_LARGE, "output bytes"),
    "huge output": (
        "(drop (memory.grow (i32.const 900))) (local.set $length (i32.const 60000000))",
        {},
        Reason.OUTPUT_TOO_LARGE,
        "output bytes",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_hostile_component_loses_one_request_and_the_refusal_names_the_limit(load, fault):
    body, limits, reason, claim = FAULTS[fault]
    others = "(func $down (call $down))"
    guarded = f"(if (local.get $length) (then {body}))"
    module = load(component(guarded, others), **{"max_seconds": 0.1, "max_output_bytes": 4096, **limits})
    for _ in range(2):
        with pytest.raises(EnclaveError) as caught:
            module.run(b"x")
        assert caught.value.reason is reason
        assert caught.value.finding.claim == claim
        assert module.run(b"") == b""


@pytest.mark.parametrize("length", ["0x7fffffff", "-1"])
def test_an_output_outside_memory_is_a_trap(refusal, length):
    assert refusal(component(f"(local.set $length (i32.const {length}))"), b"") in {
        Reason.GUEST_TRAP,
        Reason.OUTPUT_TOO_LARGE,
    }


def test_memory_is_bounded_when_it_starts_and_when_it_grows(load, refusal):
    assert refusal(component(pages="33"), max_memory_bytes=2**20) is Reason.MEMORY_LIMIT
    grow = """(loop $more (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
      (i32.store (i32.const 0) (memory.size)) (local.set $at (i32.const 0)) (local.set $length (i32.const 4))"""
    assert load(component(grow), max_memory_bytes=2**22).run(b"") == (64).to_bytes(4, "little")


@pytest.mark.parametrize(
    "more", ["(memory $more 1)", "(memory 1)", "(table 10001 funcref)", "(table 1 funcref)" * 5, "(memory i64 1)"]
)
def test_nothing_is_there_twice_or_larger(refusal, more):
    assert refusal(component(others=more)) in {Reason.MEMORY_LIMIT, Reason.MODEL_INVALID}


def test_many_instances_are_refused(refusal):
    many = "(core module $m) " + "(core instance (instantiate $m)) " * 20
    assert refusal(wasm(f"(component {many})")) is Reason.MODEL_INVALID


@pytest.mark.parametrize(
    "text",
    [
        '(component (import "host" (func)))',
        '(component (import "wasi:io/poll@0.2.0" (instance (export "x" (func)))))',
        "(component)",
        '(component (component $c) (export "infer" (component $c)))',
    ],
)
def test_another_world_is_refused(refusal, text):
    assert refusal(wasm(text)) is Reason.MODEL_INVALID


@pytest.mark.parametrize(
    "kind",
    [
        TYPE.replace("list u8", "list s8"),
        TYPE.replace("(error string)", ""),
        '(param "input" (list u8)) (param "more" u32) (result (list u8))',
        TYPE.replace("(result (result (list u8) (error string)))", "(result (list u8))"),
    ],
)
def test_another_signature_is_refused(refusal, kind):
    assert refusal(component(kind=kind)) is Reason.MODEL_INVALID


def test_a_start_function_has_the_same_deadline(refusal):
    others = "(func $s (loop (br 0))) (start $s)"
    assert refusal(component(others=others), max_seconds=0.05) is Reason.DEADLINE_EXCEEDED


def test_nothing_of_one_run_is_there_in_the_next(load):
    keep = """(i32.store8 (i32.const 64) (i32.or (i32.load8_u (i32.const 64)) (global.get $seen)))
      (if (local.get $length) (then
        (i32.store8 (i32.const 64) (i32.load8_u (local.get $at))) (global.set $seen (i32.const 1))))
      (local.set $at (i32.const 64)) (local.set $length (i32.const 1))"""
    module = load(component(keep, "(global $seen (mut i32) (i32.const 0))"))
    assert [module.run(each) for each in (b"s", b"", b"t", b"")] == [b"s", b"\0", b"t", b"\0"]


def test_components_run_in_many_threads(echo):
    wrong: list[bytes] = []

    def run(seed: int) -> None:
        for count in range(50):
            data = bytes([seed]) * count
            wrong.extend(found for found in [echo.run(data)] if found != data)

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_components_machine_code_is_taken_again():
    runtime = Runtime(compiler=compile_here)
    module = component()
    code = runtime.compiled(module)
    assert runtime.load(module, machine_code=code).run(b"again") == b"again"
    runtime.close()


def test_a_core_module_inside_is_no_core_module(refusal):
    assert refusal(component()[:8] + EMPTY_MODULE) is Reason.MODEL_INVALID
