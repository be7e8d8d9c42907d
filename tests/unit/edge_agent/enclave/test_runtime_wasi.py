"""What a guest can import: a bounded log, and functions that give it nothing."""

import threading

import pytest
import wasmtime
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.enclave.compiling.engine import MAX_STACK_BYTES
from edge_agent.enclave.running.wasi import WITHOUT_FILES, Wasi
from protocol.errors import EnclaveError
from schemas.reason import Reason
from tests.support.wat_modules import ECHO, fd_write, inferring, performing

WASI = "wasi_snapshot_preview1"
I32 = st.one_of(st.integers(-(2**31), 2**31 - 1), st.integers(-8, 8), st.integers(65_500, 65_600))


def answers(load, module: bytes, log: bytearray | None = None) -> list[int]:
    output = load(module).run(b"1234", log)
    return [int.from_bytes(output[at : at + 4], "little") for at in (0, 4)]


def calling(name: str, parameters: str, arguments: str) -> bytes:
    """A module that calls one import: its errno and the 4 bytes at address 512 are the output."""
    return inferring(
        f"""(i64.store (i32.const 512) (i64.const -1))
        (i32.store (i32.const 2048) (call $imported {arguments}))
        (i32.store (i32.const 2052) (i32.load (i32.const 512))) (i32.const 8)""",
        f'(import "{WASI}" "{name}" (func $imported (param {parameters}) (result i32)))',
    )


@pytest.mark.parametrize("descriptor", [1, 2])
def test_the_log_holds_what_the_guest_writes(load, descriptor):
    log = bytearray(b"before ")
    assert answers(load, fd_write(descriptor, 8, 2, 0), log) == [0, 6]
    assert log == b"before log!g!"


def test_without_a_log_the_guest_notices_nothing(load):
    assert answers(load, fd_write(1, 8, 2, 0)) == [0, 6]


@pytest.mark.parametrize("descriptor", [0, 3, -1])
def test_no_other_descriptor_is_open(load, descriptor):
    log = bytearray()
    assert answers(load, fd_write(descriptor, 8, 2, 0), log) == [8, 0]
    assert log == b""


@pytest.mark.parametrize("count", [1025, -1, -(2**31)])
def test_too_many_buffers_are_refused(load, count):
    assert answers(load, fd_write(1, 8, count, 0)) == [28, 0]


@settings(deadline=None)
@given(arguments=st.tuples(st.sampled_from([1, 2]), I32, I32, I32))
def test_fd_write_survives_any_arguments(load, arguments):
    log = bytearray()
    assert answers(load, fd_write(*arguments), log)[0] in {0, 21, 28}
    assert len(log) <= 4096


@settings(deadline=None)
@given(lengths=st.lists(st.integers(0, 5000), max_size=20))
def test_the_log_is_bounded_and_the_guest_is_not_told(load, lengths):
    calls = "".join(
        f"(i32.store (i32.const 4) (i32.const {length})) (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1)"
        f" (i32.const 8))) (if (i32.ne (i32.load (i32.const 8)) (i32.const {length})) (then unreachable))"
        for length in lengths
    )
    importing = f'(import "{WASI}" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))'
    log = bytearray()
    load(inferring(f"{calls} (i32.const 0)", importing)).run(b"1234", log)
    assert len(log) == min(sum(lengths), 4096)


def test_each_run_has_the_whole_log(load):
    module = load(fd_write(1, 8, 2, 0), max_log_bytes=5)
    for _ in range(2):
        log = bytearray()
        module.run(b"1234", log)
        assert log[:4] == b"log!"
        assert len(log) == 5


def test_what_was_logged_before_a_trap_is_kept(load):
    writing = "(func $f (drop (call $write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 0))))"
    module = inferring(
        "(call $f) unreachable",
        f'(import "{WASI}" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))',
        writing,
        r'(data (i32.const 64) "log!") (data (i32.const 8) "\40\00\00\00\04\00\00\00")',
    )
    log = bytearray()
    with pytest.raises(EnclaveError):
        load(module).run(b"1234", log)
    assert log == b"log!"


