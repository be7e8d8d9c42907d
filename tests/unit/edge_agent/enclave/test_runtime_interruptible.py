"""Modules rewritten so that they can be stopped: everywhere, in nothing else, and not by themselves undone."""

import contextlib
import time

import pytest
import wasmtime
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.enclave.compiling.engine import EMPTY_MODULE, hostile_safe_engine
from edge_agent.enclave.rewriting.interruptible import CHECK, LOOK, START, STOP, UnknownCodeError, interruptible
from edge_agent.enclave.rewriting.restorable import GLOBAL_NAME, RESTORABLE
from protocol.errors import EnclaveError
from schemas.reason import Reason
from tests.support.examples import examples
from tests.support.wat_modules import MEMORY, performing, wasm

OWN = 1
"""The function that is added, and is one check."""

LOOK_ALIKES = [
    "(drop (i32.const 0x03030303))",
    "(drop (i64.const 0x0303030303030303))",
    "(drop (f32.const 1.9e-36))",
    "(drop (f64.reinterpret_i64 (i64.const 0x0340034003400340)))",
    "(drop (v128.const i8x16 3 64 11 3 64 11 3 64 11 3 64 11 3 64 11 3))",
    "(drop (i8x16.shuffle 3 3 11 3 14 14 3 3 3 3 3 3 3 3 3 3 (v128.const i64x2 0 0) (v128.const i64x2 3 3)))",
    "(drop (i8x16.extract_lane_u 3 (v128.const i64x2 0 0)))",
    "(drop (v128.load8_lane offset=3 3 (i32.const 3) (v128.const i64x2 0 0)))",
    "(drop (v128.load32_zero offset=0x4003 (i32.const 3)))",
    "(drop (f64x2.convert_low_i32x4_u (i32x4.dot_i16x8_s (v128.const i64x2 0 0) (v128.const i64x2 3 3))))",
    "(drop (i32.load offset=0x0b034003 align=1 (i32.const 0)))",
    "(block $a (block $b (br_table $a $b $a $b (i32.const 3))))",
    "(drop (select (result i32) (i32.const 3) (i32.const 3) (i32.const 3)))",
    "(if (i32.const 3) (then (nop)) (else (nop)))",
    "(drop (block (result i32) (i32.const 3)))",
    "(memory.fill (i32.const 3) (i32.const 3) (i32.const 3)) (memory.copy (i32.const 3) (i32.const 3) (i32.const 3))",
    "(memory.init $d (i32.const 3) (i32.const 0) (i32.const 3)) (data.drop $d)",
    "(table.init $t $e (i32.const 0) (i32.const 0) (i32.const 1)) (elem.drop $e) (drop (table.size $t))",
    "(table.set $t (i32.const 3) (ref.null func)) (drop (ref.is_null (table.get $t (i32.const 3))))",
    "(drop (table.grow $t (ref.func $f) (i32.const 3))) (table.fill $t (i32.const 0) (ref.null func) (i32.const 3))",
    "(table.copy $t $t (i32.const 0) (i32.const 0) (i32.const 1))",
    "(drop (i32.trunc_sat_f64_u (f64.const 3))) (drop (i32.extend8_s (memory.size)))",
    "(call $f) (call_indirect $t (i32.const 0))",
]
WITH = '(memory (export "memory") 1) (data $d "abc") (table $t 9 funcref) (elem $e func $f) (func $f)'
LOOPS = "(loop {})"
PARAMETERS = "(i32.const 3) (loop (param i32) (result i32) {}) (drop)"
NESTED = "(block (loop (if (i32.const 0) (then (loop {})))))"


@st.composite
def bodies(draw: st.DrawFn, depth: int = 3) -> tuple[str, int]:
    """WebAssembly text, and how many loops are in it."""
    parts, loops = [], 0
    for _ in range(draw(st.integers(0, 4))):
        if depth and draw(st.booleans()):
            inner, count = draw(bodies(depth - 1))
            shape = draw(st.sampled_from([LOOPS, PARAMETERS, NESTED, "(block {})"]))
            parts.append(shape.format(inner))
            loops += count + shape.count("(loop")
        else:
            parts.append(draw(st.sampled_from(LOOK_ALIKES)))
    return " ".join(parts), loops


@pytest.mark.slow
@settings(deadline=None, max_examples=examples(150))
@given(bodies())
def test_each_loop_is_checked_and_nothing_else(drawn):
    body, loops = drawn
    module = wasm(f'(module {WITH} (func (export "f") {body}))')
    checked = interruptible(module)
    wasmtime.Module(hostile_safe_engine(), checked)
    assert checked.count(CHECK) == OWN + loops + ("(call" in body)
    assert len(checked.replace(CHECK, b"")) < len(module) + 64


