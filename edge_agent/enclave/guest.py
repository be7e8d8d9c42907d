"""One instance of a module in a store of its own, alive for one request: bounds-checked, its faults translated."""

from typing import Final

import wasmtime

from edge_agent.enclave.compiler import one_line
from edge_agent.enclave.limits import Limits
from edge_agent.enclave.module_format import PAGE_BYTES
from protocol.errors import EnclaveError
from schemas.reason import Reason

OUT_OF_MEMORY_SIGNS: Final = {"UNREACHABLE", "MEMORY_OUT_OF_BOUNDS"}
"""How a guest ends whose allocator got no more pages: it panics, or it writes through the null that it was given."""


class Guest:
    """Memory and functions of one instance. Every method raises `EnclaveError`, or wasmtime's own errors for a trap."""

    def __init__(self, store: wasmtime.Store, instance: wasmtime.Instance, limits: Limits) -> None:
        self._store = store
        self._exports = instance.exports(store)
        self._max_memory_bytes = limits.max_memory_bytes
        memory = self._exports["memory"]
        if not isinstance(memory, wasmtime.Memory):
            raise EnclaveError("the module's `memory` is not a memory", reason=Reason.MODEL_INVALID)
        self._memory = memory

    def call(self, name: str, *arguments: int) -> int:
        """Call an exported function: its i32 result, signed, or 0 where it has none."""
        function = self._exports[name]
        if not isinstance(function, wasmtime.Func):
            raise EnclaveError(f"the module's `{name}` is not a function", reason=Reason.MODEL_INVALID)
        result = function(self._store, *arguments)
        return result if isinstance(result, int) else 0

    def constant(self, name: str) -> int:
        """An exported i32 global, or what an exported function without arguments returns; unsigned."""
        export = self._exports[name]
        value = export.value(self._store) if isinstance(export, wasmtime.Global) else self.call(name)
        if not isinstance(value, int):
            raise EnclaveError(f"the module's `{name}` is not an integer", reason=Reason.MODEL_INVALID)
        return value % 2**32

    def write(self, address: int, data: bytes) -> None:
        """Copy into guest memory. Raises `EnclaveError` (guest-trap) when any of it would lie outside."""
        self._check_inside(address, len(data))
        if data:
            self._memory.write(self._store, data, address)

    def read(self, address: int, length: int) -> bytes:
        """Copy out of guest memory. Raises `EnclaveError` (guest-trap) when any of it lies outside."""
        self._check_inside(address, length)
        return bytes(self._memory.read(self._store, address, address + length))

    def grow(self, length: int) -> int:
        """Add pages for `length` bytes; the address of the first. Raises `EnclaveError` (memory-limit)."""
        try:
            return self._memory.grow(self._store, -(-length // PAGE_BYTES)) * PAGE_BYTES
        except wasmtime.WasmtimeError:
            raise EnclaveError("no memory left for input and output", reason=Reason.MEMORY_LIMIT) from None

    def trapped(self, trap: wasmtime.Trap) -> EnclaveError:
        """The error for a trap. wasmtime's text is left out: it lists the module's function names."""
        code = _code(trap)
        if code == "INTERRUPT":
            return EnclaveError("the module ran out of time", reason=Reason.DEADLINE_EXCEEDED)
        if code in OUT_OF_MEMORY_SIGNS and self._is_full():
            return EnclaveError("the module trapped with all its memory in use", reason=Reason.MEMORY_LIMIT)
        return EnclaveError(f"the module trapped: {code.lower().replace('_', ' ')}")

    def _is_full(self) -> bool:
        return self._memory.data_len(self._store) + PAGE_BYTES > self._max_memory_bytes

    def _check_inside(self, address: int, length: int) -> None:
        if address + length > self._memory.data_len(self._store):
            raise EnclaveError("the module points outside its memory")


def not_started(fault: wasmtime.Trap | wasmtime.WasmtimeError) -> EnclaveError:
    """The error for a module that could not be instantiated: its start function trapped, or a limit is too low."""
    if isinstance(fault, wasmtime.WasmtimeError):
        return EnclaveError(f"the module does not fit: {one_line(str(fault))}", reason=Reason.MEMORY_LIMIT)
    if _code(fault) == "INTERRUPT":
        return EnclaveError("the module's start function ran out of time", reason=Reason.DEADLINE_EXCEEDED)
    return EnclaveError(f"the module's start function trapped: {_code(fault).lower().replace('_', ' ')}")


def _code(trap: wasmtime.Trap) -> str:
    try:
        return trap.trap_code.name if trap.trap_code else "unknown"
    except ValueError:
        # A code that is newer than the Python binding.
        return "unknown"
