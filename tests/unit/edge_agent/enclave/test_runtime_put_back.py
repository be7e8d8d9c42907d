"""An instance that is used again cannot be told from a new one, whatever its module did in the run before (P11)."""

import ctypes
import threading
from collections.abc import Iterator
from itertools import takewhile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wasmtime import _ffi as ffi

from edge_agent.enclave.compiling.compiler import compile_here
from edge_agent.enclave.rewriting.module_format import PAGE_BYTES
from edge_agent.enclave.rewriting.restorable import GLOBAL_NAME, MOST_GLOBALS
from edge_agent.enclave.running.guest import Guest
from edge_agent.enclave.running.idle import Idle
from edge_agent.enclave.running.module import UNKEPT, Module
from edge_agent.enclave.running.runtime import Limits, Runtime
from protocol.errors import EnclaveError
from tests.support.examples import examples
from tests.support.wat_modules import CONSTANTS, ECHO, inferring, performing, wasm

ADDRESSES = st.one_of(st.integers(0, 65_600), st.integers(1020, 1060), st.integers(131_000, 196_620))
VALUES = st.integers(-(2**31), 2**31 - 1)
STORES = ("i32.store", "i32.store8", "i32.store16")
GLOBALS = """
  (global $a (mut i32) (i32.const 7)) (global $b (mut i64) (i64.const -8))
  (global $c (mut f32) (f32.const nan:0x200001)) (global $d (mut f64) (f64.const -0x1p-1074))
  (global $e (mut v128) (v128.const i64x2 1 -2))
  (global $fixed i32 (i32.const 5))"""
SET_GLOBALS = (
    "(global.set $a (i32.const {v}))",
    "(global.set $b (i64.const {v}))",
    "(global.set $c (f32.reinterpret_i32 (i32.const {v})))",
    "(global.set $d (f64.reinterpret_i64 (i64.const {v})))",
    "(global.set $e (i32x4.splat (i32.const {v})))",
)
OTHERS = (
    "(v128.store (i32.const {a}) (i32x4.splat (i32.const {v})))",
    "(v128.store8_lane 3 (i32.const {a}) (i32x4.splat (i32.const {v})))",
    "(i64.store (i32.const {a}) (i64.const {v}))",
    "(f64.store (i32.const {a}) (f64.const nan:0x4000000000001))",
    "(memory.fill (i32.const {a}) (i32.const {v}) (i32.const 300))",
    "(memory.copy (i32.const {a}) (i32.const 64) (i32.const 100))",
    "(memory.init $passive (i32.const {a}) (i32.const 0) (i32.const 7))",
)
ENDINGS = (
    "unreachable",
    "(call $exit (i32.const 0))",
    "(return (i32.const -1))",
    "(drop (memory.grow (i32.const 1)))",
    "(drop (memory.grow (i32.const 0)))",
)
LASTING = (
    "(table.set $t (i32.const 0) (ref.null func))",
    "(data.drop $passive)",
    "(elem.drop $lazy)",
    "(drop (table.grow $t (ref.null func) (i32.const 1)))",
)
SEEN = """
  (func $seen (param $to i32) (local $at i32) (local $h i64) (local $end i32)
    (local.set $end (i32.mul (memory.size) (i32.const 65536)))
    (loop $next
      (local.set $h (i64.mul (i64.xor (local.get $h) (i64.load (local.get $at))) (i64.const 0x100000001b3)))
      (local.set $h (i64.xor (local.get $h) (i64.shr_u (local.get $h) (i64.const 29))))
      (br_if $next (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 8))) (local.get $end))))
    (local.set $at (i32.mul (table.size $t) (i32.const 2)))
    (local.set $at (i32.add (local.get $at) (ref.is_null (table.get $t (i32.const 0)))))
    (i64.store (local.get $to) (local.get $h)) (i32.store offset=8 (local.get $to) (memory.size))
    (i32.store offset=12 (local.get $to) (local.get $at)) (i32.store offset=16 (local.get $to) (global.get $a))
    (i64.store offset=20 (local.get $to) (global.get $b)) (f32.store offset=28 (local.get $to) (global.get $c))
    (f64.store offset=32 (local.get $to) (global.get $d)) (v128.store offset=40 (local.get $to) (global.get $e)))"""
START = "(func $first (i32.store (i32.const 70000) (i32.const 99)) (global.set $a (i32.const 70))) (start $first)"
BUFFERS = CONSTANTS.replace("(i32.const 8)", "(i32.const 56)")
IMPORT = '(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))'


FORMS = {"global": SET_GLOBALS, "other": OTHERS, "ending": ENDINGS, "lasting": LASTING}


