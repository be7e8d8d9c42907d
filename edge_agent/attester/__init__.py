"""The TEEs that an agent can attest with: one file a kind, chosen by name in the agent's configuration.

Nothing is guessed: a TEE that is missing is an error, never a reason to take a lesser one (P6).
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from edge_agent.attester.interface import Attester, AttesterError
from edge_agent.attester.settings import CocoSettings, CommandSettings, GramineSettings, NitroSettings, TsmSettings
from edge_agent.attester.simulated import SimulatedAttester
from edge_agent.attester.tpm_settings import TpmPlace
from protocol.errors import ConfigurationError, Finding
from protocol.keys import SigningKey

__all__ = ["Attester", "AttesterError", "Platform", "SimulatedAttester", "choose_attester"]


@dataclass(frozen=True, slots=True)
class Platform:
    """What the host knows of its machine. `measurement` (32 bytes) is for the simulated TEE and the TPM alone.

    `chip_key` is the simulated TEE's, `tpm` a TPM with its files. The others are the tables of the agent's
    configuration, each for the attester of its name.
    """

    measurement: bytes
    chip_key: SigningKey | None = None
    tsm: TsmSettings = field(default_factory=TsmSettings)
    nitro: NitroSettings = field(default_factory=NitroSettings)
    gramine: GramineSettings = field(default_factory=GramineSettings)
    coco: CocoSettings = field(default_factory=CocoSettings)
    command: CommandSettings | None = None
    tpm: TpmPlace | None = None


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


def _tsm(platform: Platform) -> Attester:
    from edge_agent.attester.tsm import TsmAttester  # noqa: PLC0415

    return TsmAttester(platform.tsm)


def _nitro(platform: Platform) -> Attester:
    from edge_agent.attester.nitro import NitroAttester  # noqa: PLC0415

    return NitroAttester(platform.nitro)


def _gramine(platform: Platform) -> Attester:
    from edge_agent.attester.gramine import GramineAttester  # noqa: PLC0415

    return GramineAttester(platform.gramine)


def _coco(platform: Platform) -> Attester:
    from edge_agent.attester.coco import CocoAttester  # noqa: PLC0415

    return CocoAttester(platform.coco)


def _command(platform: Platform) -> Attester:
    from edge_agent.attester.command import CommandAttester  # noqa: PLC0415

    if platform.command is None:
        raise ConfigurationError("the attester has no command", finding=Finding("command", "a table", "none"))
    return CommandAttester(platform.command)


def _tpm(platform: Platform) -> Attester:
    from edge_agent.attester.tpm import TpmAttester  # noqa: PLC0415

    if platform.tpm is None:
        raise ConfigurationError("the attester has no TPM", finding=Finding("tpm", "a TPM and its files", "none"))
    return TpmAttester(platform.tpm, platform.measurement)


# Each is imported when it is chosen: an agent has one TEE, and nobody else has any.
_KINDS: dict[str, Callable[[Platform], Attester]] = {
    SimulatedAttester.name: _simulated,
    "tsm": _tsm,
    "nitro": _nitro,
    "gramine": _gramine,
    "coco": _coco,
    "command": _command,
    "tpm": _tpm,
}
