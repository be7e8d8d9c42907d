"""Code of a guest, run within its time and its log; what goes wrong ends in an `EnclaveError`."""

from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

import wasmtime

from edge_agent.enclave.compiling.limits import Limits
from edge_agent.enclave.running.faults import out_of_time
from edge_agent.enclave.running.guest import Guest
from edge_agent.enclave.running.wasi import GuestExitedError, Wasi
from edge_agent.enclave.running.watchdog import Watchdog, Watched
from protocol.errors import EnclaveError

P = ParamSpec("P")
T = TypeVar("T")


class Bounded:
    """Runs guests of one module."""

    def __init__(self, watchdog: Watchdog, wasi: Wasi, limits: Limits, imports: bool) -> None:
        """`imports` is whether the module imports anything: only then can it log."""
        self._watchdog, self._wasi, self._limits, self._imports = watchdog, wasi, limits, imports

    def run(
        self,
        guest: Guest,
        log: bytearray | None,
        act: Callable[Concatenate[Guest, P], T],
        *arguments: P.args,
        **named: P.kwargs,
    ) -> T:
        """What `act(guest, ...)` returns. It calls the guest, and must not take long otherwise.

        It has the time and the room in the log that start functions left. What the guest writes is appended to `log`,
        or discarded. Raises `EnclaveError`; afterwards the guest is good for nothing but to be closed.
        """
        watched = Watched(self._limits.max_seconds - guest.start_seconds, guest.stop_page)
        try:
            self._watchdog.begin(watched)
            if self._imports:
                self._wasi.begin(log, self._limits.max_log_bytes - len(guest.logged), guest.constants)
            result = act(guest, *arguments, **named)
        except wasmtime.Trap as trap:
            raise guest.trapped(trap, watched.is_over) from None
        except GuestExitedError:
            raise EnclaveError("the module exited") from None
        finally:
            self._watchdog.end(watched)
            if self._imports:
                self._wasi.end()
        if watched.is_over:
            raise out_of_time(self._limits)
        return result