def test_logs_of_two_threads_do_not_mix(load):
    module = load(
        performing(
            """(i32.store (i32.const 0) (local.get 0)) (i32.store (i32.const 4) (local.get 1))
            (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))""",
            f'(import "{WASI}" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))',
        )
    )
    wrong: list[bytes] = []

    def run(text: bytes) -> None:
        for _ in range(100):
            log = bytearray()
            module.run(text, log)
            wrong.extend([bytes(log)] if log != text else [])

    threads = [threading.Thread(target=run, args=(text,)) for text in (b"first", b"the second")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize(
    ("name", "parameters", "arguments", "expected"),
    [
        ("clock_time_get", "i32 i64 i32", "(i32.const 1) (i64.const 1) (i32.const 512)", [0, 0]),
        ("environ_sizes_get", "i32 i32", "(i32.const 512) (i32.const 516)", [0, 0]),
        ("args_sizes_get", "i32 i32", "(i32.const 516) (i32.const 512)", [0, 0]),
        ("environ_get", "i32 i32", "(i32.const 512) (i32.const 512)", [0, 2**32 - 1]),
        ("random_get", "i32 i32", "(i32.const 512) (i32.const 4)", [52, 2**32 - 1]),
        ("fd_read", "i32 i32 i32 i32", "(i32.const 0) (i32.const 0) (i32.const 0) (i32.const 512)", [8, 2**32 - 1]),
        ("fd_prestat_get", "i32 i32", "(i32.const 3) (i32.const 512)", [8, 2**32 - 1]),
        ("clock_time_get", "i32 i64 i32", "(i32.const 1) (i64.const 1) (i32.const 65529)", [21, 2**32 - 1]),
        ("args_sizes_get", "i32 i32", "(i32.const 65536) (i32.const 512)", [21, 2**32 - 1]),
    ],
)
def test_the_imports_give_nothing(load, name, parameters, arguments, expected):
    assert answers(load, calling(name, parameters, arguments)) == expected


def test_an_exit_ends_the_run(load, refusal):
    importing = f'(import "{WASI}" "proc_exit" (func $exit (param i32)))'
    assert refusal(inferring("(call $exit (i32.const 0)) (i32.const 0)", importing), b"1234") is Reason.GUEST_TRAP
    starting = "(func $start (call $exit (i32.const 0))) (start $start)"
    assert refusal(inferring("(i32.const 0)", importing, starting)) is Reason.GUEST_TRAP


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('(import "env" "abort" (func))', "'env'.'abort'"),
        (f'(import "{WASI}" "sock_open" (func))', "sock_open"),
        (f'(import "{WASI}" "proc_exit" (func (param i64)))', "proc_exit"),
        (f'(import "{WASI}" "proc_exit" (func (param v128)))', "proc_exit"),
        ('(import "env" "table" (table 1 funcref))', "'env'.'table'"),
        ('(import "env" "base" (global i32))', "'env'.'base'"),
        ('(import "\\1b[31m" "\\0a" (func))', r"'\x1b[31m'.'\n'"),
    ],
)
def test_any_other_import_is_refused_by_name(load, text, named):
    with pytest.raises(EnclaveError) as caught:
        load(performing(ECHO, text))
    assert caught.value.reason is Reason.MODEL_INVALID
    assert named in str(caught.value)


def test_an_imported_memory_is_refused(refusal):
    memory = '(import "env" "memory" (memory 1)) (export "memory" (memory 0))'
    assert refusal(performing(ECHO, memory=memory)) is Reason.MODEL_INVALID


def test_every_offered_import_is_what_wasi_says(wasm_runtime):
    """wasmtime's own WASI takes a module that imports all of ours with our signatures."""
    offered = Wasi()._functions()
    assert WITHOUT_FILES.keys() <= offered.keys()
    imports = ""
    for name, (signature, _) in offered.items():
        parameters, results = (part.strip("()").replace(",", "") for part in signature.split(" -> "))
        imports += f'(import "{WASI}" "{name}" (func (param {parameters}) (result {results})))'
    linker = wasmtime.Linker(wasm_runtime.engine(MAX_STACK_BYTES))
    linker.define_wasi()
    assert linker.instantiate_pre(wasmtime.Module(wasm_runtime.engine(MAX_STACK_BYTES), f"(module {imports})"))
