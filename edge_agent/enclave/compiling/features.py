"""What is switched on in wasmtime for modules that may be hostile, and why the rest is off."""

from typing import Final

MAX_STACK_BYTES: Final = 512 * 1024
"""Wasm runs on the calling thread's own stack, of which this is to leave most."""

COMMON_FEATURES: Final[dict[str, bool]] = {
    "wasm_simd": True,
    "wasm_bulk_memory": True,
    "wasm_multi_value": True,
    "wasm_reference_types": True,
    # Two processors may answer differently: a receipt could not be checked by computing again.
    "wasm_relaxed_simd": False,
    "wasm_memory64": False,
    # Would let a module see time pass.
    "shared_memory": False,
    # No compiler of models needs these: less of wasmtime is reachable.
    "wasm_custom_page_sizes": False,
    "wasm_exceptions": False,
    "wasm_function_references": False,
    "wasm_gc": False,
    "wasm_stack_switching": False,
    "wasm_tail_call": False,
    "wasm_wide_arithmetic": False,
    "gc_support": False,
    # Initial memory is mapped copy-on-write: a new instance costs the pages it touches, not those it has.
    "memory_init_cow": True,
    # What the host notes about a memory's place stays true. All that 32 bits can name is reserved for each.
    "memory_may_move": False,
}
FEATURES: Final[dict[str, bool]] = {
    **COMMON_FEATURES,
    "wasm_component_model": False,
    # For the checks that `interruptible` inserts, and for nothing else: it refuses atomic instructions, and
    # whatever names a second memory, in what it is given.
    "wasm_threads": True,
    "wasm_multi_memory": True,
    "epoch_interruption": False,
    # A load of the stop page that faults is a trap, and so is a store to constants.
    "signals_based_traps": True,
}
COMPONENT_FEATURES: Final[dict[str, bool]] = {
    **COMMON_FEATURES,
    "wasm_component_model": True,
    "wasm_threads": False,
    "wasm_multi_memory": False,
    # The memories inside a component cannot be reached from outside: its code asks the host whether to stop.
    "epoch_interruption": True,
}
"""Names are those of `wasmtime.Config`."""

EMPTY_MODULE: Final = b"\0asm\x01\0\0\0"
COMPONENT: Final = b"\0asm\x0d\0\x01\0"
PROBE: Final = EMPTY_MODULE + bytes.fromhex(
    "010401600000 03020100 0503010001 0606017f0141000b 070a01066d656d6f72790200 0a0901070003400c000b0b"
)
"""A memory, a global and an endless loop: what becomes of it says how every module is rewritten and compiled."""
