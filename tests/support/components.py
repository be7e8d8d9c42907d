"""Small WASI 0.2 components in WebAssembly text, for the tests of the enclave's runtime."""

from tests.support.wat_modules import wasm

MODULE = """(core module $m {others}
    (memory (export "memory") {pages})
    (global $next (mut i32) (i32.const 65536))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (local $at i32)
      (local.set $at (global.get $next))
      (global.set $next (i32.add (global.get $next) (local.get 3)))
      (local.get $at))
    (func (export "infer") (param $at i32) (param $length i32) (result i32)
      {body}
      (i32.store8 (i32.const 16) (i32.const {is_error}))
      (i32.store (i32.const 20) (local.get $at)) (i32.store (i32.const 24) (local.get $length))
      (i32.const 16)))"""
LIFT = """(canon lift (core func $i "infer") (memory (core memory $i "memory")) (realloc (core func $i "realloc")))"""
TYPE = '(param "input" (list u8)) (result (result (list u8) (error string)))'


def component(body: str = "", others: str = "", is_error: int = 0, pages: str = "33", kind: str = TYPE) -> bytes:
    """A component whose `infer` gives back its input, or the `$length` bytes that `body` has left at `$at`."""
    module = MODULE.format(body=body, others=others, is_error=is_error, pages=pages)
    return wasm(f'(component {module} (core instance $i (instantiate $m)) (func (export "infer") {kind} {LIFT}))')