@st.composite
def statements(draw: st.DrawFn) -> list[str]:
    """Of some code. Only now and then it does what keeps its instances from being used again."""
    kinds = ["store", "global", "other", "other", "ending"] + ["lasting"] * (draw(st.integers(0, 4)) == 0)
    lines = []
    for kind in draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=8)):
        form = draw(st.sampled_from(FORMS.get(kind, ["({s} (i32.const {a}) (i32.const {v}))"])))
        lines.append(form.format(s=draw(st.sampled_from(STORES)), a=draw(ADDRESSES), v=draw(VALUES)))
    return lines


NAMING = """(global (export "sealedge_constant_start") i32 (i32.const 131072))
  (global (export "sealedge_constant_end") i32 (i32.const 163850))"""


def scribbling(lines: list[str], constants: bool = False) -> bytes:
    """Answers with a digest of all it sees at first; then does each line whose bit is set in the input, or ends.

    With `constants`, half of its last page is constant.
    """
    lines = [each for each in lines if not constants or "memory.init" not in each]
    body = "".join(
        f"(if (i32.and (i32.load (i32.const 1024)) (i32.const {1 << place})) (then {line}))"
        for place, line in enumerate(lines)
    )
    # The digest waits on an unused page, so that what is written meanwhile does not change the answer.
    return wasm(
        f"""(module {IMPORT} (memory (export "memory") 3 5) {GLOBALS} {BUFFERS} {SEEN} {START}
        {NAMING if constants else ""}
        (table $t 1 3 funcref) (elem (i32.const 0) $one) (elem $lazy func $one) (func $one)
        (data $passive "passive") (data (i32.const 60) "initial data of some length")
        (func (export "infer") (result i32) (local $s v128) (local $r v128) (local $q v128) (local $mask i32)
          (local.set $mask (i32.load (i32.const 1024)))
          (call $seen (i32.const 2048))
          (local.set $s (v128.load (i32.const 2048))) (local.set $r (v128.load (i32.const 2064)))
          (local.set $q (v128.load (i32.const 2080)))
          (i64.store (i32.const 2096) (i64.const 0))
          {body.replace("(i32.load (i32.const 1024))", "(local.get $mask)")}
          (v128.store (i32.const 2048) (local.get $s)) (v128.store (i32.const 2064) (local.get $r))
          (v128.store (i32.const 2080) (local.get $q)) (i32.const 56)))"""
    )


def outcome(module: Module, data: bytes) -> object:
    try:
        return module.run(data)[:48]
    except EnclaveError as error:
        return error.reason


def newly(module: Module, data: bytes) -> object:
    """What a new instance answers."""
    module._unkept = 2
    while module._shelf:
        module._shelf.pop().close()
    return outcome(module, data)


WIDTHS = {"i32": 4, "i64": 8, "f32": 4, "f64": 8, "v128": 16}


def value_bits(value: ffi.wasmtime_val_t) -> bytes:
    """Of its type only: what stands beside it in the union is whatever was on the runtime's stack."""
    name = next(each for each in WIDTHS if value.kind == getattr(ffi, f"WASMTIME_{each.upper()}").value)
    return bytes(value.of)[: WIDTHS[name]]


def state(guest: Guest) -> tuple[bytes, list[bytes]]:
    """All of its memory, and its mutable globals as wasmtime shows them, bit for bit."""
    memory = ctypes.string_at(guest._memory.address, guest._memory.size())
    names = takewhile(guest._exports.kind, map(GLOBAL_NAME.format, range(MOST_GLOBALS)))
    found = [guest._exports.a_global(name) for name in names]
    for each in found:
        each.keep()
    return memory, [value_bits(each._value) for each in found]


@pytest.fixture(scope="module")
def runtime() -> Iterator[Runtime]:
    runtime = Runtime(Limits(max_output_bytes=2**18), compiler=compile_here)
    yield runtime
    runtime.close()


@settings(deadline=None, max_examples=examples(100))
@given(lines=statements(), constants=st.booleans(), masks=st.lists(st.integers(0, 255), min_size=2, max_size=5))
def test_kept_instances_answer_as_new_ones_and_are_as_new_ones(runtime, lines, constants, masks):
    code = scribbling(lines, constants)
    kept, fresh = runtime.load(code), runtime.load(code)
    first = kept._starter.start(None)
    untouched = state(first)
    for mask in masks:
        data = mask.to_bytes(4, "little")
        assert outcome(kept, data) == newly(fresh, data)
        assert all(state(guest) == untouched for guest in kept._shelf)
    first.close()


