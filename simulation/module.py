"""The module of a simulated model: a function whose every output tells module and input apart, with one that traps.

A stand-in for wasmtime, which has tests of its own: what matters here is who computes what, when, and for whom.
"""

from hashlib import sha256
from typing import Final

from protocol.errors import EnclaveError
from protocol.messages import digest
from schemas.model import CarriedTensor, ModuleLimits, TensorSpec

READING_BYTES: Final = 32
STATE_BYTES: Final = 32
TRAP: Final = b"trap"
"""Readings that begin so end in `guest-trap`."""

LIMITS: Final = ModuleLimits(memory_bytes=2**20, milliseconds=1000, output_bytes=4096)

_READING = TensorSpec(name="in", dtype="uint8", shape=(READING_BYTES,))
_RESULT = TensorSpec(name="out", dtype="uint8", shape=(32,))
_BEFORE = TensorSpec(name="state", dtype="uint8", shape=(STATE_BYTES,))
_AFTER = TensorSpec(name="next_state", dtype="uint8", shape=(STATE_BYTES,))


def tensors(*, stateful: bool) -> dict[str, object]:
    """Inputs, outputs and state, as a `ModelDescription` takes them."""
    if not stateful:
        return {"inputs": (_READING,), "outputs": (_RESULT,)}
    carried = (CarriedTensor(before=_BEFORE.name, after=_AFTER.name),)
    return {"inputs": (_READING, _BEFORE), "outputs": (_RESULT, _AFTER), "state": carried}


def compute(module: bytes, data: bytes) -> bytes:
    """Output, and behind it the next state where the input has one. Raises `EnclaveError` (guest-trap)."""
    if data.startswith(TRAP):
        raise EnclaveError("the module trapped")
    output = result_of(digest(module), data)
    return output if len(data) <= READING_BYTES else output + sha256(b"next" + output).digest()


def result_of(name: bytes, data: bytes) -> bytes:
    """What the module of this digest makes of an input, its state included."""
    return sha256(b"result" + name + data).digest()
