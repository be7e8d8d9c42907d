"""Bytes that may be no module at all."""

import pytest
import wasmtime
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.enclave.compiling.engine import hostile_safe_engine
from edge_agent.enclave.rewriting.module_format import MAGIC, MAX_EXPORTS, MAX_IMPORTS, parse_interface
from protocol.errors import EnclaveError
from schemas.reason import Reason
from tests.support.wat_modules import ECHO, fd_write, inferring, performing, wasm

VALID = [performing(ECHO), inferring("(i32.const 0)"), fd_write(1, 8, 2, 0)]
VALUE_TYPE = st.sampled_from(["i32", "i64", "f32", "f64", "funcref"])


def refused(module: bytes) -> str:
    with pytest.raises(EnclaveError) as caught:
        parse_interface(module)
    assert caught.value.reason is Reason.MODEL_INVALID
    return str(caught.value)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_parse_or_are_refused(load, data):
    for module in (data, MAGIC + data):
        with pytest.raises(EnclaveError):
            load(module)


@settings(deadline=None)
@given(st.sampled_from(VALID), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_damaged_module_loads_and_runs_or_is_refused(load, module, damage):
    damaged = bytearray(module)
    for at, value in damage:
        damaged[at % len(damaged)] = value
    try:
        load(bytes(damaged), max_seconds=0.05).run(b"1234")
    except EnclaveError as error:
        assert "\n" not in str(error)  # noqa: PT017 - a damaged module may also run


@settings(deadline=None)
@given(st.sampled_from(VALID[:2]), st.integers(0, 300))
def test_a_module_cut_short_is_refused(load, module, length):
    with pytest.raises(EnclaveError):
        load(module[: length % len(module)])


@settings(deadline=None)
@given(st.lists(st.tuples(st.lists(VALUE_TYPE, max_size=5), st.lists(VALUE_TYPE, max_size=3)), max_size=6))
def test_the_interface_is_the_one_that_wasmtime_sees(functions):
    imports = "".join(
        f'(import "m" "f{at}" (func (param {" ".join(takes)}) (result {" ".join(gives)})))'
        for at, (takes, gives) in enumerate(functions)
    )
    exports = "".join(f'(export "e{at}" (func {at}))' for at in range(len(functions)))
    module = wasm(f'(module {imports} (memory (export "memory") 3 9) (table (export "t") 1 funcref) {exports})')
    seen = wasmtime.Module(hostile_safe_engine(), module)
    interface = parse_interface(module)
    assert [each.signature for each in interface.imports] == [spelled(each.type) for each in seen.imports]
    expected = {each.name: spelled(each.type) for each in seen.exports}
    assert {name: export.signature for name, export in interface.exports.items()} == expected
    assert interface.memory_pages == 3


def spelled(kind: object) -> str:
    if not isinstance(kind, wasmtime.FuncType):
        return ""
    return f"({', '.join(map(str, kind.params))}) -> ({', '.join(map(str, kind.results))})"


@pytest.mark.parametrize(
    "memory",
    ["(memory i64 1)", "(memory 1 1 shared)", "(memory 1) (memory 1)", "(memory 4 (pagesize 1))"],
)
def test_other_kinds_of_memory_are_refused(memory):
    assert "memor" in refused(wasm(f"(module {memory})"))


@pytest.mark.parametrize(
    "text",
    [
        "(module (func (param externref)))",
        "(module (type (struct)))",
        "(module (rec (type (func))))",
        '(module (tag (export "t")))',
        "(component)",
    ],
)
def test_features_that_are_off_are_refused(load, text):
    with pytest.raises(EnclaveError) as caught:
        load(wasm(text))
    assert caught.value.reason is Reason.MODEL_INVALID


@pytest.mark.parametrize(
    "text",
    [
        "(func (drop (i32.atomic.load (i32.const 0))))",
        "(func $f (return_call $f))",
        "(func (param v128) (drop (i8x16.relaxed_swizzle (local.get 0) (local.get 0))))",
    ],
)
def test_instructions_that_are_off_are_refused(refusal, text):
    assert refusal(performing(ECHO, text)) is Reason.MODEL_INVALID


def test_text_is_not_compiled(load):
    with pytest.raises(EnclaveError, match="not a WebAssembly core module"):
        load(b'(module (memory (export "memory") 1))')


def test_counts_are_bounded():
    exports = "".join(f'(export "{at}" (func 0))' for at in range(MAX_EXPORTS + 1))
    assert "exports" in refused(wasm(f"(module (func) {exports})"))
    assert "imports" in refused(wasm("(module " + '(import "a" "b" (func))' * (MAX_IMPORTS + 1) + ")"))
    assert "parameters" in refused(wasm("(module (func (param " + "i32 " * 129 + ")))"))
    assert "name" in refused(wasm(f'(module (func (export "{"n" * 129}")))'))


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (b"\x01\x80\x80\x80\x80\x80\x00", "overlong"),
        (b"\x01\xff\xff\xff\xff\x0f", "too early"),
        (b"\x01\x01\x00\x01\x01\x00", "twice"),
        (b"\x03\x02\x01\x00", "does not have"),
        (b"\x07\x05\x01\x01\xff\x00\x00", "UTF-8"),
        (b"\x07\x05\x01\x01a\x09\x00", "unknown kind"),
        (b"\x01\x04\x01\x60\x01\x11", "value type"),
    ],
)
def test_why_bytes_are_refused(damage, why):
    assert why in refused(MAGIC + damage)
