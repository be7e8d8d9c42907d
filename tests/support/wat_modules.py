"""Small modules in WebAssembly text, for the tests of the enclave's runtime."""

import wasmtime

MEMORY = '(memory (export "memory") 1)'
CONSTANTS = """
  (global (export "input") i32 (i32.const 1024)) (global (export "input_size") i32 (i32.const 4))
  (global (export "output") i32 (i32.const 2048)) (global (export "output_size") i32 (i32.const 8))
"""


def wasm(text: str) -> bytes:
    return bytes(wasmtime.wat2wasm(text))


def inferring(body: str, *others: str, memory: str = MEMORY) -> bytes:
    """A module with fixed buffers, 4 bytes in and 8 out, whose `infer` has this body."""
    return wasm(f'(module {" ".join(others)} {memory} {CONSTANTS} (func (export "infer") (result i32) {body}))')


def performing(body: str, *others: str, memory: str = MEMORY) -> bytes:
    """A module with `perform_inference(input 0, length 1, output 2, capacity 3)` of this body."""
    entry = '(func (export "perform_inference") (param i32 i32 i32 i32) (result i32)'
    return wasm(f"(module {' '.join(others)} {memory} {entry} {body}))")


ECHO = """
  (if (i32.gt_u (local.get 1) (local.get 3)) (then (return (i32.const -1))))
  (memory.copy (local.get 2) (local.get 0) (local.get 1)) (local.get 1)
"""
FOREVER = "(loop $again (br $again)) (i32.const 0)"


def fd_write(descriptor: int, vectors: int, count: int, written: int) -> bytes:
    """A module that calls fd_write once and returns the errno as output; "log!" lies at address 64."""
    return inferring(
        f"""(i32.store (i32.const 2048) (call $write
              (i32.const {descriptor}) (i32.const {vectors}) (i32.const {count}) (i32.const {written})))
            (i32.store (i32.const 2052) (i32.load (i32.const 0))) (i32.const 8)""",
        '(import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))',
        r'(data (i32.const 64) "log!") (data (i32.const 8) "\40\00\00\00\04\00\00\00\42\00\00\00\02\00\00\00")',
    )
