"""The modules of the attacks, in WebAssembly text: one that stands for a model, and those that do everything else.

Both take `perform_inference(input, length, output, capacity) -> written`, as guests/README.md has it.
"""

from typing import Final

import wasmtime

WEIGHTS: Final = 2048
"""Bytes of a model's weights: random, so that whoever has some of them has them from the model."""

MOST: Final = 32
"""Bytes of its answer: like a classifier's, it is as long whatever the reading."""

LOG_BYTES: Final = 2**25
GREEDY_PAGES: Final = 2048

_ENTRY: Final = (
    '(func (export "perform_inference") (param $in i32) (param $len i32) (param $out i32) (param $cap i32) (result i32)'
)
_REVERSE: Final = """
  (local $i i32) (local $most i32)
  (local.set $most (select (local.get $len) (i32.const {most}) (i32.lt_u (local.get $len) (i32.const {most}))))
  (block $done (loop $next
    (br_if $done (i32.ge_u (local.get $i) (local.get $most)))
    (i32.store8 (i32.add (local.get $out) (local.get $i)) (i32.xor (i32.const {mask})
      (i32.load8_u (i32.sub (i32.add (local.get $in) (i32.sub (local.get $len) (i32.const 1))) (local.get $i)))))
    (local.set $i (i32.add (local.get $i) (i32.const 1)))
    (br $next)))
  (local.get $most)
"""

HONEST, ENDLESS, GREEDY, DEEP, LONG, LOUD, SPYING, OUTSIDE = range(8)
"""What `hostile` does, by the first byte of its input."""

_HOSTILE: Final = """
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 8) "\\00\\80\\00\\00\\00\\40\\00\\00")
  (func $deep (result i32) (i32.add (call $deep) (i32.const 1)))
  (func $grow (result i32)
    (local $n i32)
    (loop $more
      (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable))
      (local.set $n (i32.add (local.get $n) (i32.const 1)))
      (br_if $more (i32.lt_u (local.get $n) (i32.const {pages}))))
    (memory.size))
  (func $shout (result i32)
    (local $n i32)
    (loop $more
      (drop (call $write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 0)))
      (local.set $n (i32.add (local.get $n) (i32.const 1)))
      (br_if $more (i32.lt_u (local.get $n) (i32.const {lines}))))
    (local.get $n))
  {entry}
    (local $what i32)
    (local.set $what (i32.load8_u (local.get $in)))
    (if (i32.eq (local.get $what) (i32.const 1)) (then (loop $again (br $again))))
    (if (i32.eq (local.get $what) (i32.const 2))
      (then (i32.store (local.get $out) (call $grow)) (return (i32.const 4))))
    (if (i32.eq (local.get $what) (i32.const 3)) (then (return (call $deep))))
    (if (i32.eq (local.get $what) (i32.const 4)) (then (return (i32.const 131072))))
    (if (i32.eq (local.get $what) (i32.const 5))
      (then (i32.store (local.get $out) (call $shout)) (return (i32.const 4))))
    (if (i32.eq (local.get $what) (i32.const 6)) (then
      (memory.copy (local.get $out) (i32.const 60000) (i32.const 64)) (return (i32.const 64))))
    (if (i32.eq (local.get $what) (i32.const 7)) (then (i32.store (i32.const 0xfffffff0) (i32.const 1))))
    (memory.copy (i32.const 60000) (local.get $in) (local.get $len))
    (memory.copy (local.get $out) (local.get $in) (local.get $len))
    (local.get $len)))
"""


def model(weights: bytes, mask: int) -> bytes:
    """A module that holds `weights`, and answers with the end of its input, backwards and XOR `mask`."""
    data = "".join(f"\\{byte:02x}" for byte in weights)
    body = _REVERSE.format(mask=mask, most=MOST)
    return _wasm(f'(module (memory (export "memory") 1) (data (i32.const 1024) "{data}") {_ENTRY} {body}))')


def expected(reading: bytes, mask: int) -> bytes:
    """What `model` answers: by it one tells which model did."""
    return bytes(byte ^ mask for byte in reading[: -MOST - 1 : -1])


def compiled(module: bytes) -> bytes:
    """The machine code of a module, as wasmtime with its defaults keeps it."""
    return bytes(wasmtime.Module(wasmtime.Engine(), module).serialize())


def hostile() -> bytes:
    """A module of a malicious publisher: it does what the first byte of its input says."""
    lines = LOG_BYTES // 2**14
    return _wasm(_HOSTILE.format(pages=GREEDY_PAGES, lines=lines, entry=_ENTRY))


def importing(module: str, name: str, signature: str) -> bytes:
    """A module that wants a function which nobody promised it."""
    wanted = f'(import "{module}" "{name}" (func {signature}))'
    return _wasm(f'(module {wanted} (memory (export "memory") 1) {_ENTRY} (i32.const 0)))')


def _wasm(text: str) -> bytes:
    return bytes(wasmtime.wat2wasm(text))
