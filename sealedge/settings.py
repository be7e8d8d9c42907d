"""What every party is told at its start: a TOML file, above it the environment, above both the command line.

    file          sensor.toml, verifier.toml, ...; relative paths start at the file's folder
    environment   SEALEDGE_NAME, SEALEDGE_BROKER__URL, ...: the names of the file, in capitals

A name that nothing reads is an error, and so is a value of another kind: in one line that names the place. The parties
say what they need in `sealedge.client.settings` and `sealedge.operations.settings`.
"""

import os
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from broker.settings import ConnectionSettings
from protocol.errors import ConfigurationError, Finding
from schemas.base import Name
from storage.files import StrPath, read_text

PREFIX: Final = "SEALEDGE_"
NESTED: Final = "__"


class BrokerSettings(BaseModel):
    """Where the broker is and who we are to it; see `broker.settings.ConnectionSettings`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    username: str | None = None
    password: SecretStr | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    heartbeat_file: Path | None = None
    keepalive: int = 30
    session_expiry: int = 3600

    def connection(self, folder: Path) -> ConnectionSettings:
        """The settings of a link; paths are relative to `folder`. Raises `ConfigurationError`."""
        found: dict[str, Any] = dict(self)
        for name, value in found.items():
            if isinstance(value, Path):
                found[name] = folder / value
        found["password"] = None if self.password is None else self.password.get_secret_value()
        return ConnectionSettings(**found)


class FileSettings(BaseModel):
    """What the settings of all parties have in common. `folder` is that of the file, and said nowhere else."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, hide_input_in_errors=True)

    folder: Path = Path()
    fleet: Name
    broker: BrokerSettings

    @classmethod
    def load(cls, file: StrPath) -> Self:
        """Read a TOML file and the environment. Raises `ConfigurationError`, one line that names file and field."""
        path = Path(file)
        return cls.of_file(path, read_toml(path))

    @classmethod
    def of_file(cls, path: Path, values: dict[str, Any]) -> Self:
        """The settings from these values of the file, and the environment. Raises `ConfigurationError`."""
        # Names that begin with an underscore steer pydantic-settings itself, and are no settings.
        reserved = next((name for name in values if name == "folder" or name.startswith("_")), None)
        if reserved is not None:
            raise ConfigurationError(f"{path}: {reserved} is not a setting")
        try:
            return cls(**_merged(values, cls._environment(path)), folder=path.parent)
        except ValidationError as error:
            raise explained(path, error, show_value=False) from None

    @classmethod
    def _environment(cls, path: Path) -> dict[str, Any]:
        if not _is_in_environment(cls.model_fields):
            return {}
        from sealedge.environment import above_file  # noqa: PLC0415 - brings asyncio and argparse

        return above_file(path, cls, PREFIX, NESTED)

    def path(self, relative: Path) -> Path:
        """A path of these settings, relative to the folder of the file."""
        return self.folder / relative

    @property
    def connection(self) -> ConnectionSettings:
        """The settings of the link. Raises `ConfigurationError`."""
        return self.broker.connection(self.folder)

    def with_broker(self, url: str | None) -> Self:
        """The same settings with another broker, or these."""
        if url is None:
            return self
        return self.model_copy(update={"broker": self.broker.model_copy(update={"url": url})})


def _merged(values: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Tables are merged name by name; of anything else, what is above stands."""
    found = dict(values)
    for name, value in above.items():
        below = found.get(name)
        found[name] = _merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return found


def _is_in_environment(names: Iterable[str]) -> bool:
    own = {(PREFIX + name).lower() for name in names}
    return any(each.lower().partition(NESTED)[0] in own for each in os.environ)


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file. Raises `ConfigurationError`."""
    try:
        return tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: is not TOML: {error}") from None


def explained(path: Path, error: ValidationError, *, show_value: bool = True) -> ConfigurationError:
    """The first fault of many, in one line. Without `show_value` no value is in it: any could be a secret."""
    first = error.errors(include_url=False, include_context=False, include_input=show_value)[0]
    name = ".".join(str(part) for part in first["loc"]) or "settings"
    place = _place(path, name)
    if first["type"] == "extra_forbidden":
        return ConfigurationError(f"{place}: {name} is not a setting", finding=Finding(name, "no such name", "one"))
    if first["type"] == "missing":
        return ConfigurationError(f"{place}: {name} is missing", finding=Finding(name, "a value", "none"))
    found = repr(first["input"])[:80] if show_value else "(not shown)"
    return ConfigurationError(f"{place}: {name} is wrong", finding=Finding(name, first["msg"], found))


def _place(path: Path, name: str) -> str:
    """Where the person who typed it finds it: the variable, where one is set, else the file."""
    variable = PREFIX + name.replace(".", NESTED).upper()
    return variable if variable in os.environ else str(path)
