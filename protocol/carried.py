"""Which of a model's tensors are state, carried between the requests of a session (SPECIFICATION §8).

    inputs:  what a sensor sends ... | state
    outputs: what it is shown ...    | the next state

State is last on both sides, so that it is joined and cut by its length alone, however long open dimensions are.
"""

import math
from collections.abc import Sequence
from typing import Final, Protocol

from protocol.errors import Finding, MalformedError
from schemas.model import CarriedTensor, TensorSpec

MAX_STATE_BYTES: Final = 2**20
"""Of one session."""

_ITEM_BYTES: Final = {
    "float32": 4,
    "float64": 8,
    "int8": 1,
    "uint8": 1,
    "int16": 2,
    "int32": 4,
    "int64": 8,
    "bool": 1,
    "uint16": 2,
    "uint32": 4,
    "uint64": 8,
}


class Described(Protocol):
    """A manifest, or what one is made from."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What the module takes."""

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What it gives."""

    @property
    def state(self) -> tuple[CarriedTensor, ...] | None:
        """Which of both is carried."""


def sent_inputs(described: Described) -> tuple[TensorSpec, ...]:
    """The inputs that a sensor sends: all but the state. The description was checked."""
    return described.inputs[: len(described.inputs) - len(described.state or ())]


def shown_outputs(described: Described) -> tuple[TensorSpec, ...]:
    """The outputs that sensor and consumers are shown: all but the next state. The description was checked."""
    return described.outputs[: len(described.outputs) - len(described.state or ())]


def state_bytes(described: Described) -> int:
    """How many bytes the state has; 0 without one. The description was checked."""
    return sum(map(tensor_bytes, described.inputs[len(sent_inputs(described)) :]))


def tensor_bytes(spec: TensorSpec) -> int:
    """How many bytes a tensor has, where no dimension of it is open."""
    return math.prod(spec.shape) * _ITEM_BYTES[spec.dtype]


def check_state(described: Described) -> None:
    """Raises `MalformedError` unless the state can be joined and cut as this module says."""
    state = described.state
    if state is None:
        return
    if len(state) >= min(len(described.inputs), len(described.outputs)):
        raise _malformed("state", "fewer than inputs and outputs", str(len(state)))
    inputs, outputs = described.inputs[-len(state) :], described.outputs[-len(state) :]
    _check_names("inputs", inputs, [each.before for each in state])
    _check_names("outputs", outputs, [each.after for each in state])
    for before, after in zip(inputs, outputs, strict=True):
        if before.open is not None or after.open is not None:
            raise _malformed(f"state.{before.name}", "no open dimension", "one")
        if (before.dtype, before.shape) != (after.dtype, after.shape):
            expected, found = (f"{each.dtype} {list(each.shape)}" for each in (before, after))
            raise _malformed(f"state.{before.name}", expected, found)
    if (size := state_bytes(described)) > MAX_STATE_BYTES:
        raise _malformed("state.bytes", f"at most {MAX_STATE_BYTES}", str(size))


def _check_names(claim: str, specs: Sequence[TensorSpec], names: list[str]) -> None:
    found = [spec.name for spec in specs]
    if found != names:
        raise _malformed(f"state.{claim}", f"the last ones: {', '.join(found)}"[:256], ", ".join(names)[:256])


def _malformed(claim: str, expected: str, found: str) -> MalformedError:
    return MalformedError("the state does not fit its tensors", finding=Finding(claim, expected, found))
