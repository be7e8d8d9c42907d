"""A compiled core module: each of its runs in an instance that is in its first state (ADR 32).

a new one ──> buffers placed, first state noted ──> input, inference, output ──> put back, and idle
                                                      ^        └─> ended: trap, exit,      │
                                                      │            deadline, growth        │
                                                      └────────────────────────────────────┘
"""

from typing import Final

from edge_agent.enclave.compiling.limits import Limits
from edge_agent.enclave.rewriting.module_format import PAGE_BYTES, Interface
from edge_agent.enclave.running.abi import Convention, convention
from edge_agent.enclave.running.bounded import Bounded
from edge_agent.enclave.running.faults import check_input
from edge_agent.enclave.running.guest import Guest
from edge_agent.enclave.running.idle import Idle
from edge_agent.enclave.running.starting import Starter
from protocol.errors import EnclaveError
from schemas.reason import Reason

UNKEPT: Final = 16
"""New instances that are made without noting their first state, after one could not be put back."""


class Module:
    """Ready to run, in any number of threads. Made by `Runtime.load`; holds no data of any run."""

    def __init__(
        self,
        runtime: object,
        starter: Starter,
        bounded: Bounded,
        interface: Interface,
        limits: Limits,
        idle: Idle,
    ) -> None:
        """Starts it once, on no input. Raises `EnclaveError`."""
        self.limits = limits
        # With the runtime its watchdog would end.
        self._runtime = runtime
        self._starter, self._bounded, self._idle = starter, bounded, idle
        self._shelf = idle.shelf(self)
        self._unkept = 0
        guest = starter.start(None)
        try:
            self._convention: Convention = bounded.run(guest, None, convention, interface, limits)
            if not guest.can_be_stopped():
                raise EnclaveError(
                    "this machine keeps nobody from reading a page: no module could be stopped", reason=Reason.INTERNAL
                )
        finally:
            guest.close()

    def run(self, data: bytes, log: bytearray | None = None) -> bytes:
        """One inference in an instance in its first state: input bytes to output bytes, as the module made them.

        What the guest logs is appended to `log`, `max_log_bytes` at most, also when the run fails; without a `log`
        it is discarded. Raises `EnclaveError`: input-invalid, guest-trap, deadline-exceeded, memory-limit,
        output-too-large; its text holds nothing of the input or the output.
        """
        check_input(data, self.limits)
        pages = self._convention.pages(len(data))
        guest = self._idle_one(pages, log) or self._new(pages, log)
        try:
            output = self._bounded.run(guest, log, self._convention.infer, data)
            is_back = guest.put_back()
        except BaseException:
            guest.close()
            raise
        self._return(guest, is_back)
        return output

    def _idle_one(self, pages: int, log: bytearray | None) -> Guest | None:
        """One that waits with so many pages for buffers: others of the module are in the way, and end."""
        try:
            guest = self._shelf.pop()
        except IndexError:
            return None
        if len(guest.placed) != pages * PAGE_BYTES:
            guest.close()
            return None
        if log is not None:
            log += guest.logged
        return guest

    def _new(self, pages: int, log: bytearray | None) -> Guest:
        guest = self._starter.start(log)
        try:
            if pages:
                guest.place(pages)
            if self._may_keep() and guest.is_restorable() and self._idle.make_room(guest.written_bytes):
                guest.note_first_state()
        except BaseException:
            guest.close()
            raise
        return guest

    def _may_keep(self) -> bool:
        """Noting a first state in vain would only lose time: after one, some instances are not even tried."""
        self._unkept = max(0, self._unkept - 1)
        return self._unkept == 0

    def _return(self, guest: Guest, is_back: bool) -> None:
        if is_back:
            self._shelf.append(guest)
            return
        if guest.has_first_state:
            self._unkept = UNKEPT
        guest.close()
