"""The imports a module may have: a few functions of WASI 0.1 (`wasi_snapshot_preview1`) that give it nothing.

Standard libraries of C and Rust link them whether a model uses them or not. Here they show no file, no argument, no
environment, no time and no randomness; what is written to the descriptors 1 and 2 goes to a bounded log. Only this
log leaves a guest besides its output.
"""

import struct
import threading
from collections.abc import Callable
from typing import Final

import wasmtime

from edge_agent.enclave.rewriting.module_format import Import, invalid

MODULE: Final = "wasi_snapshot_preview1"
MAX_VECTORS: Final = 1024
"""Buffers in one fd_write (IOV_MAX)."""

# WASI 0.1, `errno`
SUCCESS: Final = 0
BAD_DESCRIPTOR: Final = 8
FAULT: Final = 21
INVALID: Final = 28
NOT_SUPPORTED: Final = 52


class GuestExitedError(Exception):
    """The guest called proc_exit; it holds no more than that, for it passes through wasmtime's globals."""


NOTHING: Final = range(0)


class Wasi:
    """The allowed imports, and the log of the run that is under way in each thread."""

    def __init__(self) -> None:
        self._run = threading.local()

    def begin(self, log: bytearray | None, max_bytes: int, constants: range = NOTHING) -> None:
        """Until `end`, append what the guest writes in this thread to `log`, up to `max_bytes`; the rest is lost.

        `constants` are the addresses of the guest's memory that nobody may write.
        """
        self._run.log, self._run.room, self._run.constants = log, max_bytes, constants

    def end(self) -> None:
        """Nothing is logged any more."""
        self.begin(None, 0)

    def define(self, linker: wasmtime.Linker) -> None:
        """Define every allowed import, independent of any store."""
        for name, (signature, function) in self._functions().items():
            kind = _function_type(signature)
            linker.define_func(MODULE, name, kind, function, access_caller=True)

    def check(self, imports: tuple[Import, ...]) -> None:
        """Raise `EnclaveError` (model-invalid) that names the first import which is not allowed."""
        allowed = self._functions()
        for each in imports:
            if each.module != MODULE or each.name not in allowed:
                raise invalid(f"the module imports {each.module!a}.{each.name!a}, which this enclave does not offer")
            if each.signature != allowed[each.name][0]:
                raise invalid(f"the module imports {each.name} as {each.signature}, it is {allowed[each.name][0]}")

    def _functions(self) -> dict[str, tuple[str, Callable[..., int | None]]]:
        refused = {name: (signature, _refuse_descriptor) for name, signature in WITHOUT_FILES.items()}
        return {
            **refused,
            "args_get": ("(i32, i32) -> (i32)", _have_none),
            "args_sizes_get": ("(i32, i32) -> (i32)", self._count_none),
            "environ_get": ("(i32, i32) -> (i32)", _have_none),
            "environ_sizes_get": ("(i32, i32) -> (i32)", self._count_none),
            "clock_time_get": ("(i32, i64, i32) -> (i32)", self._stand_still),
            "random_get": ("(i32, i32) -> (i32)", _refuse_randomness),
            "sched_yield": ("() -> (i32)", _have_none),
            "proc_exit": ("(i32) -> ()", _exit),
            "fd_write": ("(i32, i32, i32, i32) -> (i32)", self._write_log),
        }

    def _write_log(self, caller: wasmtime.Caller, descriptor: int, vectors: int, count: int, written: int) -> int:
        if descriptor not in {1, 2}:
            return BAD_DESCRIPTOR
        if not 0 <= count <= MAX_VECTORS:
            return INVALID
        table = _read(caller, vectors, 8 * count)
        if table is None:
            return FAULT
        total = 0
        for address, length in struct.iter_unpack("<II", table):
            kept = _read(caller, address, min(length, self._run.room))
            if kept is None:
                return FAULT
            self._keep(kept)
            total += length
        return INVALID if total >= 2**31 else self._write(caller, written, struct.pack("<I", total))

    def _keep(self, text: bytes) -> None:
        if self._run.log is not None:
            self._run.log += text
        self._run.room -= len(text)

    def _count_none(self, caller: wasmtime.Caller, count: int, size: int) -> int:
        return self._write(caller, count, bytes(4)) or self._write(caller, size, bytes(4))

    def _stand_still(self, caller: wasmtime.Caller, _clock: int, _precision: int, time: int) -> int:
        return self._write(caller, time, bytes(8))

    def _write(self, caller: wasmtime.Caller, address: int, data: bytes) -> int:
        """An errno: SUCCESS, or FAULT when any of it would lie outside guest memory, or among its constants."""
        memory, start = caller.get("memory"), address % 2**32
        end = start + len(data)
        if not isinstance(memory, wasmtime.Memory) or end > memory.data_len(caller):
            return FAULT
        if start < self._run.constants.stop and end > self._run.constants.start:
            return FAULT
        memory.write(caller, data, start)
        return SUCCESS


WITHOUT_FILES: Final = {
    "fd_close": "(i32) -> (i32)",
    "fd_fdstat_get": "(i32, i32) -> (i32)",
    "fd_fdstat_set_flags": "(i32, i32) -> (i32)",
    "fd_prestat_dir_name": "(i32, i32, i32) -> (i32)",
    "fd_prestat_get": "(i32, i32) -> (i32)",
    "fd_read": "(i32, i32, i32, i32) -> (i32)",
    "fd_seek": "(i32, i64, i32, i32) -> (i32)",
    "path_open": "(i32, i32, i32, i32, i32, i64, i64, i32, i32) -> (i32)",
}
"""All answered with EBADF: no descriptor but the log's is open."""


def _refuse_descriptor(_caller: wasmtime.Caller, *_arguments: int) -> int:
    return BAD_DESCRIPTOR


def _refuse_randomness(_caller: wasmtime.Caller, _buffer: int, _length: int) -> int:
    # An error rather than zeros: a guest that needs randomness stops, instead of trusting what is none.
    return NOT_SUPPORTED


def _have_none(_caller: wasmtime.Caller, *_arguments: int) -> int:
    return SUCCESS


def _exit(_caller: wasmtime.Caller, _code: int) -> None:
    raise GuestExitedError


def _read(caller: wasmtime.Caller, address: int, length: int) -> bytes | None:
    """Guest memory, or None when any of it lies outside. Addresses come as signed integers."""
    memory, start = caller.get("memory"), address % 2**32
    if not isinstance(memory, wasmtime.Memory) or start + length > memory.data_len(caller):
        return None
    return bytes(memory.read(caller, start, start + length))


def _function_type(signature: str) -> wasmtime.FuncType:
    kinds = {"i32": wasmtime.ValType.i32, "i64": wasmtime.ValType.i64}
    parameters, results = signature.split(" -> ")
    listed = ([kinds[name]() for name in part.strip("()").split(", ") if name] for part in (parameters, results))
    return wasmtime.FuncType(*listed)
