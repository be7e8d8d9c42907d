"""How input goes into a module and output comes out: two calling conventions, told apart by exports.

guests/README.md states both for those who write modules. What a module returns is not trusted: its addresses and
lengths are checked against its memory on every use.
"""

from dataclasses import dataclass
from typing import Final, Protocol

from edge_agent.enclave.compiling.limits import Limits
from edge_agent.enclave.rewriting.module_format import PAGE_BYTES, Export, Interface, invalid
from edge_agent.enclave.running.guest import Guest
from protocol.errors import EnclaveError, Finding
from schemas.reason import Reason

ENTRY: Final = "perform_inference"
FIXED_ENTRY: Final = "infer"
ALIGNMENT: Final = 16
"""Of both buffers, for SIMD loads."""

INPUT_REFUSED: Final = -1
OUT_OF_MEMORY: Final = -2

SIGNATURES: Final = {
    ENTRY: "(i32, i32, i32, i32) -> (i32)",
    FIXED_ENTRY: "() -> (i32)",
    "malloc": "(i32) -> (i32)",
    "_initialize": "() -> ()",
}
CONSTANTS: Final = ("input", "input_size", "output", "output_size")


class Convention(Protocol):
    """Runs one inference in a guest that is in its first state."""

    def pages(self, length: int) -> int:
        """How many pages the host must have placed in the guest for so many bytes of input.

        Raises `EnclaveError` (input-invalid) where the module takes another length.
        """

    def infer(self, guest: Guest, data: bytes) -> bytes:
        """Input bytes to output bytes. Raises `EnclaveError`, or wasmtime's own errors for a trap."""


@dataclass(frozen=True, slots=True)
class PlacedBuffers:
    """`perform_inference(input_ptr, input_len, output_ptr, output_capacity) -> written`.

    The host places both buffers: in one block from the module's `malloc` if it exports one, else in new pages.
    """

    allocates: bool
    capacity: int

    def pages(self, length: int) -> int:
        """Of any input length; the module decides which it takes."""
        return 0 if self.allocates else -(-(_aligned(length) + self.capacity) // PAGE_BYTES)

    def infer(self, guest: Guest, data: bytes) -> bytes:
        """In the pages that `pages` says, or in a block."""
        offset = _aligned(len(data))
        address = self._block(guest, offset + self.capacity) if self.allocates else guest.placed.start
        guest.write(address, data)
        written = guest.call(ENTRY, address, len(data), address + offset, self.capacity)
        return guest.read(address + offset, _checked_length(guest, written, self.capacity))

    def _block(self, guest: Guest, length: int) -> int:
        address = guest.call("malloc", length) % 2**32
        if address == 0:
            raise guest.out_of_memory("the module's malloc found no room")
        guest.check_writable(address, length)
        return address


@dataclass(frozen=True, slots=True)
class FixedBuffers:
    """`infer() -> written`, between two buffers whose addresses and sizes the module exports."""

    input: int
    input_size: int
    output: int
    output_size: int

    def pages(self, length: int) -> int:
        """None, of exactly `input_size` bytes."""
        if length != self.input_size:
            raise EnclaveError(
                "the input has another length than the module takes",
                reason=Reason.INPUT_INVALID,
                finding=Finding("input bytes", str(self.input_size), str(length)),
            )
        return 0

    def infer(self, guest: Guest, data: bytes) -> bytes:
        """Of a length that `pages` took."""
        guest.write(self.input, data)
        written = guest.call(FIXED_ENTRY)
        return guest.read(self.output, _checked_length(guest, written, self.output_size))


def check_exports(interface: Interface) -> None:
    """Raise `EnclaveError` (model-invalid) unless the exports are those of exactly one convention."""
    exports = interface.exports
    if exports.get("memory", Export("", "")).kind != "memory":
        raise invalid("the module does not export its memory as `memory`")
    if (ENTRY in exports) == (FIXED_ENTRY in exports):
        raise invalid(f"the module must export one of `{ENTRY}` and `{FIXED_ENTRY}`, and not both")
    for name, signature in SIGNATURES.items():
        if name in exports and exports[name] != Export("function", signature):
            raise invalid(f"the module's `{name}` must be a function {signature}")
    if FIXED_ENTRY in exports:
        _check_constants(exports)


def _check_constants(exports: dict[str, Export]) -> None:
    for name in CONSTANTS:
        if exports.get(name) not in {Export("global", ""), Export("function", "() -> (i32)")}:
            raise invalid(f"the module must export `{name}` as an i32 global or a function () -> (i32)")


def convention(guest: Guest, interface: Interface, limits: Limits) -> Convention:
    """The convention of a checked module; reads the addresses of fixed buffers from its first instance."""
    if ENTRY in interface.exports:
        return PlacedBuffers("malloc" in interface.exports, limits.max_output_bytes)
    fixed = FixedBuffers(*map(guest.constant, CONSTANTS))
    if fixed.input_size > limits.max_input_bytes or fixed.output_size > limits.max_output_bytes:
        raise invalid(f"the module's buffers of {fixed.input_size} and {fixed.output_size} bytes are above its limits")
    guest.check_writable(fixed.input, fixed.input_size)
    guest.check_inside(fixed.output, fixed.output_size)
    return fixed


def _aligned(length: int) -> int:
    return -(-length // ALIGNMENT) * ALIGNMENT


def _checked_length(guest: Guest, written: int, capacity: int) -> int:
    if written == INPUT_REFUSED:
        raise EnclaveError("the module does not take this input", reason=Reason.INPUT_INVALID)
    if written == OUT_OF_MEMORY:
        raise guest.out_of_memory("the module ran out of memory")
    if written < 0:
        raise EnclaveError(f"the module gave up with {written}")
    if written > capacity:
        raise EnclaveError(
            "the module says that it wrote more than there was room for",
            reason=Reason.OUTPUT_TOO_LARGE,
            finding=Finding("output bytes", f"at most {capacity}", str(written)),
        )
    return written
