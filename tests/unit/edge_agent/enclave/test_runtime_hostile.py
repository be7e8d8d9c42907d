"""Modules that try to take more than they are given, or to hand one sender's data to the next (P11)."""

import threading
import time

import pytest

from edge_agent.enclave.compiling.compiler import compile_here
from edge_agent.enclave.running.runtime import Limits, Runtime
from protocol.errors import ConfigurationError, EnclaveError
from schemas.model import ModuleLimits
from schemas.reason import Reason
from tests.support.wat_modules import CONSTANTS, ECHO, FOREVER, MEMORY, inferring, performing, wasm

GROW_UNTIL_REFUSED = "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))"
RECURSION = "(func $down (param i32) (result i32) (i32.add (i32.const 1) (call $down (local.get 0))))"


@pytest.mark.parametrize(
    "module",
    [
        performing(FOREVER),
        inferring(FOREVER),
        performing("(call $f) (i32.const 0)", "(func $f (call $g)) (func $g (loop (call $h) (br 0))) (func $h)"),
        performing("(loop (memory.fill (i32.const 0) (i32.const 1) (i32.const 65536)) (br 0)) (i32.const 0)"),
    ],
    ids=["placed", "fixed", "calls", "bulk"],
)
def test_an_endless_run_ends_at_its_deadline(load, module):
    loaded = load(module, max_seconds=0.1)
    started = time.monotonic()
    with pytest.raises(EnclaveError) as caught:
        loaded.run(b"1234")
    assert caught.value.reason is Reason.DEADLINE_EXCEEDED
    assert 0.1 <= time.monotonic() - started < 30


@pytest.mark.parametrize("how", ["(start $loop)", '(export "_initialize" (func $loop))'])
def test_an_endless_start_ends_when_the_module_is_loaded(refusal, how):
    module = performing("(i32.const 0)", f"(func $loop (loop (br 0))) {how}")
    assert refusal(module, max_seconds=0.05) is Reason.DEADLINE_EXCEEDED


