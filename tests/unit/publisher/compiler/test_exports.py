"""Modules lose the one export that only costs, and stay whole."""

import wasmtime

from publisher.compiler.exports import without_export
from tests.support.wat_modules import wasm

NAMES = [f"f{number}" for number in range(200)]
MODULE = wasm(
    '(module (memory (export "memory") 1) (func $f) (func (export "_initialize") unreachable)'
    + "".join(f'(func (export "{name}") (result i32) (i32.const {len(name)}))' for name in NAMES)
    + "(start $f))"
)


def names(module: bytes) -> list[str]:
    return [each.name for each in wasmtime.Module(wasmtime.Engine(), module).exports]


def test_one_export_goes() -> None:
    assert names(MODULE) == ["memory", "_initialize", *NAMES]
    made = without_export(MODULE, b"_initialize")
    assert names(made) == ["memory", *NAMES]
    store = wasmtime.Store()
    exports = wasmtime.Instance(store, wasmtime.Module(store.engine, made), []).exports(store)
    last = exports["f199"]
    assert isinstance(last, wasmtime.Func)
    assert last(store) == 4


def test_a_module_without_it_stays_as_it_is() -> None:
    made = without_export(MODULE, b"_initialize")
    assert without_export(made, b"_initialize") == made
    assert without_export(wasm("(module)"), b"x") == wasm("(module)")