def test_the_state_of_globals_is_what_modules_see(runtime):
    module = runtime.load(scribbling([each.format(v=-9) for each in SET_GLOBALS]))
    guest = module._starter.start(None)
    assert [bits.hex() for bits in state(guest)[1]] == [
        (70).to_bytes(4, "little").hex(),
        (-8).to_bytes(8, "little", signed=True).hex(),
        "0100a07f",
        "0100000000000080",
        "0100000000000000" + "feffffffffffffff",
    ]
    guest.close()


def test_such_modules_are_kept_at_all(runtime):
    """Or the test above would hold for nothing."""
    lines = [each.format(a=8, v=3) for each in (*SET_GLOBALS, *OTHERS)]
    module = runtime.load(scribbling(lines))
    answers = {module.run(mask.to_bytes(4, "little"))[:8] for mask in (0, 0)}
    kept = module._shelf[0]
    assert len(answers) == 1
    assert {module.run(b"\xff\xff\0\0") for _ in range(3)} == {module.run(b"\xff\xff\0\0")}
    assert module._shelf == [kept]


SPY = """
  (if (i32.eqz (i32.load8_u (i32.const 1024))) (then
    (memory.copy (i32.const 200000) (i32.const 0) (i32.const 196608)) (return (i32.const 196608))))
  (memory.fill (i32.const 4096) (i32.load8_u (i32.const 1024)) (i32.const 60000))
  (i32.store (i32.const 131072) (i32.load (i32.const 1024))) (i32.const 0)"""


def test_a_spy_finds_nothing_of_the_sender_before_it(runtime):
    buffers = """(global (export "input") i32 (i32.const 1024)) (global (export "input_size") i32 (i32.const 4))
      (global (export "output") i32 (i32.const 200000)) (global (export "output_size") i32 (i32.const 196608))"""
    spy = wasm(f'(module (memory (export "memory") 7) {buffers} (func (export "infer") (result i32) {SPY}))')
    module = runtime.load(spy)
    assert module.run(b"\0me!")[:196608].strip(b"\0") == b"me!"
    kept = module._shelf[0]
    for secret in (b"Xabc", b"Yyyy", b"\x01\0\0\xff"):
        module.run(secret)
        assert state(kept)[0] == bytes(7 * PAGE_BYTES)
        assert module.run(b"\0me!").strip(b"\0") == b"me!"
    assert module._shelf == [kept]


def test_a_module_that_starts_without_memory_gets_pages_for_its_buffers(load):
    module = load(performing(ECHO, memory='(memory (export "memory") 0)'))
    assert [module.run(data) for data in (b"some", b"thing")] == [b"some", b"thing"]
    assert len(module._shelf) == 1


def test_a_guest_that_ended_shows_no_memory(load):
    guest = load(inferring("(i32.const 0)"))._starter.start(None)
    assert guest.read(0, 4) == bytes(4)
    guest.close()
    guest.close()
    with pytest.raises(ValueError, match="released"):
        guest.read(0, 4)


@pytest.mark.parametrize("length", [0, 5, 65_536, 70_000])
def test_placed_buffers_of_another_length_get_another_instance(runtime, length):
    module = runtime.load(performing(ECHO))
    for size in (4, length, 4, length):
        assert module.run(b"x" * size) == b"x" * size


@pytest.mark.parametrize(
    ("body", "module"),
    [
        ("(table.set $t (i32.const 0) (ref.null func))", "(table $t 1 funcref)"),
        ("(table.fill $t (i32.const 0) (ref.null func) (i32.const 1))", "(table $t 1 funcref)"),
        ("(table.copy $t $t (i32.const 0) (i32.const 0) (i32.const 1))", "(table $t 1 funcref)"),
        (
            "(table.init $t $e (i32.const 0) (i32.const 0) (i32.const 1))",
            "(table $t 1 funcref) (elem $e func $f) (func $f)",
        ),
        ("(drop (table.grow $t (ref.null func) (i32.const 1)))", "(table $t 1 funcref)"),
        ("(elem.drop $e)", "(elem $e func $f) (func $f)"),
        ("(data.drop $d)", '(data $d "abc")'),
        ("(nop)", "(global (mut funcref) (ref.null func))"),
        ("(nop)", "(global (mut i32) (i32.const 0))" * (MOST_GLOBALS + 1)),
        ("(drop (memory.grow (i32.const 1)))", ""),
    ],
)
def test_what_cannot_be_put_back_is_not_kept(load, body, module):
    loaded = load(inferring(f"{body} (i32.const 0)", module))
    for _ in range(3):
        assert loaded.run(b"1234") == b""
        assert loaded._shelf == []