@pytest.mark.slow
def test_one_deadline_does_not_cut_another_short(wasm_runtime):
    short = wasm_runtime.load(performing(FOREVER), Limits(max_seconds=0.05))
    long = wasm_runtime.load(performing(FOREVER), Limits(max_seconds=0.4))
    ended: dict[str, float] = {}

    def run(name: str, module) -> None:
        with pytest.raises(EnclaveError):
            module.run(b"")
        ended[name] = time.monotonic()

    started = time.monotonic()
    threads = [threading.Thread(target=run, args=each) for each in (("long", long), ("short", short))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ended["long"] - started >= 0.4
    assert ended["short"] < ended["long"]


def test_memory_that_is_refused_is_reported_as_such(refusal, load):
    assert refusal(performing(GROW_UNTIL_REFUSED + "unreachable"), b"", max_memory_bytes=2**20) is Reason.MEMORY_LIMIT
    size = "(i32.store (local.get 2) (memory.size)) (i32.const 4)"
    module = load(performing(GROW_UNTIL_REFUSED + size), max_memory_bytes=2**20)
    assert int.from_bytes(module.run(b""), "little") * 65_536 == 2**20


def test_a_module_with_too_much_memory_is_refused_before_it_is_compiled(refusal):
    module = performing("(i32.const 0)", memory='(memory (export "memory") 17)')
    assert refusal(module, max_memory_bytes=2**20) is Reason.MEMORY_LIMIT


def test_input_and_output_count_as_the_modules_memory(refusal):
    module = performing(ECHO, memory='(memory (export "memory") 1 1)')
    assert refusal(module, b"") is Reason.MEMORY_LIMIT
    assert refusal(performing(ECHO), bytes(2**20), max_memory_bytes=2**20) is Reason.MEMORY_LIMIT


@pytest.mark.parametrize("table", ["(table 10001 funcref)", "(table 1 funcref)" * 5])
def test_tables_are_bounded(refusal, table):
    assert refusal(performing("(i32.const 0)", table)) is Reason.MEMORY_LIMIT


def test_a_table_grows_up_to_its_limit(load):
    grow = "(i32.store (local.get 2) (table.grow $t (ref.null func) (i32.const {})))(i32.const 4)"
    table = "(table $t 1 funcref)"
    assert load(performing(grow.format(10_000), table)).run(b"") == b"\xff" * 4
    assert load(performing(grow.format(9_999), table)).run(b"") == (1).to_bytes(4, "little")


@pytest.mark.parametrize(
    "body",
    [
        "unreachable",
        "(i32.load (i32.const 0x7fff0000))",
        "(i32.div_s (i32.const 1) (i32.const 0))",
        "(call $down (i32.const 1))",
        "(call_indirect (result i32) (i32.const 0))",
    ],
)
def test_a_trap_ends_one_run_and_no_more(load, body):
    module = load(
        performing(
            f"(if (i32.load8_u (local.get 0)) (then (return {body}))) (i32.const 0)", RECURSION, "(table 1 funcref)"
        )
    )
    for _ in range(2):
        with pytest.raises(EnclaveError) as caught:
            module.run(b"\x01")
        assert caught.value.reason is Reason.GUEST_TRAP
        assert module.run(b"\x00") == b""


def test_a_trap_in_a_start_function_refuses_the_module(refusal):
    assert refusal(performing("(i32.const 0)", "(func $f unreachable) (start $f)")) is Reason.GUEST_TRAP


def test_a_trap_does_not_name_the_modules_functions(load):
    module = load(performing("(call $secret_layer)", "(func $secret_layer (result i32) unreachable)"))
    with pytest.raises(EnclaveError) as caught:
        module.run(b"")
    assert "secret_layer" not in caught.value.diagnostics


def test_nothing_of_one_run_is_there_in_the_next(load):
    """The module leaves its input in memory, a global, a table and new pages, and answers with what it finds there."""
    module = load(
        performing(
            """(local $found i32)
            (local.set $found (i32.or (i32.load (i32.const 16)) (global.get $kept)))
            (local.set $found (i32.or (local.get $found) (i32.eqz (ref.is_null (table.get $t (i32.const 0))))))
            (if (i32.gt_u (memory.size) (i32.const 3)) (then
              (local.set $found (i32.or (local.get $found) (i32.load (i32.const 196608))))))
            (i32.store (i32.const 16) (i32.load (local.get 0))) (global.set $kept (i32.load (local.get 0)))
            (table.set $t (i32.const 0) (ref.func $f)) (drop (memory.grow (i32.const 2)))
            (i32.store (i32.const 196608) (i32.load (local.get 0)))
            (i32.store (local.get 2) (local.get $found)) (i32.const 4)""",
            "(global $kept (mut i32) (i32.const 0)) (table $t 1 funcref) (func $f) (elem declare func $f)",
        )
    )
    assert [module.run(secret) for secret in (b"mine", b"ours", b"mine")] == [bytes(4)] * 3


def test_unwritten_output_is_zero_and_not_anothers(load):
    keep = load(performing("(memory.fill (local.get 2) (i32.const 7) (i32.const 4096)) (i32.const 4096)"))
    peek = load(performing("(i32.const 4096)"))
    for _ in range(20):
        assert keep.run(b"") == b"\x07" * 4096
        assert peek.run(b"") == bytes(4096)


def test_runs_in_many_threads_do_not_mix(load):
    module = load(performing(ECHO))
    wrong: list[bytes] = []

    def run(seed: int) -> None:
        for count in range(100):
            data = bytes([seed]) * (count + 1)
            wrong.extend(output for output in [module.run(data)] if output != data)

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_nothing_runs_when_the_watchdog_has_ended():
    runtime = Runtime(compiler=compile_here)
    module = runtime.load(performing(FOREVER))
    runtime.close()
    with pytest.raises(EnclaveError) as caught:
        module.run(b"")
    assert caught.value.reason is Reason.INTERNAL


@pytest.mark.slow
def test_a_watchdog_that_slept_wakes_for_the_next_run(load):
    module = load(performing(FOREVER), max_seconds=0.03)
    for pause in (0.0, 0.5):
        time.sleep(pause)
        with pytest.raises(EnclaveError) as caught:
            module.run(b"")
        assert caught.value.reason is Reason.DEADLINE_EXCEEDED


def test_a_module_never_gets_more_than_the_cap():
    runtime = Runtime(Limits(max_memory_bytes=2**20), compiler=compile_here)
    with pytest.raises(EnclaveError, match="more than this enclave grants") as caught:
        runtime.load(performing(ECHO), Limits(max_memory_bytes=2**21))
    assert caught.value.reason is Reason.MODEL_INVALID
    runtime.close()


def test_a_manifest_narrows_limits_and_never_widens_them():
    limits = Limits(max_memory_bytes=2**22, max_seconds=1.0, max_output_bytes=100)
    asked = ModuleLimits(memory_bytes=2**20, milliseconds=50, output_bytes=64)
    assert limits.narrowed(asked) == Limits(max_memory_bytes=2**20, max_seconds=0.05, max_output_bytes=64)
    for change in ({"memory_bytes": 2**32}, {"milliseconds": 1001}, {"output_bytes": 101}):
        with pytest.raises(EnclaveError) as caught:
            limits.narrowed(asked.model_copy(update=change))
        assert caught.value.reason is Reason.MODEL_INVALID


@pytest.mark.parametrize("wrong", [{"max_seconds": 0}, {"max_memory_bytes": 2**40}, {"max_log_bytes": -1}])
def test_limits_without_sense_are_refused(wrong):
    with pytest.raises(ConfigurationError):
        Limits(**wrong)


def test_the_modules_size_is_bounded(refusal):
    module = wasm(f'(module {MEMORY} {CONSTANTS} (func (export "infer") (result i32) (i32.const 0)))')
    assert refusal(module, max_module_bytes=len(module) - 1) is Reason.MODEL_INVALID
