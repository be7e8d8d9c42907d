"""The TEEs that an agent can attest with: one file a kind, chosen by name in the agent's configuration.

Nothing is guessed: a TEE that is missing is an error, never a reason to take a lesser one (P6).
"""

from collections.abc import Callable
from dataclasses import dataclass

from edge_agent.attester.interface import Attester
from edge_agent.attester.simulated import SimulatedAttester
from protocol.errors import ConfigurationError, Finding
from protocol.keys import SigningKey

__all__ = ["Attester", "Platform", "SimulatedAttester", "choose_attester"]


@dataclass(frozen=True, slots=True)
class Platform:
    """What the host knows of its machine. `measurement` (32 bytes) and `chip_key` are for the simulated TEE alone."""

    measurement: bytes
    chip_key: SigningKey | None = None


def choose_attester(name: str, platform: Platform) -> Attester:
    """The attester of this name. Raises `ConfigurationError` for an unknown name or a platform that lacks it."""
    make = _KINDS.get(name)
    if make is None:
        finding = Finding("attester", " or ".join(sorted(_KINDS)), name[:64])
        raise ConfigurationError("no such attester", finding=finding)
    return make(platform)


def _simulated(platform: Platform) -> Attester:
    if platform.chip_key is None:
        finding = Finding("attester.chip-key", "a key file", "none")
        raise ConfigurationError("the simulated attester has no chip key", finding=finding)
    return SimulatedAttester(platform.chip_key, platform.measurement)


_KINDS: dict[str, Callable[[Platform], Attester]] = {SimulatedAttester.name: _simulated}
