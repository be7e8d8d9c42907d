"""Modules that may be hostile, run one request at a time: bytes in, bytes out, and nothing else.

Each run gets a store and an instance of its own, dropped at its end, so that no sender's data is there for the next
(P11). Time, memory, stack, output and log are bounded; every fault of a module ends in an `EnclaveError`.
"""

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import wasmtime

from edge_agent.enclave.abi import Convention, check_exports, convention
from edge_agent.enclave.compiler import Compiler, compile_in_child, one_line
from edge_agent.enclave.component import ComponentModule
from edge_agent.enclave.engine import COMPONENT, component_engine, engine_fingerprint, hostile_safe_engine
from edge_agent.enclave.faults import check_input, not_started, out_of_memory
from edge_agent.enclave.guest import Guest
from edge_agent.enclave.interruptible import START
from edge_agent.enclave.limits import MAX_TABLES, Limits
from edge_agent.enclave.module_format import PAGE_BYTES, Interface, invalid, parse_interface
from edge_agent.enclave.wasi import GuestExitedError, Wasi
from edge_agent.enclave.watchdog import Watchdog, Watched
from protocol.errors import EnclaveError

__all__ = ["Limits", "Module", "Runtime", "engine_fingerprint"]


class Runtime:
    """Engines of wasmtime, their watchdog, and the imports they offer. Used from any number of threads.

    `cap` bounds what any module's limits may be. Threads that run modules need as much stack as `cap` grants, and
    more of their own.
    """

    def __init__(self, cap: Limits | None = None, *, compiler: Compiler = compile_in_child) -> None:
        self.cap = cap or Limits()
        self._compiler = compiler
        self.wasi = Wasi()
        self._linkers: dict[int, wasmtime.Linker] = {}
        self._component_engines: dict[int, wasmtime.Engine] = {}
        self._making = threading.Lock()
        self.watchdog = Watchdog(partial(_increment_epochs, self._component_engines))
        self._finalizer = weakref.finalize(self, self.watchdog.close)

    def load(self, module: bytes, limits: Limits | None = None, machine_code: bytes | None = None) -> "AnyModule":
        """Compile a module or component and start it once, on no input.

        With `machine_code` nothing is compiled. It must be what `compiled` returned for this module, here or in an
        earlier enclave of the same engine, and authentic: wasmtime believes it, so anybody's bytes would run as code.

        The bytes may be anyone's: after the call the module is known to be valid, to import nothing but what is
        offered, to follow one of the conventions, and to start within its limits. `limits` are the cap's where
        left out. Raises `EnclaveError` alone: model-invalid, or what its start functions brought about.
        """
        limits = limits or self.cap
        interface = self._checked(module, limits)
        code = self._compile(module, limits) if machine_code is None else machine_code
        if interface is None:
            return ComponentModule(self.watchdog, self._component_engine(limits.max_stack_bytes), code, limits)
        return Module(self, self._linked(code, limits.max_stack_bytes), interface, limits)

    def compiled(self, module: bytes, limits: Limits | None = None) -> bytes:
        """The machine code of a module that `load` would take, for `load`. Raises `EnclaveError` (model-invalid)."""
        limits = limits or self.cap
        self._checked(module, limits)
        return self._compile(module, limits)

    def close(self) -> None:
        """Stop the watchdog; no module of this runtime runs afterwards."""
        self._finalizer()

    def fingerprint(self) -> str:
        """`engine_fingerprint` of this runtime's engines."""
        return engine_fingerprint(self.cap.max_stack_bytes)

    def _checked(self, module: bytes, limits: Limits) -> Interface | None:
        """What a core module imports and exports; None for a component, whose compiled type is checked instead."""
        limits.check_within(self.cap)
        if len(module) > limits.max_module_bytes:
            raise invalid(f"the module has {len(module)} bytes, {limits.max_module_bytes} are allowed")
        if module.startswith(COMPONENT):
            return None
        interface = parse_interface(module)
        self.wasi.check(interface.imports)
        check_exports(interface)
        _check_memory(interface, limits)
        return interface

    def _compile(self, module: bytes, limits: Limits) -> bytes:
        return self._compiler(module, limits, self.cap.max_stack_bytes)

    def _linked(self, machine_code: bytes, stack_bytes: int) -> wasmtime.InstancePre:
        linker = self._linker(stack_bytes)
        try:
            return linker.instantiate_pre(wasmtime.Module.deserialize(linker.engine, machine_code))
        except wasmtime.WasmtimeError as refused:
            raise invalid(one_line(str(refused))) from None

    def engine(self, stack_bytes: int) -> wasmtime.Engine:
        """The engine of core modules whose stack is bounded so."""
        return self._linker(stack_bytes).engine

    def _linker(self, stack_bytes: int) -> wasmtime.Linker:
        """wasmtime bounds the stack per engine: there is one for each size, of which `Limits` allows a few."""
        with self._making:
            if stack_bytes not in self._linkers:
                linker = wasmtime.Linker(hostile_safe_engine(stack_bytes))
                self.wasi.define(linker)
                self._linkers[stack_bytes] = linker
            return self._linkers[stack_bytes]

    def _component_engine(self, stack_bytes: int) -> wasmtime.Engine:
        with self._making:
            if stack_bytes not in self._component_engines:
                self._component_engines[stack_bytes] = component_engine(stack_bytes)
            return self._component_engines[stack_bytes]


