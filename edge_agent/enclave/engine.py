"""The wasmtime engine for modules that may be hostile: what is switched on, and why the rest is off.

Imports nothing but wasmtime: the compiling child process starts with this file alone.
"""

import hashlib
import importlib.metadata
import platform
from typing import Final

import wasmtime

WASMTIME_VERSION: Final = importlib.metadata.version("wasmtime")
"""Read at the start: an enclave that is confined opens no file any more."""

MAX_STACK_BYTES: Final = 512 * 1024
"""Wasm runs on the calling thread's own stack, of which this is to leave most."""

FEATURES: Final[dict[str, bool]] = {
    "wasm_simd": True,
    "wasm_bulk_memory": True,
    "wasm_multi_value": True,
    "wasm_reference_types": True,
    # Two processors may answer differently: a receipt could not be checked by computing again.
    "wasm_relaxed_simd": False,
    # Would let a module see time pass, or several memories escape the one limit.
    "wasm_threads": False,
    "shared_memory": False,
    "wasm_multi_memory": False,
    "wasm_memory64": False,
    # No compiler of models needs these: less of wasmtime is reachable.
    "wasm_component_model": False,
    "wasm_custom_page_sizes": False,
    "wasm_exceptions": False,
    "wasm_function_references": False,
    "wasm_gc": False,
    "wasm_stack_switching": False,
    "wasm_tail_call": False,
    "wasm_wide_arithmetic": False,
    "gc_support": False,
    "epoch_interruption": True,
}
"""Names are those of `wasmtime.Config`."""

EMPTY_MODULE: Final = b"\0asm\x01\0\0\0"


def hostile_safe_engine(max_stack_bytes: int = MAX_STACK_BYTES) -> wasmtime.Engine:
    """An engine whose code stops at epoch deadlines and knows no more of WebAssembly than `FEATURES`."""
    config = wasmtime.Config()
    for name, enabled in FEATURES.items():
        setattr(config, name, enabled)
    config.max_wasm_stack = max_stack_bytes
    return wasmtime.Engine(config)


def compiled(module: bytes, max_stack_bytes: int = MAX_STACK_BYTES) -> bytes:
    """Validate and compile; the result is for `wasmtime.Module.deserialize` in this very enclave and nowhere else.

    Raises `wasmtime.WasmtimeError`. Time and memory are not bounded here, and a fault in the compiler ends the
    process: see `edge_agent.enclave.compiler`.
    """
    if not module.startswith(EMPTY_MODULE):
        # wasmtime-py would parse it as WebAssembly text.
        raise wasmtime.WasmtimeError("not a WebAssembly core module of version 1")
    return bytes(wasmtime.Module(hostile_safe_engine(max_stack_bytes), module).serialize())


def engine_fingerprint(max_stack_bytes: int = MAX_STACK_BYTES) -> str:
    """What decides how a module is compiled and run, on one line: four parts, separated by "; ".

    The wasmtime version, the platform, the features, and SHA-256 of the empty module's machine code. wasmtime writes
    into that code its own version, its settings, and which instruction sets it found, so the last part differs
    between kinds of processors and the first three do not.
    """
    features = " ".join(name for name, enabled in sorted(FEATURES.items()) if enabled)
    return "; ".join(
        (
            f"wasmtime {WASMTIME_VERSION}",
            f"{platform.system().lower()}-{platform.machine()}",
            f"{features} stack={max_stack_bytes}",
            f"sha256:{hashlib.sha256(compiled(EMPTY_MODULE, max_stack_bytes)).hexdigest()}",
        )
    )
