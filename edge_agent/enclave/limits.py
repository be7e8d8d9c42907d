"""What one model may use of the enclave: bounds per module, each under a hard cap that nothing raises."""

from dataclasses import dataclass, fields, replace
from typing import Final

from protocol.errors import ConfigurationError, EnclaveError, Finding
from schemas.model import ModuleLimits
from schemas.reason import Reason

KIB: Final = 1024
MIB: Final = 1024 * KIB

HARD_CAPS: Final[dict[str, float]] = {
    "max_module_bytes": 256 * MIB,
    "max_memory_bytes": 2048 * MIB,
    "max_table_elements": 1_000_000,
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

    def narrowed(self, asked: ModuleLimits) -> "Limits":
        """These limits with a manifest's in place of the three that it names.

        Raises `EnclaveError` (model-invalid) where the manifest asks for more: less than that would only fail later.
        """
        amounts = {
            "max_memory_bytes": asked.memory_bytes,
            "max_seconds": asked.milliseconds / 1000,
            "max_output_bytes": asked.output_bytes,
        }
        self._check_granted(amounts)
        return replace(self, **amounts)  # type: ignore[arg-type] # one dict holds the seconds and the byte counts

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