@pytest.mark.parametrize("body", LOOK_ALIKES)
def test_what_looks_like_a_loop_is_none(body):
    checked = interruptible(wasm(f'(module {WITH} (func (export "f") {body}))'))
    wasmtime.Module(hostile_safe_engine(), checked)
    assert checked.count(CHECK) == OWN + ("(call" in body)


ENDLESS = {
    "loop": "(loop (br 0))",
    "inner": "(loop (loop (br 0)))",
    "outer": "(loop $o (loop (br $o)))",
    "table": "(loop (br_table 0 0 0 (i32.const 7)))",
    "conditional": "(loop (br_if 0 (i32.const 1)))",
    "parameters": "(i32.const 1) (loop (param i32) (br 0))",
    "in else": "(if (i32.const 0) (then) (else (loop (br 0))))",
    "vector": "(loop (v128.store (i32.const 0) (v128.load (i32.const 0))) (br 0))",
    "recursion": "(call $tree (i32.const 60))",
    "indirect": "(call_indirect $t (type $grow) (i32.const 60) (i32.const 0))",
    "bulk": "(loop (memory.fill (i32.const 0) (i32.const 1) (i32.const 65536)) (br 0))",
    "growing": "(loop (drop (memory.grow (i32.const 1))) (br 0))",
}
TREES = """(type $grow (func (param i32)))
  (table $t 1 funcref) (elem (i32.const 0) $branch)
  (func $tree (param i32) (if (local.get 0) (then
    (call $tree (i32.sub (local.get 0) (i32.const 1))) (call $tree (i32.sub (local.get 0) (i32.const 1))))))
  (func $branch (type $grow) (if (local.get 0) (then
    (call_indirect $t (type $grow) (i32.sub (local.get 0) (i32.const 1)) (i32.const 0))
    (call_indirect $t (type $grow) (i32.sub (local.get 0) (i32.const 1)) (i32.const 0)))))"""


@pytest.mark.parametrize("how", ENDLESS)
def test_every_way_to_run_forever_ends(load, how):
    module = load(performing(f"{ENDLESS[how]} (i32.const 0)", TREES), max_seconds=0.02)
    started = time.monotonic()
    with pytest.raises(EnclaveError) as caught:
        module.run(b"")
    assert caught.value.reason is Reason.DEADLINE_EXCEEDED
    assert time.monotonic() - started < 30


REACHING_OUT = {
    "stores into the other memory": b"\x41\x00\x41\x00\x36\x42\x01\x00",
    "atomic store": b"\x41\x00\x41\x00\xfe\x17\x02\x00",
    "atomic wait": b"\x41\x00\x41\x00\x42\x7f\xfe\x01\x02\x00\x1a",
    "fills the other memory": b"\x41\x00\x41\x00\x41\x04\xfc\x0b\x01",
    "copies to the other memory": b"\x41\x00\x41\x00\x41\x04\xfc\x0a\x01\x00",
    "copies to it, its index spelled long": b"\x41\x00\x41\x00\x41\x04\xfc\x0a\x81\x00\x00",
    "asks its size": b"\x3f\x01\x1a",
    "grows it": b"\x41\x00\x40\x01\x1a",
    "stores a vector into it": b"\x41\x00\xfd\x0c" + bytes(16) + b"\xfd\x0b\x44\x01\x00",
    "stores a lane into it": b"\x41\x00\xfd\x0c" + bytes(16) + b"\xfd\x58\x40\x01\x00\x00",
    "an opcode spelled long": b"\xfd\x8c\x00" + bytes(16) + b"\x1a",
    "tail call": b"\x12\x00",
    "exception": b"\x06\x40\x0b",
    "throws": b"\x08\x00",
    "reserved": b"\xff",
    "reference call": b"\x14\x00",
    "relaxed": b"\xfd\x80\x02",
}


@pytest.mark.parametrize("code", REACHING_OUT.values(), ids=REACHING_OUT)
def test_a_module_cannot_name_what_was_added(refusal, code):
    original = performing("(nop) (nop) (nop) (i32.const 0)")
    section = b"\x0a" + bytes([len(code) + 6, 1, len(code) + 4, 0]) + code + b"\x41\x00\x0b"
    at = original.index(b"\x0a\x09\x01\x07\x00\x01\x01\x01\x41\x00\x0b")
    with pytest.raises(UnknownCodeError):
        interruptible(original[:at] + section)
    assert refusal(original[:at] + section) is Reason.MODEL_INVALID


