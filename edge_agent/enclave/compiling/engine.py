"""The wasmtime engines for modules that may be hostile (`features`).

Imports little besides wasmtime and `interruptible`: the compiling child process starts with this file.
"""

import platform
from collections.abc import Callable
from pathlib import Path
from typing import Final

import wasmtime
from wasmtime.component import Component

from edge_agent.enclave.compiling.features import (
    COMPONENT,
    COMPONENT_FEATURES,
    EMPTY_MODULE,
    FEATURES,
    MAX_STACK_BYTES,
    PROBE,
)
from edge_agent.enclave.rewriting.interruptible import UnknownCodeError, interruptible

__all__ = [
    "COMPONENT",
    "EMPTY_MODULE",
    "FEATURES",
    "MAX_STACK_BYTES",
    "PROBE",
    "WASMTIME_VERSION",
    "compiled",
    "compiled_probe",
    "component_engine",
    "engine_fingerprint",
    "hostile_safe_engine",
]

_INFORMATION: Final = sorted(each.name for each in Path(wasmtime.__file__).parents[1].glob("wasmtime-*.dist-info"))
WASMTIME_VERSION: Final = " ".join(each.removesuffix(".dist-info").partition("-")[2] for each in _INFORMATION)
"""Read at the start: an enclave that is confined opens no file any more."""


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
    process: see `edge_agent.enclave.compiling.compiler`.
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
