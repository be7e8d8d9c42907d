"""New instances of a core module: in a store of their own, within limits, constants guarded, start functions run."""

import time
from typing import Final

import wasmtime

from edge_agent.enclave.compiling.limits import MAX_TABLES, Limits
from edge_agent.enclave.rewriting.constants import CONSTANT_END, CONSTANT_START
from edge_agent.enclave.rewriting.interruptible import START
from edge_agent.enclave.rewriting.module_format import Interface, invalid
from edge_agent.enclave.running.bounded import Bounded
from edge_agent.enclave.running.faults import not_started
from edge_agent.enclave.running.guest import Guest
from edge_agent.enclave.running.protection import PAGE_BYTES
from protocol.errors import EnclaveError
from schemas.reason import Reason

MEMORIES: Final = 2
"""The module's own, and that of the stop page."""


class Starter:
    """Makes instances of one module."""

    def __init__(
        self,
        engine: wasmtime.Engine,
        linked: wasmtime.InstancePre,
        interface: Interface,
        limits: Limits,
        bounded: Bounded,
    ) -> None:
        self._engine, self._linked, self._limits, self._bounded = engine, linked, limits, bounded
        self._has_constants = CONSTANT_START in interface.exports
        starts = ((START, interface.starts), ("_initialize", "_initialize" in interface.exports))
        self._starts = tuple(name for name, is_there in starts if is_there)

    def start(self, log: bytearray | None) -> Guest:
        """A new guest, ready for its first call. What it logs on the way is appended to `log`, also when it fails.

        Raises `EnclaveError`: what instantiation and start functions brought about.
        """
        began, said = time.monotonic(), bytearray()
        guest = self._instance()
        try:
            self._guard_constants(guest)
            if self._starts:
                self._bounded.run(guest, said, self._call)
        except BaseException:
            guest.close()
            raise
        finally:
            if log is not None:
                log += said
        guest.logged, guest.start_seconds = bytes(said), time.monotonic() - began
        return guest

    def _call(self, guest: Guest) -> None:
        for name in self._starts:
            guest.call(name)

    def _instance(self) -> Guest:
        store = wasmtime.Store(self._engine)
        try:
            store.set_limits(
                memory_size=self._limits.max_memory_bytes,
                table_elements=self._limits.max_table_elements,
                instances=1,
                tables=MAX_TABLES,
                memories=MEMORIES,
            )
            return Guest(store, self._linked.instantiate(store), self._limits)
        except (wasmtime.Trap, wasmtime.WasmtimeError) as fault:
            store.close()
            raise not_started(fault, self._limits) from None

    def _guard_constants(self, guest: Guest) -> None:
        """Before any of the module's code runs: what it initialises is not constant."""
        if not self._has_constants:
            return
        start, end = guest.constant(CONSTANT_START), guest.constant(CONSTANT_END)
        if not start <= end <= guest.size():
            raise invalid(f"the module's constants from {start} to {end} are not in its memory")
        try:
            guest.make_constant(range(-(-start // PAGE_BYTES) * PAGE_BYTES, end // PAGE_BYTES * PAGE_BYTES))
        except OSError as refused:
            raise EnclaveError(f"constants cannot be guarded: {refused.strerror}", reason=Reason.INTERNAL) from None
