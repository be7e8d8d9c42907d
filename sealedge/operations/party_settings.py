"""What the settings of every party have in common."""

from pathlib import Path

from schemas.base import Name
from sealedge.settings import FileSettings, read_toml


class OperatorSettings(FileSettings):
    """`operator.toml`: no party, only a way into the broker."""

    authority: Path | None = None


class PartySettings(OperatorSettings):
    """What every party needs."""

    name: Name
    authority: Path
    revocations: Path | None = None
    state: Path = Path("state")


def access_of(path: Path) -> OperatorSettings:
    """The fleet and the `[broker]` of any party's settings, or of `operator.toml`. Raises `ConfigurationError`."""
    values = read_toml(path)
    known = {name: values[name] for name in OperatorSettings.model_fields if name in values}
    return OperatorSettings.of_file(path, known)
