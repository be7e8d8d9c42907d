"""wasmtime's C functions, called directly, do what wasmtime-py does with them."""

import ctypes
from collections.abc import Iterator

import pytest
import wasmtime
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.enclave.compiling.engine import WASMTIME_VERSION, hostile_safe_engine
from edge_agent.enclave.running.direct import WRITTEN_FOR, Exports
from edge_agent.enclave.running.protection import NO_ACCESS, PAGE_BYTES, READ_ONLY, protect
from tests.support.wat_modules import wasm

I32 = st.integers(-(2**31), 2**31 - 1)
TEXT = """(module (import "" "raise" (func $raise))
  (memory (export "memory") 2 3) (data (i32.const 100) "here")
  (global (export "i32") (mut i32) (i32.const -7)) (global (export "i64") (mut i64) (i64.const 0x7123456789abcdef))
  (global (export "f32") (mut f32) (f32.const nan:0x200001)) (global (export "f64") (mut f64) (f64.const -0))
  (global (export "v128") (mut v128) (v128.const i64x2 1 -2)) (global (export "fixed") i32 (i32.const 9))
  (table (export "table") 1 funcref)
  (func (export "mixed") (param i32 i32 i32) (result i32)
    (i32.add (local.get 0) (i32.sub (i32.mul (local.get 1) (i32.const 3)) (local.get 2))))
  (func (export "nothing")) (func (export "trap") unreachable) (func (export "raise") (call $raise))
  (func (export "change") (global.set 0 (i32.const 1)) (global.set 1 (i64.const 1)) (global.set 2 (f32.const 1))
    (global.set 3 (f64.const 1)) (global.set 4 (v128.const i64x2 5 5)))
  (func (export "bits") (result i64 i64 i64 i64 i64)
    (i64.extend_i32_s (global.get 0)) (global.get 1) (i64.extend_i32_u (i32.reinterpret_f32 (global.get 2)))
    (i64.reinterpret_f64 (global.get 3)) (i64x2.extract_lane 1 (global.get 4))))"""


class OwnError(Exception):
    """What the import raises."""


def fail() -> None:
    raise OwnError


class Both:
    """One instance, seen both ways."""

    def __init__(self) -> None:
        engine = hostile_safe_engine()
        self.store = wasmtime.Store(engine)
        raising = wasmtime.Func(self.store, wasmtime.FuncType([], []), fail)
        instance = wasmtime.Instance(self.store, wasmtime.Module(engine, wasm(TEXT)), [raising])
        self.slow, self.direct = instance.exports(self.store), Exports(self.store, instance)


@pytest.fixture(scope="module")
def both() -> Iterator[Both]:
    both = Both()
    yield both
    both.store.close()


def test_the_installed_wasmtime_is_the_one_that_this_was_written_for():
    assert WASMTIME_VERSION.startswith(WRITTEN_FOR)


@given(values=st.tuples(I32, I32, I32))
def test_calls_pass_and_return_the_same(both, values):
    function = both.direct.function("mixed", 3)
    assert function(*values) == function(*values) == both.slow["mixed"](both.store, *values)


def test_functions_without_arguments_or_results_are_called(both):
    both.direct.function("nothing", 0)()


def test_a_trap_is_raised_and_leaves_the_function_as_it_was(both):
    function = both.direct.function("trap", 0)
    for _ in range(3):
        with pytest.raises(wasmtime.Trap) as caught:
            function()
        assert caught.value.trap_code is wasmtime.TrapCode.UNREACHABLE


def test_what_an_import_raises_comes_out_once(both):
    function = both.direct.function("raise", 0)
    for _ in range(2):
        with pytest.raises(OwnError):
            function()
    both.direct.function("nothing", 0)()
    with pytest.raises(wasmtime.Trap):
        both.direct.function("trap", 0)()


def test_globals_of_every_type_come_back_bit_for_bit(both):
    before = both.slow["bits"](both.store)
    kept = [both.direct.a_global(name) for name in ("i32", "i64", "f32", "f64", "v128")]
    for each in kept:
        each.keep()
    both.slow["change"](both.store)
    assert both.slow["bits"](both.store) != before
    for each in kept:
        each.put_back()
    assert both.slow["bits"](both.store) == before == [-7, 0x7123456789ABCDEF, 0x7FA00001, -(2**63), -2]


def test_what_does_not_change_is_not_put_back(both):
    fixed = both.direct.a_global("fixed")
    assert fixed.as_i32() == 9
    with pytest.raises(wasmtime.WasmtimeError):
        fixed.put_back()
    assert both.direct.a_global("i64").as_i32() is None


def test_exports_are_found_by_name_and_kind(both):
    names = ("memory", "i32", "table", "nothing", "another", "", "memory\0")
    assert [both.direct.kind(name) for name in names] == ["memory", "global", "table", "function", None, None, None]
    for name in ("i32", "another"):
        with pytest.raises(KeyError):
            both.direct.memory(name)
    with pytest.raises(KeyError):
        both.direct.a_global("memory")
    with pytest.raises(KeyError):
        both.direct.function("table", 0)


def test_memory_is_where_wasmtime_says_and_grows_in_its_place():
    both = Both()
    memory, slow = both.direct.memory("memory"), both.slow["memory"]
    assert memory.address == ctypes.addressof(slow.data_ptr(both.store).contents)
    assert ctypes.string_at(memory.address + 100, 4) == b"here"
    memory.grow(1)
    assert memory.size() == slow.data_len(both.store) == 3 * 65_536
    with pytest.raises(wasmtime.WasmtimeError):
        memory.grow(1)
    assert both.direct.memory("memory").address == memory.address
    assert (len(memory.view), bytes(memory.view[100:104])) == (3 * 65_536, b"here")
    both.store.close()


def test_protection_that_the_system_refuses_is_an_error():
    with pytest.raises(OSError, match=r"\w"):
        protect(1, PAGE_BYTES, READ_ONLY)
    with pytest.raises(OSError, match=r"\w"):
        protect(2**46, PAGE_BYTES, NO_ACCESS)