@pytest.mark.parametrize("index", ["\x01", "\x81\x00", "\x02"])
def test_a_module_cannot_pass_the_stop_page_off_as_its_memory(refusal, index):
    """The host would write input there, and read output from where nobody may read after the deadline."""
    module = performing("(i32.const 4096)")
    exported = b"\x06memory\x02"
    assert module.count(exported + b"\x00") == 1
    damaged = module.replace(exported + b"\x00", exported + index.encode("latin-1"))
    if len(index) > 1:
        damaged = damaged.replace(b"\x07\x1e\x02", b"\x07\x1f\x02")
    with pytest.raises(UnknownCodeError):
        interruptible(damaged)
    assert refusal(damaged) is Reason.MODEL_INVALID


def test_a_data_segment_for_the_stop_page_changes_nothing(refusal):
    """Active data may name memory 1. What the page holds does not matter: it is read, and forgotten."""
    module = performing("(loop (br 0)) (i32.const 0)", '(memory $other 1) (data (memory $other) (i32.const 0) "\\01")')
    assert refusal(module) is Reason.MODEL_INVALID
    start = performing("(loop (br 0)) (i32.const 0)")
    data = start + b"\x0b\x08\x01\x02\x01\x41\x00\x0b\x01\x01"
    assert refusal(data, b"", max_seconds=0.05) is Reason.DEADLINE_EXCEEDED


@pytest.mark.slow
@pytest.mark.parametrize("name", [STOP, START, LOOK, RESTORABLE, GLOBAL_NAME.format(0)])
def test_a_module_cannot_take_the_names_of_what_was_added(refusal, name):
    added = "(func $s) (start $s) (global (mut i32) (i32.const 0))"
    module = performing("(i32.const 0)", f'(func (export "{name}")) {added}')
    assert refusal(module) is Reason.MODEL_INVALID


def test_a_start_function_runs_once_and_before_the_entry(load):
    module = performing(
        "(i32.store (local.get 2) (global.get $n)) (i32.const 4)",
        "(global $n (mut i32) (i32.const 0))",
        "(func $s (global.set $n (i32.add (global.get $n) (i32.const 1)))) (start $s)",
    )
    assert [load(module).run(b"") for _ in range(3)] == [b"\x01\0\0\0"] * 3


def test_custom_sections_go(load):
    module = performing("(i32.const 0)")
    hint = b"\x00\x1a\x19metadata.code.branch_hint"
    assert interruptible(module + hint) == interruptible(module)


@settings(deadline=None, max_examples=examples(300))
@given(st.binary(max_size=60), st.integers(0, 200), st.integers(0, 40))
def test_bytes_that_are_no_module_are_refused_and_nothing_else(noise, at, cut):
    module = performing("(loop (br_if 0 (i32.const 0))) (i32.const 0)", TREES)
    damaged = module[:8] + (module[8:at] + noise + module[at + cut :] if at > 8 else noise)
    with contextlib.suppress(UnknownCodeError):
        assert len(interruptible(damaged)) < len(damaged) * (len(CHECK) + 1) + 64


@pytest.mark.parametrize(
    "section",
    [
        b"\x01\x7f\x02\x41\x00\x0b",
        b"\x01\x7f\x00\x10\x00\x0b",
        b"\x01\x7f",
        b"\x02\x7f\x00\x41\x00\x0b",
        b"\x01\x7f\x00\x0c",
    ],
    ids=["mutability 2", "a call", "too short", "fewer than counted", "no end"],
)
def test_globals_of_unknown_forms_are_refused(section):
    module = EMPTY_MODULE + bytes.fromhex("010401600000 03020100 0503010001")
    module += b"\x06" + bytes([len(section)]) + section + bytes.fromhex("0a040102000b")
    with pytest.raises(UnknownCodeError):
        interruptible(module)


def test_a_module_without_code_is_refused():
    with pytest.raises(UnknownCodeError):
        interruptible(wasm(f"(module {MEMORY})"))


def test_what_was_invalid_stays_invalid():
    engine = hostile_safe_engine()
    for code in (b"\x0b\x0b", b"\x01", b"", b"\x1a\x0b", b"\x0c\x05\x0b"):
        section = b"\x0a" + bytes([len(code) + 3, 1, len(code) + 1, 0]) + code
        head = EMPTY_MODULE + bytes.fromhex("010401600000 03020100 0503010001")
        checked = interruptible(head + section)
        with pytest.raises(wasmtime.WasmtimeError):
            wasmtime.Module(engine, checked)


def test_rewriting_takes_time_in_proportion():
    loops = wasm(f"(module {MEMORY} (func {'(loop)' * 100_000}))")
    started = time.process_time()
    assert interruptible(loops).count(CHECK) == OWN + 100_000
    assert time.process_time() - started < 5
