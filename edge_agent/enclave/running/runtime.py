"""Modules that may be hostile, run one request at a time: bytes in, bytes out, and nothing else.

Each run gets an instance in its first state: a new one, or one that was put back to it at the end of the run before,
so that no sender's data is there for the next (P11). Time, memory, stack, output and log are bounded; every fault of
a module ends in an `EnclaveError`.
"""

import threading
import weakref
from functools import partial

import wasmtime

from edge_agent.enclave.compiling.compiler import Compiler, compile_in_child, one_line
from edge_agent.enclave.compiling.engine import COMPONENT, component_engine, engine_fingerprint, hostile_safe_engine
from edge_agent.enclave.compiling.limits import Limits
from edge_agent.enclave.rewriting.module_format import PAGE_BYTES, Interface, invalid, parse_interface
from edge_agent.enclave.running.abi import check_exports
from edge_agent.enclave.running.bounded import Bounded
from edge_agent.enclave.running.component import ComponentModule
from edge_agent.enclave.running.faults import out_of_memory
from edge_agent.enclave.running.idle import Idle
from edge_agent.enclave.running.module import Module
from edge_agent.enclave.running.starting import Starter
from edge_agent.enclave.running.wasi import Wasi
from edge_agent.enclave.running.watchdog import Watchdog

__all__ = ["Limits", "Module", "Runtime", "engine_fingerprint"]


class Runtime:
    """Engines of wasmtime, their watchdog, and the imports they offer. Used from any number of threads.

    `cap` bounds what any module's limits may be, and its memory what all idle instances hold. Threads that run
    modules need as much stack as `cap` grants, and more of their own.
    """

    def __init__(self, cap: Limits | None = None, *, compiler: Compiler = compile_in_child) -> None:
        self.cap = cap or Limits()
        self._compiler = compiler
        self.wasi = Wasi()
        self._idle = Idle(self.cap.max_memory_bytes)
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
        return self._module(code, interface, limits)

    def compiled(self, module: bytes, limits: Limits | None = None) -> bytes:
        """The machine code of a module that `load` would take, for `load`. Raises `EnclaveError` (model-invalid)."""
        limits = limits or self.cap
        self._checked(module, limits)
        return self._compile(module, limits)

    def close(self) -> None:
        """Stop the watchdog, and end the instances that wait; no module of this runtime runs afterwards."""
        self._finalizer()
        self._idle.close()

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

    def _module(self, machine_code: bytes, interface: Interface, limits: Limits) -> Module:
        bounded = Bounded(self.watchdog, self.wasi, limits, bool(interface.imports))
        linked = self._linked(machine_code, limits.max_stack_bytes)
        starter = Starter(self.engine(limits.max_stack_bytes), linked, interface, limits, bounded)
        return Module(self, starter, bounded, interface, limits, self._idle)

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


AnyModule = Module | ComponentModule


def _check_memory(interface: Interface, limits: Limits) -> None:
    least = interface.memory_pages * PAGE_BYTES
    if least > limits.max_memory_bytes:
        raise out_of_memory("the module starts with more memory than it is granted", limits, str(least))
