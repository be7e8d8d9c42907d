"""WASI 0.2 components: `world inference { export infer: func(input: list<u8>) -> result<list<u8>, string> }`.

guests/inference.wit states the world. Nothing is offered for import. A component runs as a core module does, in a
store of its own under the same limits; what stops it is wasmtime's epoch.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import wasmtime
from wasmtime.component import U8, Component, Func, FuncType, Instance, Linker, ListType, ResultType, String

from edge_agent.enclave.compiling.compiler import one_line
from edge_agent.enclave.compiling.limits import MAX_TABLES, Limits
from edge_agent.enclave.rewriting.module_format import invalid
from edge_agent.enclave.running.component_call import call_infer
from edge_agent.enclave.running.faults import check_input, not_started, out_of_time, too_much_output, trapped
from edge_agent.enclave.running.watchdog import Watchdog
from protocol.errors import EnclaveError

ENTRY: Final = "infer"
MAX_INSTANCES: Final = 16
"""Core instances in one component: languages' own tools make one to four."""

TRAP: Final = "wasm trap: "
TRAPS: Final = {
    "interrupt": "INTERRUPT",
    "call stack exhausted": "STACK_OVERFLOW",
    "wasm `unreachable` instruction executed": "UNREACHABLE",
    "out of bounds memory access": "MEMORY_OUT_OF_BOUNDS",
}
"""wasmtime tells components' traps in words alone."""


class ComponentModule:
    """A compiled component, ready to run; holds no data of any run."""

    def __init__(self, watchdog: Watchdog, engine: wasmtime.Engine, machine_code: bytes, limits: Limits) -> None:
        """Raises `EnclaveError` unless it is of the world, and starts within its limits."""
        self.limits = limits
        self._watchdog, self._engine, self._linker = watchdog, engine, Linker(engine)
        self._component = _deserialized(engine, machine_code)
        _check_world(self._component, engine)
        with self._infer():
            pass

    def run(self, data: bytes, log: bytearray | None = None) -> bytes:  # noqa: ARG002 - a component has no log
        """One inference in a new instance: as `edge_agent.enclave.running.module.Module.run`."""
        check_input(data, self.limits)
        with self._infer() as (store, infer):
            return call_infer(infer, store, data, self.limits)

    @contextmanager
    def _infer(self) -> Iterator[tuple[wasmtime.Store, Func]]:
        store = wasmtime.Store(self._engine)
        try:
            with self._watchdog.watching(self.limits.max_seconds):
                infer = self._instance(store).get_func(store, ENTRY)
                if infer is None:
                    raise invalid(f"the component does not export `{ENTRY}`")
                yield store, infer
        except wasmtime.WasmtimeError as fault:
            raise self._translated(fault) from None
        finally:
            store.close()

    def _instance(self, store: wasmtime.Store) -> Instance:
        store.set_limits(
            memory_size=self.limits.max_memory_bytes,
            table_elements=self.limits.max_table_elements,
            instances=MAX_INSTANCES,
            tables=MAX_TABLES,
            memories=1,
        )
        store.set_epoch_deadline(self._watchdog.ticks(self.limits.max_seconds))
        return self._linker.instantiate(store, self._component)

    def _translated(self, fault: wasmtime.WasmtimeError) -> EnclaveError:
        _, found, words = str(fault).rpartition(TRAP)
        if not found:
            return self._not_a_trap(fault)
        code = TRAPS.get(words.partition("\n")[0].strip(), "unknown")
        return out_of_time(self.limits) if code == "INTERRUPT" else trapped(code, self.limits)

    def _not_a_trap(self, fault: wasmtime.WasmtimeError) -> EnclaveError:
        if "too much data is being copied" in str(fault):
            return too_much_output(self.limits)
        if "list pointer/length out of bounds" in str(fault) or "pointer not aligned" in str(fault):
            return EnclaveError("the module points outside its memory")
        return not_started(fault, self.limits)


def _deserialized(engine: wasmtime.Engine, machine_code: bytes) -> Component:
    try:
        return Component.deserialize(engine, machine_code)
    except wasmtime.WasmtimeError as refused:
        raise invalid(one_line(str(refused))) from None


def _check_world(component: Component, engine: wasmtime.Engine) -> None:
    for name in component.type.imports(engine):
        raise invalid(f"the component imports {name!a}, which this enclave does not offer")
    export = component.type.exports(engine).get(ENTRY)
    if export is None or not _is_inference(export.ty):
        raise invalid(f"the component must export `{ENTRY}`: func(input: list<u8>) -> result<list<u8>, string>")


def _is_inference(found: object) -> bool:
    if not isinstance(found, FuncType) or len(found.params) != 1:
        return False
    result = found.result
    return (
        _is_bytes(found.params[0][1])
        and isinstance(result, ResultType)
        and _is_bytes(result.ok)
        and isinstance(result.err, String)
    )


def _is_bytes(found: object) -> bool:
    return isinstance(found, ListType) and isinstance(found.element, U8)
