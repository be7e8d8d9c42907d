"""Constants of a module: nobody writes them, by whatever way, and a module that says so wrongly harms itself alone."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.enclave.rewriting.constants import CONSTANT_END, CONSTANT_START
from edge_agent.enclave.rewriting.module_format import PAGE_BYTES
from edge_agent.enclave.running import guest as guests
from edge_agent.enclave.running.first_state import MOST_WRITTEN
from edge_agent.enclave.running.protection import PAGE_BYTES as HOST_PAGE
from protocol.errors import EnclaveError
from schemas.reason import Reason
from tests.support.examples import examples
from tests.support.wat_modules import CONSTANTS, ECHO, inferring, performing, wasm

START, END = PAGE_BYTES, 2 * PAGE_BYTES
MEMORY = '(memory (export "memory") 4)'
DATA = f'(data (i32.const {START}) "weights") (data (i32.const {END - 3}) "end")'


def naming(start: int, end: int, kind: str = "i32 (i32.const {})") -> str:
    return f"""(global (export "{CONSTANT_START}") {kind.format(start)})
      (global (export "{CONSTANT_END}") {kind.format(end)})"""


def constant(body: str, *others: str, start: int = START, end: int = END) -> bytes:
    return inferring(body, naming(start, end), DATA, *others, memory=MEMORY)


STORES = [
    "(i32.store (i32.const {a}) (i32.const 1))",
    "(i32.store8 (i32.const {a}) (i32.const 1))",
    "(i32.store16 offset={a} (i32.const 0) (i32.const 1))",
    "(i64.store (i32.const {a}) (i64.const 1))",
    "(i64.store32 (i32.const {a}) (i64.const 1))",
    "(f32.store (i32.const {a}) (f32.const 1))",
    "(f64.store (i32.const {a}) (f64.const 1))",
    "(v128.store (i32.const {a}) (v128.const i64x2 1 1))",
    "(v128.store64_lane 1 (i32.const {a}) (v128.const i64x2 1 1))",
    "(v128.store8_lane 15 (i32.const {a}) (v128.const i64x2 1 1))",
    "(i32.store (i32.const {a}) (i32.add (i32.load (i32.const {a})) (i32.load (i32.const 1024))))",
    "(i32.store (i32.add (i32.load8_u (i32.const 1025)) (i32.const {a})) (i32.const 1))",
    "(memory.fill (i32.const {a}) (i32.const 1) (i32.const 1))",
    "(memory.copy (i32.const {a}) (i32.const 0) (i32.const 9))",
    "(memory.fill (i32.const {before}) (i32.const 1) (i32.const 200000))",
    "(memory.copy (i32.const {before}) (i32.const 0) (i32.const 65535))",
]


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("at", [START, START + 4096, END - 1])
def test_every_way_to_store_there_is_a_trap(load, store, at):
    code = store.format(a=at, before=START - 64)
    module = load(constant(f"(if (i32.load8_u (i32.const 1024)) (then {code})) (i32.const 0)"))
    for _ in range(2):
        with pytest.raises(EnclaveError) as caught:
            module.run(b"\1\0\0\0")
        assert caught.value.reason is Reason.GUEST_TRAP
        assert module.run(b"\0\0\0\0") == b""


def test_memory_that_grows_leaves_constants_constant(load):
    grow = "(if (i32.ne (memory.grow (i32.const 3)) (i32.const 4)) (then (return (i32.const -5))))"
    store = f"(i32.store (i32.const {START}) (i32.const 1))"
    module = load(constant(f"{grow} (if (i32.load8_u (i32.const 1024)) (then {store})) (i32.const 0)"))
    assert module.run(b"\0\0\0\0") == b""
    with pytest.raises(EnclaveError) as caught:
        module.run(b"\1\0\0\0")
    assert caught.value.reason is Reason.GUEST_TRAP


BESIDE = [
    "(i32.store (i32.const 65532) (i32.const 1)) (i32.store8 (i32.const 131072) (i32.const 1))",
    "(memory.fill (i32.const 0) (i32.const 1) (i32.const 65536))",
    "(memory.fill (i32.const 131072) (i32.const 1) (i32.const 131072))",
    "(memory.copy (i32.const 131072) (i32.const 65536) (i32.const 65536))",
    "(memory.fill (i32.const 70000) (i32.const 1) (i32.const 0))",
    "(memory.copy (i32.const 65536) (i32.const 0) (i32.const 0))",
]


@pytest.mark.parametrize("store", BESIDE)
def test_what_lies_beside_may_be_written(load, store):
    module = load(constant(f"{store} (i64.store (i32.const 2048) (i64.load (i32.const 65536))) (i32.const 8)"))
    assert [module.run(b"\0\0\0\0") for _ in range(2)] == [b"weights\0"] * 2
    assert len(module._shelf) == 1


def test_bulk_instructions_do_what_they_did_in_a_module_that_names_constants(load):
    body = """(memory.fill (i32.const 2048) (i32.const 7) (i32.const 8))
      (memory.copy (i32.const 2050) (i32.const 65536) (i32.const 3)) (i32.const 8)"""
    assert load(constant(body)).run(b"1234") == b"\7\7wei\7\7\7"


@pytest.mark.parametrize("bulk", ["(memory.fill {} (i32.const 1) {})", "(memory.copy {} (i32.const 0) {})"])
@settings(deadline=None, max_examples=examples(40))
@given(
    to=st.one_of(st.integers(0, 4 * PAGE_BYTES + 9), st.sampled_from([START - 1, START, END - 1, END, 2**32 - 1])),
    length=st.one_of(st.integers(0, 4 * PAGE_BYTES), st.integers(0, 3), st.just(2**32 - 1)),
)
def test_the_guard_of_bulk_instructions_is_exact(load, bulk, to, length):
    reads = "(i32.load (i32.const {}))"
    code = bulk.format(reads.format(1024), reads.format(1028))
    buffers = CONSTANTS.replace("(i32.const 4)", "(i32.const 8)")
    module = _guarded(load, f"(module {MEMORY} {naming(START, END)} {DATA} {buffers}", code)
    given = to.to_bytes(4, "little") + length.to_bytes(4, "little")
    ends = to + length
    if ends <= 4 * PAGE_BYTES and (not length or to >= END or ends <= START):
        assert module.run(given) == b""
    else:
        with pytest.raises(EnclaveError) as caught:
            module.run(given)
        assert caught.value.reason is Reason.GUEST_TRAP


_guarded_modules: dict[str, object] = {}


def _guarded(load, head: str, code: str):
    if code not in _guarded_modules:
        _guarded_modules[code] = load(wasm(f'{head} (func (export "infer") (result i32) {code} (i32.const 0)))'))
    return _guarded_modules[code]


LIES = {
    "the input": (0, 4096),
    "all": (0, 4 * PAGE_BYTES),
    "nothing": (5000, 5000),
    "less than a page": (4097, 8191),
}


@pytest.mark.parametrize("of", LIES)
def test_a_module_that_says_wrongly_what_is_constant_ends_in_refusals_or_runs(load, of):
    start, end = LIES[of]
    code = constant("(i32.store (i32.const 2048) (i32.const 1)) (i32.const 4)", start=start, end=end)
    if -(-start // HOST_PAGE) * HOST_PAGE >= end // HOST_PAGE * HOST_PAGE:
        assert [load(code).run(b"1234") for _ in range(2)] == [b"\1\0\0\0"] * 2
        return
    with pytest.raises(EnclaveError) as caught:
        load(code)
    assert caught.value.reason is Reason.GUEST_TRAP


@pytest.mark.parametrize("ends", [(END, START), (0, 4 * PAGE_BYTES + 1), (2**32 - 1, 2**32 - 1), (0, 2**31)])
def test_constants_outside_memory_are_refused(refusal, ends):
    assert refusal(constant("(i32.const 0)", start=ends[0], end=ends[1])) is Reason.MODEL_INVALID


@pytest.mark.parametrize(
    "text",
    [
        naming(START, END, "(mut i32) (i32.const {})"),
        naming(START, END, "i64 (i64.const {})"),
        naming(START, END, "f32 (f32.const {})"),
        naming(START, END).split("\n", maxsplit=1)[0],
        f"""(func (export "{CONSTANT_START}") (result i32) (i32.const 0))
        (global (export "{CONSTANT_END}") i32 (i32.const 9))""",
    ],
    ids=["mutable", "i64", "f32", "one end", "a function"],
)
def test_constants_that_are_named_otherwise_are_refused(refusal, text):
    assert refusal(inferring("(i32.const 0)", text, memory=MEMORY)) is Reason.MODEL_INVALID


def test_constants_that_the_system_does_not_guard_are_refused(load, monkeypatch):
    def protect(*_: int) -> None:
        raise OSError(12, "no memory")

    monkeypatch.setattr(guests, "protect", protect)
    with pytest.raises(EnclaveError) as caught:
        load(constant("(i32.const 0)"))
    assert caught.value.reason is Reason.INTERNAL


def test_memory_init_is_refused_beside_constants(refusal):
    body = "(memory.init $d (i32.const 0) (i32.const 0) (i32.const 1)) (i32.const 0)"
    assert refusal(constant(body, '(data $d "abc")')) is Reason.MODEL_INVALID


@pytest.mark.parametrize("start", ["(start $s)", '(export "_initialize" (func $s))'])
def test_start_functions_find_constants_constant(refusal, start):
    code = constant("(i32.const 0)", f"(func $s (i32.store (i32.const {START}) (i32.const 1)))", start)
    assert refusal(code) is Reason.GUEST_TRAP


def test_an_allocator_that_points_into_constants_is_not_trusted(load):
    allocator = f'(func (export "malloc") (param i32) (result i32) (i32.const {START + 8}))'
    module = load(performing(ECHO, naming(START, END), allocator, memory=MEMORY), max_output_bytes=16)
    for data in (b"data", b""):
        with pytest.raises(EnclaveError) as caught:
            module.run(data)
        assert caught.value.reason is Reason.GUEST_TRAP


IMPORTS = {
    "fd_write": ("i32 i32 i32 i32", "(i32.const 1) (i32.const 0) (i32.const 0) (i32.const {a})"),
    "clock_time_get": ("i32 i64 i32", "(i32.const 0) (i64.const 0) (i32.const {a})"),
    "args_sizes_get": ("i32 i32", "(i32.const {a}) (i32.const 0)"),
    "environ_sizes_get": ("i32 i32", "(i32.const 0) (i32.const {a})"),
}


@pytest.mark.parametrize("name", IMPORTS)
@pytest.mark.parametrize("at", [START, START - 1, END - 1])
def test_the_host_writes_no_constants_for_an_import(load, name, at):
    """A host that tried would end with its process."""
    parameters, arguments = IMPORTS[name]
    imported = f'(import "wasi_snapshot_preview1" "{name}" (func $imported (param {parameters}) (result i32)))'
    body = f"(i32.store (i32.const 2048) (call $imported {arguments.format(a=at)})) (i32.const 4)"
    code = wasm(
        f'(module {imported} {MEMORY} {naming(START, END)} {CONSTANTS} (func (export "infer") (result i32) {body}))'
    )
    assert int.from_bytes(load(code).run(b"1234"), "little") == 21


def test_a_module_with_large_constants_is_kept_and_without_naming_them_is_not(load):
    pages = MOST_WRITTEN // PAGE_BYTES + 2
    memory = f'(memory (export "memory") {pages})'
    module = load(inferring("(i32.const 0)", naming(PAGE_BYTES, pages * PAGE_BYTES), memory=memory))
    large = load(inferring("(i32.const 0)", memory=memory))
    for each in (module, large):
        each.run(b"1234")
    assert [guest.written_bytes for guest in module._shelf] == [PAGE_BYTES]
    assert large._shelf == []
