"""The next run sees the module's first state, byte for byte, whatever the run before it did to its own (P11)."""

import hashlib
import threading

import pytest

from protocol.errors import EnclaveError
from tests.support.wat_modules import wasm

PAGES = 24
SEGMENT = 1_000_003
"""Bytes of initial data, at an odd address and of odd length: its ends share pages with zeros."""

# One command byte: zero answers with what is found; "t" and "u" scribble over everything, then trap or run forever;
# any other scribbles and ends.
STATE = f"""
  (memory (export "memory") {PAGES} 40)
  (global $n (mut i32) (i32.const 7)) (global $v (mut v128) (v128.const i64x2 1 2))
  (table $t 2 8 funcref) (elem (i32.const 0) $one) (elem $lazy func $two) (data $passive "passive")
  (func $one (result i32) (i32.const 1)) (func $two (result i32) (i32.const 2))
  (func $kind (param $at i32) (result i32)
    (if (ref.is_null (table.get $t (local.get $at))) (then (return (i32.const 0))))
    (call_indirect $t (result i32) (local.get $at)))"""
SEEN = """
  (global (export "input") i32 (i32.const 1507328)) (global (export "input_size") i32 (i32.const 1))
  (global (export "output") i32 (i32.const 1507344)) (global (export "output_size") i32 (i32.const 40))
  (func (export "infer") (result i32) (local $command i32)
    (local.set $command (i32.load8_u (i32.const 1507328)))
    (i32.store8 (i32.const 1507328) (i32.const 0))
    (if (i32.eqz (local.get $command)) (then
      (i64.store (i32.const 1507344) (call $hash))
      (i32.store (i32.const 1507352) (memory.size)) (i32.store (i32.const 1507356) (global.get $n))
      (v128.store (i32.const 1507360) (global.get $v)) (i32.store (i32.const 1507376) (table.size $t))
      (i32.store8 (i32.const 1507380) (call $kind (i32.const 0)))
      (i32.store8 (i32.const 1507381) (call $kind (i32.const 1)))
      (memory.init $passive (i32.const 1507382) (i32.const 5) (i32.const 2))
      (table.init $t $lazy (i32.const 1) (i32.const 0) (i32.const 1))
      (return (i32.const 40))))
    (drop (memory.grow (i32.const 10)))
    (memory.fill (i32.const 0) (local.get $command) (i32.mul (memory.size) (i32.const 65536)))
    (global.set $n (i32.const -1)) (global.set $v (v128.const i64x2 -1 -1))
    (drop (table.grow $t (ref.func $two) (i32.const 3)))
    (table.fill $t (i32.const 0) (ref.func $two) (i32.const 5))
    (elem.drop $lazy) (data.drop $passive)
    (if (i32.eq (local.get $command) (i32.const 116)) (then unreachable))
    (if (i32.eq (local.get $command) (i32.const 117)) (then (loop (br 0))))
    (i32.const 0))
  (func $hash (result i64) (local $at i32) (local $h i64)
    (loop $next
      (local.set $h (i64.mul (i64.xor (local.get $h) (i64.load (local.get $at))) (i64.const 0x100000001b3)))
      (local.set $h (i64.xor (local.get $h) (i64.shr_u (local.get $h) (i64.const 29))))
      (br_if $next (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 8))) (i32.const 1572864))))
    (local.get $h))"""


def fresh(body: str) -> bytes:
    digits = hashlib.shake_256(b"weights").digest(SEGMENT)
    text = "".join(f"\\{byte:02x}" for byte in digits)
    data = f'(data (i32.const 12345) "{text}")'
    return wasm(f"(module {STATE} {data} {body})")


def expected() -> bytes:
    """What the first instance has to be: computed here, from the module's own words."""
    memory = bytearray(PAGES * 65536)
    memory[12345 : 12345 + SEGMENT] = hashlib.shake_256(b"weights").digest(SEGMENT)
    hashed = 0
    for at in range(0, len(memory), 8):
        hashed = ((hashed ^ int.from_bytes(memory[at : at + 8], "little")) * 0x100000001B3) % 2**64
        hashed ^= hashed >> 29
    state = hashed.to_bytes(8, "little") + PAGES.to_bytes(4, "little") + (7).to_bytes(4, "little")
    state += (1).to_bytes(8, "little") + (2).to_bytes(8, "little") + (2).to_bytes(4, "little") + b"\x01\x00ve"
    return state


@pytest.fixture(scope="module")
def module(load):
    return load(fresh(SEEN), max_seconds=0.2)


@pytest.fixture(scope="module")
def first() -> bytes:
    return expected()


def scribble(module, command: bytes) -> None:
    try:
        assert module.run(command) == b""
    except EnclaveError:
        assert command in {b"t", b"u"}


@pytest.mark.parametrize("command", [b"s", b"t", b"u", b"\xff"], ids=["ends", "traps", "runs over", "other"])
def test_the_next_run_sees_the_first_state(module, first, command):
    assert module.run(b"\0") == first
    scribble(module, command)
    assert module.run(b"\0") == first


@pytest.mark.slow
def test_under_threads_too(module, first):
    wrong: list[bytes] = []

    def run(command: bytes) -> None:
        for _ in range(12):
            scribble(module, command)
            wrong.extend(found for found in [module.run(b"\0")] if found != first)

    threads = [threading.Thread(target=run, args=(command,)) for command in (b"s", b"t", b"s", b"\x01")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.slow
def test_the_test_would_notice(load, first):
    """The same module with one other byte of data answers otherwise."""
    assert load(fresh(SEEN + '(data (i32.const 1112000) "\\01")')).run(b"\0") != first
