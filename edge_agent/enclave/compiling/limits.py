"""What one model may use of the enclave: bounds per module, each under a hard cap that nothing raises."""

from dataclasses import dataclass, fields, replace
from typing import Final

from edge_agent.enclave.compiling.features import MAX_STACK_BYTES
from protocol.errors import ConfigurationError, EnclaveError, Finding
from schemas.model import ModuleLimits
from schemas.reason import Reason

KIB: Final = 1024
MIB: Final = 1024 * KIB

STACK_STEP: Final = 64 * KIB
"""Stacks are granted in steps: each size has a wasmtime engine of its own."""

HARD_CAPS: Final[dict[str, float]] = {
    "max_module_bytes": 256 * MIB,
    "max_memory_bytes": 2048 * MIB,
    "max_table_elements": 1_000_000,
    # Wasm runs on the calling thread's own stack, of which this is to leave most.
    "max_stack_bytes": MAX_STACK_BYTES,
    "max_input_bytes": 64 * MIB,
    "max_output_bytes": 64 * MIB,
    "max_log_bytes": 1 * MIB,
    "max_seconds": 600.0,
    "max_compile_seconds": 600.0,
    "max_compile_bytes": 16 * 1024 * MIB,
}
"""The largest value that any configuration can ask for, in the unit that the name says."""

MAX_TABLES: Final = 4
"""How many tables a module may have: compilers make one, for indirect calls."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one module and on each of its runs.

    `max_memory_bytes` is the linear memory, with the pages that hold input and output; `max_table_elements` is
    for each of `MAX_TABLES`. `max_seconds` is wall time and bounds start functions and inference together.
    `max_log_bytes` may be 0: then the log is discarded. `max_compile_bytes` is the writable memory of the process
    that compiles.

    Raises `ConfigurationError` when a bound is not positive or is above its hard cap.
    """

    max_module_bytes: int = 32 * MIB
    max_memory_bytes: int = 64 * MIB
    max_table_elements: int = 10_000
    max_stack_bytes: int = MAX_STACK_BYTES
    max_input_bytes: int = 1 * MIB
    max_output_bytes: int = 64 * KIB
    max_log_bytes: int = 4 * KIB
    max_seconds: float = 2.0
    max_compile_seconds: float = 30.0
    max_compile_bytes: int = 1024 * MIB

    def __post_init__(self) -> None:
        for name, value in self._amounts().items():
            lowest = 0 if name == "max_log_bytes" else 0.001
            if not lowest <= value <= HARD_CAPS[name]:
                raise ConfigurationError(f"{name} is {value}: it must be at least {lowest}, at most {HARD_CAPS[name]}")
        if self.max_stack_bytes % STACK_STEP:
            raise ConfigurationError(f"max_stack_bytes is {self.max_stack_bytes}: not a multiple of {STACK_STEP}")

    def narrowed(self, asked: ModuleLimits) -> "Limits":
        """These limits with a manifest's in place of those that it names.

        Raises `EnclaveError` (model-invalid) where the manifest asks for more: less than that would only fail later.
        """
        amounts = _named(asked)
        self._check_granted(amounts)
        return replace(self, **amounts)  # type: ignore[arg-type] # one dict holds the seconds and the byte counts

    @classmethod
    def granted(cls, allowed: ModuleLimits) -> "Limits":
        """The cap that a configuration states, in the form in which manifests ask. Raises `ConfigurationError`."""
        return replace(cls(), **_named(allowed))  # type: ignore[arg-type] # as above

    def check_within(self, cap: "Limits") -> None:
        """Raise `EnclaveError` (model-invalid) when any bound is above the cap's: none is lowered in silence."""
        cap._check_granted(self._amounts())

    def _check_granted(self, asked: dict[str, float]) -> None:
        granted = self._amounts()
        for name, value in asked.items():
            if value > granted[name]:
                raise EnclaveError(
                    "the module asks for more than this enclave grants",
                    reason=Reason.MODEL_INVALID,
                    finding=Finding(name, expected=f"at most {granted[name]}", found=str(value)),
                )

    def _amounts(self) -> dict[str, float]:
        return {bound.name: getattr(self, bound.name) for bound in fields(self)}


def _named(asked: ModuleLimits) -> dict[str, float]:
    """What a manifest names, in the names and units of `Limits`."""
    amounts = {
        "max_memory_bytes": asked.memory_bytes,
        "max_seconds": asked.milliseconds / 1000,
        "max_output_bytes": asked.output_bytes,
    }
    if asked.table_elements is not None:
        amounts["max_table_elements"] = asked.table_elements
    if asked.stack_pages is not None:
        amounts["max_stack_bytes"] = asked.stack_pages * STACK_STEP
    if asked.compile_milliseconds is not None:
        amounts["max_compile_seconds"] = asked.compile_milliseconds / 1000
    return amounts
