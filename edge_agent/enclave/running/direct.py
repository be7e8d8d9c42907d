"""Memory, functions and globals of one instance, through wasmtime's C functions.

Why not through wasmtime-py: it asks for a function's type at each call and converts value by value, which takes 8 µs
where the call itself takes 0.4, and it lists all exports to find one. Why its private parts: the library and the
shapes of wasmtime's structures are declared there, of the version that `WRITTEN_FOR` names. Tests hold both ways
against each other.

Nothing here checks a type or an address: who calls has done so. All of it ends with the store.
"""

import ctypes
from ctypes import POINTER, addressof, byref, c_bool, c_char_p, c_size_t, c_uint64, c_void_p, cast
from typing import Any, Final

import wasmtime
from wasmtime import _ffi as ffi
from wasmtime._func import maybe_raise_last_exn

WRITTEN_FOR: Final = "50.0."
"""How wasmtime's version begins. With any other, read its C interface first (wasmtime/func.h, extern.h, val.h)."""

KINDS: Final = ("function", "global", "table", "memory")
"""By `wasmtime_extern_kind_t` (wasmtime/extern.h)."""


def _short(name: str, result: Any, *arguments: Any) -> Any:
    """A C function with plain pointers: wasmtime-py's own declarations look at what they point to, each time.

    It takes less time than letting go of Python's lock.
    """
    return ctypes.PYFUNCTYPE(result, *arguments)((name, ffi.dll))


def _long(name: str, result: Any, *arguments: Any) -> Any:
    """Likewise, but other threads of Python run meanwhile."""
    return ctypes.CFUNCTYPE(result, *arguments)((name, ffi.dll))


_export = _short("wasmtime_instance_export_get", c_bool, c_void_p, c_void_p, c_char_p, c_size_t, c_void_p)
_call = _long("wasmtime_func_call_unchecked", c_void_p, c_void_p, c_void_p, c_void_p, c_size_t, c_void_p)
_data = _short("wasmtime_memory_data", c_void_p, c_void_p, c_void_p)
_data_size = _short("wasmtime_memory_data_size", c_size_t, c_void_p, c_void_p)
_grow = _long("wasmtime_memory_grow", c_void_p, c_void_p, c_void_p, c_uint64, c_void_p)
_global_get = _short("wasmtime_global_get", None, c_void_p, c_void_p, c_void_p)
_global_set = _short("wasmtime_global_set", c_void_p, c_void_p, c_void_p, c_void_p)


class Exports:
    """The exports of one instance, looked up by name."""

    def __init__(self, store: wasmtime.Store, instance: wasmtime.Instance) -> None:
        self._context = cast(store._context(), c_void_p)
        self._instance = instance._instance

    def kind(self, name: str) -> str | None:
        """One of `KINDS`; None where there is no such export."""
        found = self._found(name)
        return None if found is None else KINDS[found.kind]

    def function(self, name: str, arguments: int) -> "Function":
        """A function of so many i32, which has one i32 for a result or none. Raises KeyError."""
        return Function(self._context, self._item(name, "function").func, arguments)

    def memory(self, name: str) -> "Memory":
        """Raises KeyError."""
        return Memory(self._context, self._item(name, "memory").memory)

    def a_global(self, name: str) -> "Global":
        """Raises KeyError."""
        return Global(self._context, self._item(name, "global").global_)

    def _item(self, name: str, kind: str) -> Any:
        found = self._found(name)
        if found is None or KINDS[found.kind] != kind:
            raise KeyError(name)
        return found.of

    def _found(self, name: str) -> Any:
        found: Any = ffi.wasmtime_extern_t()
        encoded = name.encode()
        there = _export(self._context, byref(self._instance), encoded, len(encoded), byref(found))
        return found if there and found.kind < len(KINDS) else None


class Function:
    """Called by one thread at a time."""

    def __init__(self, context: c_void_p, function: Any, arguments: int) -> None:
        self._function = function
        self._values = (ffi.wasmtime_val_raw_t * max(1, arguments))()
        self._first = ctypes.c_int32.from_buffer(self._values)
        self._trap = c_void_p()
        self._passed = (
            context,
            c_void_p(addressof(function)),
            c_void_p(addressof(self._values)),
            c_size_t(len(self._values)),
            c_void_p(addressof(self._trap)),
        )

    def __call__(self, *arguments: int) -> int:
        """The result, signed; without meaning where there is none. Raises `wasmtime.Trap`, or what an import raised."""
        for place, each in enumerate(arguments):
            self._values[place].i32 = each
        failed = _call(*self._passed)
        if failed or self._trap.value:
            raise self._failure(failed)
        return self._first.value

    def _failure(self, failed: int | None) -> Exception:
        fault = _error(failed) if failed else wasmtime.Trap._from_ptr(cast(self._trap, POINTER(ffi.wasm_trap_t)))
        self._trap.value = None
        maybe_raise_last_exn()
        return fault


class Memory:
    """A linear memory that never moves."""

    def __init__(self, context: c_void_p, memory: Any) -> None:
        self._memory = memory
        self._passed = (context, c_void_p(addressof(memory)))
        self.address: int = _data(*self._passed) or 0
        """Of its first byte, in this process."""
        self.view = memoryview(b"")
        """All of it, as it was when `look` was last called."""
        self.look()

    def size(self) -> int:
        """Bytes."""
        size: int = _data_size(*self._passed)
        return size

    def look(self) -> int:
        """Renew the view: memory grows, and never shrinks. How many bytes it has."""
        size = self.size()
        self.view = (
            memoryview((ctypes.c_ubyte * size).from_address(self.address)).cast("B") if size else memoryview(b"")
        )
        return size

    def grow(self, pages: int) -> None:
        """By so many pages of zeros. Raises `wasmtime.WasmtimeError` where there is no room."""
        failed = _grow(*self._passed, pages, byref(c_uint64()))
        if failed:
            raise _error(failed)
        self.look()


class Global:
    """A global that holds a number or a vector."""

    def __init__(self, context: c_void_p, found: Any) -> None:
        self._global = found
        self._value: Any = ffi.wasmtime_val_t()
        self._passed = (context, c_void_p(addressof(found)), c_void_p(addressof(self._value)))

    def keep(self) -> None:
        """Note its value, all bits of it."""
        _global_get(*self._passed)

    def put_back(self) -> None:
        """Make it what `keep` noted. Raises `wasmtime.WasmtimeError` where it does not change."""
        failed = _global_set(*self._passed)
        if failed:
            raise _error(failed)

    def as_i32(self) -> int | None:
        """Its value now, signed; None where it is of another type."""
        self.keep()
        return self._value.of.i32 if self._value.kind == ffi.WASMTIME_I32.value else None


def _error(pointer: int) -> wasmtime.WasmtimeError:
    return wasmtime.WasmtimeError._from_ptr(cast(pointer, POINTER(ffi.wasmtime_error_t)))