def _increment_epochs(engines: dict[int, wasmtime.Engine]) -> None:
    for engine in tuple(engines.values()):
        engine.increment_epoch()


class Module:
    """A compiled core module, ready to run. Made by `Runtime.load`; holds no data of any run."""

    def __init__(self, host: Runtime, linked: wasmtime.InstancePre, interface: Interface, limits: Limits) -> None:
        self.limits = limits
        self._host = host
        self._linked = linked
        self._engine = host.engine(limits.max_stack_bytes)
        starts = ((START, interface.starts), ("_initialize", "_initialize" in interface.exports))
        self._starts = tuple(name for name, is_there in starts if is_there)
        with self._guest(None) as guest:
            self._convention: Convention = convention(interface, guest, limits)

    def run(self, data: bytes, log: bytearray | None = None) -> bytes:
        """One inference in a new instance: input bytes to output bytes, which are what the module made of them.

        What the guest logs is appended to `log`, `max_log_bytes` at most, also when the run fails; without a `log`
        it is discarded. Raises `EnclaveError`: input-invalid, guest-trap, deadline-exceeded, memory-limit,
        output-too-large; its text holds nothing of the input or the output.
        """
        check_input(data, self.limits)
        with self._guest(log) as guest:
            return self._convention.infer(guest, data)

    @contextmanager
    def _guest(self, log: bytearray | None) -> Iterator[Guest]:
        store = wasmtime.Store(self._engine)
        try:
            with (
                self._host.watchdog.watching(self.limits.max_seconds) as watched,
                self._host.wasi.logging(log, self.limits.max_log_bytes),
            ):
                yield from self._translated(store, watched)
        except GuestExitedError:
            raise EnclaveError("the module exited") from None
        finally:
            # Unmaps the guest's memory now, whoever still refers to the exception or the guest.
            store.close()

    def _translated(self, store: wasmtime.Store, watched: Watched) -> Iterator[Guest]:
        guest = Guest(store, self._instance(store), self.limits, watched)
        try:
            for name in self._starts:
                guest.call(name)
            yield guest
        except wasmtime.Trap as trap:
            raise guest.trapped(trap) from None

    def _instance(self, store: wasmtime.Store) -> wasmtime.Instance:
        store.set_limits(
            memory_size=self.limits.max_memory_bytes,
            table_elements=self.limits.max_table_elements,
            instances=1,
            tables=MAX_TABLES,
            # The module's own, and that of the stop word.
            memories=2,
        )
        try:
            return self._linked.instantiate(store)
        except (wasmtime.Trap, wasmtime.WasmtimeError) as fault:
            raise not_started(fault, self.limits) from None


AnyModule = Module | ComponentModule


def _check_memory(interface: Interface, limits: Limits) -> None:
    least = interface.memory_pages * PAGE_BYTES
    if least > limits.max_memory_bytes:
        raise out_of_memory("the module starts with more memory than it is granted", limits, str(least))
