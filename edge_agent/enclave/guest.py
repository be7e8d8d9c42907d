"""One instance of a module in a store of its own, alive for one request: bounds-checked, its faults translated."""

import ctypes
from typing import Final

import wasmtime

from edge_agent.enclave.faults import out_of_memory, out_of_time, trap_code, trapped
from edge_agent.enclave.interruptible import STOP
from edge_agent.enclave.limits import Limits
from edge_agent.enclave.module_format import PAGE_BYTES
from edge_agent.enclave.watchdog import Watched
from protocol.errors import EnclaveError
from schemas.reason import Reason

OUT_OF_MEMORY_SIGNS: Final = {"UNREACHABLE", "MEMORY_OUT_OF_BOUNDS"}
"""How a guest ends whose allocator got no more pages: it panics, or it writes through the null that it was given."""


class Guest:
    """Memory and functions of one instance. Every method raises `EnclaveError`, or wasmtime's own errors for a trap."""

    def __init__(self, store: wasmtime.Store, instance: wasmtime.Instance, limits: Limits, watched: Watched) -> None:
        """Made before any code of the instance has run; `watched` stops it from here on."""
        self._store = store
        self._exports = instance.exports(store)
        self._limits = limits
        self._watched = watched
        self._memory = self._own_memory("memory")
        stop = self._own_memory(STOP).data_ptr(store)
        watched.stops_at(ctypes.cast(stop, ctypes.POINTER(ctypes.c_uint32)).contents)

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
            raise self.out_of_memory("no memory left for input and output") from None

    def out_of_memory(self, message: str) -> EnclaveError:
        """The error for a guest that has no room left, with its limit."""
        return out_of_memory(message, self._limits)

    def trapped(self, trap: wasmtime.Trap) -> EnclaveError:
        """The error for a trap. wasmtime's text is left out: it lists the module's function names."""
        if self._watched.is_over:
            return out_of_time(self._limits)
        code = trap_code(trap)
        if code in OUT_OF_MEMORY_SIGNS and self._is_full():
            return self.out_of_memory("the module trapped with all its memory in use")
        return trapped(code, self._limits)

    def _own_memory(self, name: str) -> wasmtime.Memory:
        memory = self._exports[name]
        if not isinstance(memory, wasmtime.Memory):
            raise EnclaveError(f"the module's `{name}` is not a memory", reason=Reason.MODEL_INVALID)
        return memory

    def _is_full(self) -> bool:
        return self._memory.data_len(self._store) + PAGE_BYTES > self._limits.max_memory_bytes

    def _check_inside(self, address: int, length: int) -> None:
        if address + length > self._memory.data_len(self._store):
            raise EnclaveError("the module points outside its memory")
