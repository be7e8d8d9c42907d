"""One instance of a module in a store of its own: its memory bounds-checked, its faults translated."""

from typing import Final

import wasmtime

from edge_agent.enclave.compiling.limits import Limits
from edge_agent.enclave.rewriting.interruptible import LOOK, STOP
from edge_agent.enclave.rewriting.module_format import PAGE_BYTES
from edge_agent.enclave.running.direct import Exports, Function
from edge_agent.enclave.running.faults import out_of_memory, out_of_time, trap_code, trapped
from edge_agent.enclave.running.first_state import FirstState, is_restorable
from edge_agent.enclave.running.protection import NO_ACCESS, READ_ONLY, protect
from protocol.errors import EnclaveError
from schemas.reason import Reason

OUT_OF_MEMORY_SIGNS: Final = {"UNREACHABLE", "MEMORY_OUT_OF_BOUNDS"}
"""How a guest ends whose allocator got no more pages: it panics, or it writes through the null that it was given."""


class Guest:
    """Memory and functions of one instance, used by one thread at a time.

    Every method raises `EnclaveError`, or what wasmtime or an import raises for a trap.
    """

    def __init__(self, store: wasmtime.Store, instance: wasmtime.Instance, limits: Limits) -> None:
        """Made before any code of the instance has run, with at least one page of memory."""
        self._store, self._limits = store, limits
        self._exports = Exports(store, instance)
        self._functions: dict[str, Function] = {}
        self._first: FirstState | None = None
        self._memory = self._exports.memory("memory")
        self.stop_page: Final = self._exports.memory(STOP).address
        """Where in this process lies what the watchdog takes away at the deadline."""
        self.constants = range(0)
        """Addresses that nobody may write."""
        self.placed = range(0)
        """Addresses of the pages that the host added for buffers."""
        self.logged = b""
        """What the start functions wrote to the log."""
        self.start_seconds = 0.0
        """What the start functions took."""

    def call(self, name: str, *arguments: int) -> int:
        """Call an exported function of so many i32: its i32 result, signed; without meaning where it has none.

        The module's interface was read before: the function is there, of that signature.
        """
        function = self._functions.get(name)
        if function is None:
            function = self._functions[name] = self._exports.function(name, len(arguments))
        return function(*arguments)

    def constant(self, name: str) -> int:
        """An exported i32 global, or what an exported function without arguments returns; unsigned."""
        if self._exports.kind(name) == "function":
            return self.call(name) % 2**32
        value = self._exports.a_global(name).as_i32()
        if value is None:
            raise EnclaveError(f"the module's `{name}` is not an i32", reason=Reason.MODEL_INVALID)
        return value % 2**32

    def can_be_stopped(self) -> bool:
        """Whether this machine lets pages be taken away: afterwards the guest is good for nothing but to be closed."""
        try:
            protect(self.stop_page, PAGE_BYTES, NO_ACCESS)
            self.call(LOOK)
        except wasmtime.Trap:
            return True
        except OSError:
            return False
        return False

    def make_constant(self, addresses: range) -> None:
        """Nobody may write these addresses from now on; their ends are pages of this machine. Raises `OSError`."""
        if addresses:
            protect(self._memory.address + addresses.start, len(addresses), READ_ONLY)
            self.constants = addresses

    def write(self, address: int, data: bytes) -> None:
        """Copy into guest memory. Raises as `check_writable`."""
        self.check_writable(address, len(data))
        self._memory.view[address : address + len(data)] = data

    def read(self, address: int, length: int) -> bytes:
        """Copy out of guest memory. Raises as `check_inside`."""
        self.check_inside(address, length)
        return self._memory.view[address : address + length].tobytes()

    def check_inside(self, address: int, length: int) -> None:
        """Raise `EnclaveError` (guest-trap) when any of it lies outside guest memory. Neither is negative."""
        end = address + length
        if end > len(self._memory.view) and end > self._memory.look():
            raise EnclaveError("the module points outside its memory")

    def check_writable(self, address: int, length: int) -> None:
        """Raise `EnclaveError` (guest-trap) when any of it lies outside guest memory, or is constant."""
        self.check_inside(address, length)
        if address < self.constants.stop and address + length > self.constants.start:
            raise EnclaveError("the module points into its constants")

    def size(self) -> int:
        """Bytes of its memory now."""
        return self._memory.size()

    def place(self, pages: int) -> None:
        """Add pages for input and output. Raises `EnclaveError` (memory-limit)."""
        size = self._memory.size()
        try:
            self._memory.grow(pages)
        except wasmtime.WasmtimeError:
            raise self.out_of_memory("no memory left for input and output") from None
        self.placed = range(size, size + pages * PAGE_BYTES)

    @property
    def written_bytes(self) -> int:
        """How much memory its code may write: what putting it back takes, and what it holds when it is idle."""
        return self._memory.size() - len(self.constants)

    def is_restorable(self) -> bool:
        """Whether its state as it is now can be noted and put back."""
        return is_restorable(self._exports, self.written_bytes)

    @property
    def has_first_state(self) -> bool:
        """Whether one was noted."""
        return self._first is not None

    def note_first_state(self) -> None:
        """What `put_back` makes of it. Of a guest that `is_restorable`."""
        self._first = FirstState(self._exports, self._memory, self.constants)

    def put_back(self) -> bool:
        """Whether it is in its first state again. If not it may only be closed, as after any fault."""
        return self._first is not None and self._first.put_back()

    def out_of_memory(self, message: str) -> EnclaveError:
        """The error for a guest that has no room left, with its limit."""
        return out_of_memory(message, self._limits)

    def trapped(self, trap: wasmtime.Trap, is_over: bool) -> EnclaveError:
        """The error for a trap. wasmtime's text is left out: it lists the module's function names."""
        if is_over:
            return out_of_time(self._limits)
        code = trap_code(trap)
        if code in OUT_OF_MEMORY_SIGNS and self._is_full():
            return self.out_of_memory("the module trapped with all its memory in use")
        return trapped(code, self._limits)

    def close(self) -> None:
        """Unmap all of it now, whoever still refers to the guest. Nothing may be called afterwards."""
        self._first = None
        self._memory.view.release()
        self._store.close()

    def _is_full(self) -> bool:
        return self._memory.size() + PAGE_BYTES > self._limits.max_memory_bytes
