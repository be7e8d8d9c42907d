"""Each limit of a manifest, with a module that goes beyond it: the refusal names the limit and its size."""

import threading

import pytest

from edge_agent.enclave.compiling.compiler import compile_here, compile_in_child
from edge_agent.enclave.compiling.limits import MAX_STACK_BYTES, Limits
from edge_agent.enclave.running.runtime import Runtime
from protocol.errors import ConfigurationError, EnclaveError
from protocol.status import refusal_of
from schemas.model import ModuleLimits
from schemas.reason import Reason
from tests.support.wat_modules import FOREVER, inferring, performing

ASKED = ModuleLimits(
    memory_bytes=2**20, milliseconds=50, output_bytes=64, table_elements=100, stack_pages=2, compile_milliseconds=30_000
)
GROW = "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable"
DEEP = "(func $down (param i32) (result i32) (i32.add (i32.const 1) (call $down (local.get 0))))"
SHALLOW = """(func $down (param i32) (result i32) (if (result i32) (local.get 0)
  (then (i32.add (i32.const 1) (call $down (i32.sub (local.get 0) (i32.const 1))))) (else (i32.const 0))))"""

BEYOND = {
    "time": (performing(FOREVER), Reason.DEADLINE_EXCEEDED, "milliseconds", "at most 50"),
    "start": (
        performing("(i32.const 0)", "(func $s (loop (br 0))) (start $s)"),
        Reason.DEADLINE_EXCEEDED,
        "milliseconds",
        "at most 50",
    ),
    "memory": (performing(GROW), Reason.MEMORY_LIMIT, "memory bytes", "at most 1048576"),
    "memory, admitted": (performing("(i32.const -2)"), Reason.MEMORY_LIMIT, "memory bytes", "at most 1048576"),
    "first memory": (
        performing("(i32.const 0)", memory='(memory (export "memory") 17)'),
        Reason.MEMORY_LIMIT,
        "memory bytes",
        "at most 1048576",
    ),
    "table": (
        performing("(i32.const 0)", "(table 101 funcref)"),
        Reason.MEMORY_LIMIT,
        "table elements",
        "at most 100",
    ),
    "stack": (
        performing("(call $down (i32.const 1))", DEEP),
        Reason.GUEST_TRAP,
        "stack bytes",
        "at most 131072",
    ),
    "output": (performing("(i32.const 65)"), Reason.OUTPUT_TOO_LARGE, "output bytes", "at most 64"),
    "input": (inferring("(i32.const 0)"), Reason.INPUT_INVALID, "input bytes", "4"),
}


@pytest.fixture(scope="module")
def granted() -> Limits:
    return Limits().narrowed(ASKED)


@pytest.mark.parametrize("limit", BEYOND)
def test_a_module_beyond_a_limit_is_refused_by_the_limits_name(wasm_runtime, granted, limit):
    module, reason, claim, expected = BEYOND[limit]
    with pytest.raises(EnclaveError) as caught:
        wasm_runtime.load(module, granted).run(b"")
    refusal = refusal_of(caught.value, 0.0)
    assert (refusal.reason, refusal.claim, refusal.expected) == (reason, claim, expected)


def test_compile_time_is_the_manifests(granted):
    # A child process cannot even start within a millisecond.
    limits = Limits().narrowed(ASKED.model_copy(update={"compile_milliseconds": 1}))
    with pytest.raises(EnclaveError) as caught:
        compile_in_child(performing("(i32.const 0)"), limits, MAX_STACK_BYTES)
    assert caught.value.finding.claim == "milliseconds of compiling"
    assert caught.value.finding.expected == "at most 1"
    assert caught.value.reason is Reason.MODEL_INVALID


def test_each_module_has_the_stack_that_it_was_granted(wasm_runtime):
    module = performing("(i32.store (local.get 2) (call $down (i32.load (local.get 0)))) (i32.const 4)", SHALLOW)
    deepest = []
    for pages in (1, 2, 8):
        limits = Limits().narrowed(ASKED.model_copy(update={"stack_pages": pages, "milliseconds": 1000}))
        loaded = wasm_runtime.load(module, limits)
        low, high = 0, 100_000
        while high - low > 1:
            depth = (low + high) // 2
            try:
                low = depth if loaded.run(depth.to_bytes(4, "little")) == depth.to_bytes(4, "little") else 0
            except EnclaveError:
                high = depth
        deepest.append(low)
    assert deepest[0] > 100
    assert 1.7 < deepest[1] / deepest[0] < 2.3
    assert 3.5 < deepest[2] / deepest[1] < 4.5


def test_machine_code_does_not_depend_on_the_stack(wasm_runtime):
    module = performing("(i32.const 0)")
    code = wasm_runtime.compiled(module)
    for pages in range(1, 9):
        limits = Limits(max_stack_bytes=pages * 65_536)
        assert wasm_runtime.load(module, limits, code).run(b"") == b""


def test_a_manifest_that_names_no_more_than_three_gets_the_caps_others():
    cap = Limits.granted(ASKED)
    assert (cap.max_table_elements, cap.max_stack_bytes, cap.max_compile_seconds) == (100, 131_072, 30.0)
    three = ModuleLimits(memory_bytes=65_536, milliseconds=1, output_bytes=1)
    assert cap.narrowed(three).max_table_elements == 100
    assert cap.narrowed(three).max_stack_bytes == 131_072


@pytest.mark.parametrize("more", [{"table_elements": 101}, {"stack_pages": 3}, {"compile_milliseconds": 30_001}])
def test_a_manifest_that_asks_for_more_is_refused(more):
    with pytest.raises(EnclaveError) as caught:
        Limits.granted(ASKED).narrowed(ASKED.model_copy(update=more))
    assert caught.value.reason is Reason.MODEL_INVALID


def test_stacks_come_in_steps():
    with pytest.raises(ConfigurationError):
        Limits(max_stack_bytes=100_000)


def test_a_bomb_in_one_thread_leaves_the_others_alone(wasm_runtime, granted):
    """After each kind of fault the same runtime still answers."""
    good = wasm_runtime.load(performing("(i32.const 0)"), granted)
    for module, *_ in BEYOND.values():
        with pytest.raises(EnclaveError):
            wasm_runtime.load(module, granted).run(b"")
        assert good.run(b"") == b""


def test_a_closed_runtime_ends_what_runs():
    runtime = Runtime(Limits(max_seconds=60), compiler=compile_here)
    module = runtime.load(performing(FOREVER))
    closing = threading.Timer(0.05, runtime.close)
    closing.start()
    with pytest.raises(EnclaveError) as caught:
        module.run(b"")
    closing.join()
    assert caught.value.reason is Reason.DEADLINE_EXCEEDED
