"""Modules that may be hostile, run one request at a time: bytes in, bytes out, and nothing else.

Each run gets a store and an instance of its own, dropped at its end, so that no sender's data is there for the next
(P11). Time, memory, stack, output and log are bounded; every fault of a module ends in an `EnclaveError`.
"""

import weakref
from collections.abc import Iterator
from contextlib import contextmanager

import wasmtime

from edge_agent.enclave.abi import Convention, check_exports, convention
from edge_agent.enclave.compiler import Compiler, compile_in_child, one_line
from edge_agent.enclave.engine import MAX_STACK_BYTES, engine_fingerprint, hostile_safe_engine
from edge_agent.enclave.guest import Guest, not_started
from edge_agent.enclave.limits import MAX_TABLES, Limits
from edge_agent.enclave.module_format import PAGE_BYTES, Interface, invalid, parse_interface
from edge_agent.enclave.wasi import GuestExitedError, Wasi
from edge_agent.enclave.watchdog import Watchdog
from protocol.errors import EnclaveError, Finding
from schemas.reason import Reason

__all__ = ["Limits", "Module", "Runtime", "engine_fingerprint"]


class Runtime:
    """One wasmtime engine, its watchdog, and the imports it offers. Used from any number of threads.

    `cap` bounds what any module's limits may be. `max_stack_bytes` holds for all modules: threads that run them need
    as much stack and more of their own.
    """

    def __init__(
        self,
        cap: Limits | None = None,
        *,
        max_stack_bytes: int = MAX_STACK_BYTES,
        compiler: Compiler = compile_in_child,
    ) -> None:
        self.cap = cap or Limits()
        self._max_stack_bytes = max_stack_bytes
        self._compiler = compiler
        self.engine = hostile_safe_engine(max_stack_bytes)
        self.wasi = Wasi()
        self._linker = wasmtime.Linker(self.engine)
        self.wasi.define(self._linker)
        self.watchdog = Watchdog(self.engine.increment_epoch)
        self._finalizer = weakref.finalize(self, self.watchdog.close)

    def load(self, module: bytes, limits: Limits | None = None, machine_code: bytes | None = None) -> "Module":
        """Compile a module and start it once, on no input.

        With `machine_code` nothing is compiled. It must be what `compiled` returned for this module, here or in an
        earlier enclave of the same engine, and authentic: wasmtime believes it, so anybody's bytes would run as code.

        The bytes may be anyone's: after the call the module is known to be valid, to import nothing but what is
        offered, to follow one of the two conventions, and to start within its limits. `limits` are the cap's where
        left out. Raises `EnclaveError` alone: model-invalid, or what its start functions brought about.
        """
        limits = limits or self.cap
        interface = self._checked(module, limits)
        if machine_code is None:
            machine_code = self._compiler(module, limits, self._max_stack_bytes)
        return Module(self, self._linked(machine_code), interface, limits)

    def compiled(self, module: bytes, limits: Limits | None = None) -> bytes:
        """The machine code of a module that `load` would take, for `load`. Raises `EnclaveError` (model-invalid)."""
        limits = limits or self.cap
        self._checked(module, limits)
        return self._compiler(module, limits, self._max_stack_bytes)

    def _checked(self, module: bytes, limits: Limits) -> Interface:
        limits.check_within(self.cap)
        if len(module) > limits.max_module_bytes:
            raise invalid(f"the module has {len(module)} bytes, {limits.max_module_bytes} are allowed")
        interface = parse_interface(module)
        self.wasi.check(interface.imports)
        check_exports(interface)
        _check_memory(interface, limits)
        return interface

    def close(self) -> None:
        """Stop the watchdog; no module of this runtime runs afterwards."""
        self._finalizer()

    def fingerprint(self) -> str:
        """`engine_fingerprint` of this runtime's engine."""
        return engine_fingerprint(self._max_stack_bytes)

    def _linked(self, machine_code: bytes) -> wasmtime.InstancePre:
        try:
            return self._linker.instantiate_pre(wasmtime.Module.deserialize(self.engine, machine_code))
        except wasmtime.WasmtimeError as refused:
            raise invalid(one_line(str(refused))) from None


class Module:
    """A compiled module, ready to run. Made by `Runtime.load`; holds no data of any run."""

    def __init__(self, host: Runtime, linked: wasmtime.InstancePre, interface: Interface, limits: Limits) -> None:
        self.limits = limits
        self._host = host
        self._linked = linked
        self._initializes = "_initialize" in interface.exports
        with self._guest(None) as guest:
            self._convention: Convention = convention(interface, guest, limits)

    def run(self, data: bytes, log: bytearray | None = None) -> bytes:
        """One inference in a new instance: input bytes to output bytes, which are what the module made of them.

        What the guest logs is appended to `log`, `max_log_bytes` at most, also when the run fails; without a `log`
        it is discarded. Raises `EnclaveError`: input-invalid, guest-trap, deadline-exceeded, memory-limit,
        output-too-large; its text holds nothing of the input or the output.
        """
        if len(data) > self.limits.max_input_bytes:
            raise EnclaveError(
                "the input is too long",
                reason=Reason.INPUT_INVALID,
                finding=Finding("input bytes", f"at most {self.limits.max_input_bytes}", str(len(data))),
            )
        with self._guest(log) as guest:
            return self._convention.infer(guest, data)

    @contextmanager
    def _guest(self, log: bytearray | None) -> Iterator[Guest]:
        store = wasmtime.Store(self._host.engine)
        try:
            with self._host.watchdog.watching(), self._host.wasi.logging(log, self.limits.max_log_bytes):
                yield from self._translated(store)
        except GuestExitedError:
            raise EnclaveError("the module exited") from None
        finally:
            # Unmaps the guest's memory now, whoever still refers to the exception or the guest.
            store.close()

    def _translated(self, store: wasmtime.Store) -> Iterator[Guest]:
        guest = self._instance(store)
        try:
            if self._initializes:
                guest.call("_initialize")
            yield guest
        except wasmtime.Trap as trap:
            raise guest.trapped(trap) from None

    def _instance(self, store: wasmtime.Store) -> Guest:
        store.set_limits(
            memory_size=self.limits.max_memory_bytes,
            table_elements=self.limits.max_table_elements,
            instances=1,
            tables=MAX_TABLES,
            memories=1,
        )
        store.set_epoch_deadline(self._host.watchdog.ticks(self.limits.max_seconds))
        try:
            return Guest(store, self._linked.instantiate(store), self.limits)
        except (wasmtime.Trap, wasmtime.WasmtimeError) as fault:
            raise not_started(fault) from None


def _check_memory(interface: Interface, limits: Limits) -> None:
    least = interface.memory_pages * PAGE_BYTES
    if least > limits.max_memory_bytes:
        raise EnclaveError(
            "the module starts with more memory than it is granted",
            reason=Reason.MEMORY_LIMIT,
            finding=Finding("memory bytes", f"at most {limits.max_memory_bytes}", str(least)),
        )