@pytest.mark.parametrize(
    "body", ["unreachable", "(i32.const -1)", "(i32.const -7)", "(i32.const 9)", "(loop (br 0)) (i32.const 0)"]
)
def test_what_failed_is_not_kept(load, body):
    module = load(
        inferring(f"(if (i32.load8_u (i32.const 1024)) (then (return {body}))) (i32.const 0)"), max_seconds=0.2
    )
    module.run(b"\0\0\0\0")
    kept = module._shelf[0]
    with pytest.raises(EnclaveError):
        module.run(b"\1\0\0\0")
    assert module._shelf == []
    assert module.run(b"\0\0\0\0") == b""
    assert module._shelf != [kept]


def test_a_module_that_grew_is_tried_again_later(load):
    grow = "(if (i32.load8_u (i32.const 1024)) (then (drop (memory.grow (i32.const 1))))) (i32.const 0)"
    module = load(inferring(grow))
    for _ in range(2):
        module.run(b"\0\0\0\0")
        assert len(module._shelf) == 1
        module.run(b"\1\0\0\0")
        for _ in range(UNKEPT - 1):
            assert module._shelf == []
            module.run(b"\0\0\0\0")
        assert module._shelf == []


def test_start_functions_run_once_for_an_instance_and_seem_to_run_each_time(load):
    counts = (
        "(global $n (mut i32) (i32.const 0)) (start $s)"
        "(func $s (global.set $n (i32.add (global.get $n) (i32.const 1))))"
    )
    body = "(i32.store (i32.const 2048) (global.get $n)) (call $s) (i32.const 4)"
    module = load(inferring(body, counts))
    assert [module.run(b"1234") for _ in range(3)] == [b"\1\0\0\0"] * 3


def test_what_start_functions_log_is_in_the_log_of_each_run(load):
    write = '(import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))'
    say = "(drop (call $write (i32.const 1) (i32.const 8) (i32.const {}) (i32.const 0)))"
    data = r'(data (i32.const 8) "\40\00\00\00\03\00\00\00\43\00\00\00\03\00\00\00") (data (i32.const 64) "up here")'
    body = say.format(2) + "(i32.const 0)"
    module = load(inferring(body, write, data, f"(func $s {say.format(1)}) (start $s)"), max_log_bytes=7)
    for _ in range(3):
        log = bytearray()
        module.run(b"1234", log)
        assert log == b"up up h"


def test_many_threads_never_share_an_instance(load):
    """Each leaves its number all over the memory, and looks for another's."""
    body = """(local $at i32) (local $me i32) (local.set $me (i32.load (i32.const 1024)))
      (i32.store (i32.const 1024) (i32.const 0))
      (loop $next
        (if (i32.load (i32.add (local.get $at) (i32.const 4096))) (then (return (i32.const 8))))
        (i32.store (i32.add (local.get $at) (i32.const 4096)) (local.get $me))
        (br_if $next (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 4))) (i32.const 60000))))
      (i32.const 0)"""
    module, wrong = load(inferring(body)), []

    def run(number: int) -> None:
        for _ in range(100):
            wrong.extend(found for found in [module.run(number.to_bytes(4, "little"))] if found)

    threads = [threading.Thread(target=run, args=(number + 1,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert 1 <= len(module._shelf) <= 4


def test_idle_instances_end_with_their_module_and_when_another_needs_the_room():
    runtime = Runtime(Limits(max_memory_bytes=3 * PAGE_BYTES, max_output_bytes=8), compiler=compile_here)
    two = inferring("(i32.const 0)", memory='(memory (export "memory") 2)')
    first, second = runtime.load(two), runtime.load(two)
    first.run(b"1234")
    waiting = first._shelf[0]
    second.run(b"1234")
    assert (first._shelf, len(second._shelf)) == ([], 1)
    shelf = second._shelf
    del second
    assert shelf == []
    with pytest.raises(ValueError, match="closed"):
        waiting._store._context()
    runtime.close()


def test_an_instance_that_another_thread_takes_first_is_nobodys_loss():
    class Taken(list[Guest]):
        """Empty by the time that one is taken."""

        def __bool__(self) -> bool:
            return next(self.looks)

        looks = iter((True, False))

    idle = Idle(0)
    idle._shelves[0] = Taken()
    idle.close()
    assert idle._held() == 0


def test_a_runtime_that_closed_keeps_nothing():
    runtime = Runtime(compiler=compile_here)
    module = runtime.load(inferring("(i32.const 0)"))
    module.run(b"1234")
    runtime.close()
    assert module._shelf == []
    with pytest.raises(EnclaveError):
        module.run(b"1234")
