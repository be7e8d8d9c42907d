"""The wasmtime engines for modules that may be hostile: what is switched on, and why the rest is off.

Imports wasmtime and `interruptible` alone: the compiling child process starts with this file.
"""

import platform
from collections.abc import Callable
from pathlib import Path
from typing import Final

import wasmtime
from wasmtime.component import Component

from edge_agent.enclave.interruptible import UnknownCodeError, interruptible

_INFORMATION: Final = sorted(each.name for each in Path(wasmtime.__file__).parents[1].glob("wasmtime-*.dist-info"))
WASMTIME_VERSION: Final = " ".join(each.removesuffix(".dist-info").partition("-")[2] for each in _INFORMATION)
"""Read at the start: an enclave that is confined opens no file any more."""

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


def hostile_safe_engine(max_stack_bytes: int = MAX_STACK_BYTES) -> wasmtime.Engine:
    """An engine for `interruptible` modules that knows no more of WebAssembly than `FEATURES`."""
    return _engine(FEATURES, max_stack_bytes)


def component_engine(max_stack_bytes: int = MAX_STACK_BYTES) -> wasmtime.Engine:
    """An engine for components, whose code stops at epoch deadlines."""
    return _engine(COMPONENT_FEATURES, max_stack_bytes)


def _engine(features: dict[str, bool], max_stack_bytes: int) -> wasmtime.Engine:
    config = wasmtime.Config()
    for name, enabled in features.items():
        setattr(config, name, enabled)
    config.max_wasm_stack = max_stack_bytes
    return wasmtime.Engine(config)


def compiled(module: bytes, max_stack_bytes: int = MAX_STACK_BYTES) -> bytes:
    """Validate and compile; the result is for wasmtime's `deserialize` in this very enclave and nowhere else.

    Raises `wasmtime.WasmtimeError`. Time and memory are not bounded here, and a fault in the compiler ends the
    process: see `edge_agent.enclave.compiler`.
    """
    # Anything else wasmtime-py would parse as WebAssembly text.
    if module.startswith(COMPONENT):
        return bytes(Component(component_engine(max_stack_bytes), module).serialize())
    if not module.startswith(EMPTY_MODULE):
        raise wasmtime.WasmtimeError("neither a WebAssembly core module of version 1 nor a component")
    try:
        checked = interruptible(module)
    except UnknownCodeError as unknown:
        raise wasmtime.WasmtimeError(str(unknown)) from None
    return bytes(wasmtime.Module(hostile_safe_engine(max_stack_bytes), checked).serialize())


def compiled_probe(max_stack_bytes: int = MAX_STACK_BYTES) -> bytes:
    """The machine code of `PROBE`, by this process."""
    return compiled(PROBE, max_stack_bytes)


def engine_fingerprint(
    max_stack_bytes: int = MAX_STACK_BYTES, compiling: Callable[[int], bytes] = compiled_probe
) -> str:
    """What decides how a module is compiled and run, on one line: four parts, separated by "; ".

    The wasmtime version, the platform, the features, and SHA-256 of a small module's machine code. wasmtime writes
    into that code its own version, its settings, and which instruction sets it found, so the last part differs
    between kinds of processors and the first three do not. `compiling` is `compiled_probe`, here or in the process that
    compiles the modules: one that never compiled has no compiler in its memory.
    """
    import hashlib  # noqa: PLC0415 - OpenSSL is nothing that a compiling process needs

    features = " ".join(name for name, enabled in sorted(FEATURES.items()) if enabled)
    return "; ".join(
        (
            f"wasmtime {WASMTIME_VERSION}",
            f"{platform.system().lower()}-{platform.machine()}",
            f"{features} stack={max_stack_bytes}",
            f"sha256:{hashlib.sha256(compiling(max_stack_bytes)).hexdigest()}",
        )
    )
