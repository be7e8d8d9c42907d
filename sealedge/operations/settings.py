"""What each party is told at its start: a TOML file, above it the environment, above both the command line.

    file          verifier.toml, agent.toml, ...; relative paths start at the file's folder
    environment   SEALEDGE_NAME, SEALEDGE_BROKER__URL, ...: the names of the file, in capitals

The names are those of `sealedge.client.settings`, whose sensors and consumers know neither this file nor the other
parties. A name that nothing reads is an error, and so is a value of another kind: in one line that names the place.
"""

import os
import tomllib
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from pydantic import BaseModel, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from broker.settings import ConnectionSettings
from protocol.errors import ConfigurationError, Finding
from publisher.policy import ReleasePolicy
from schemas.base import Name
from sealedge.client.settings import BrokerSettings, ClientSettings
from storage.files import read_text

PREFIX: Final = "SEALEDGE_"
NESTED: Final = "__"


class OperatorSettings(BaseSettings):
    """`operator.toml`: no party, only a way into the broker. `folder` is that of the file, and said nowhere else."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_prefix=PREFIX, env_nested_delimiter=NESTED)

    folder: Path = Path()
    fleet: Name
    broker: BrokerSettings
    authority: Path | None = None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the interface of pydantic-settings
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - a file in the working directory decides nothing
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - secrets have files of their own
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment above the file, and nothing else."""
        return env_settings, init_settings

    def path(self, relative: Path) -> Path:
        """A path of these settings."""
        return self.folder / relative

    @property
    def connection(self) -> ConnectionSettings:
        """For a link. Raises `ConfigurationError`."""
        return self.broker.connection(self.folder)

    def with_broker(self, url: str | None) -> Self:
        """The same settings with another broker, or these."""
        return with_broker(self, url)


class PartySettings(OperatorSettings):
    """What every party needs."""

    name: Name
    authority: Path
    revocations: Path | None = None
    state: Path = Path("state")


class VerifierSettings(PartySettings):
    """`verifier.toml`."""

    signing_key: Path
    credential: Path
    policy: Path


class PublisherSettings(PartySettings):
    """`publisher.toml`; `[release]` narrows to whom keys are lent."""

    signing_key: Path
    credential: Path
    release: ReleasePolicy = ReleasePolicy()


class AgentSettings(PartySettings):
    """`agent.toml`. `attester` names the TEE; the simulated one signs with `chip_key`."""

    enrolment: Path
    models: tuple[Name, ...] = Field(min_length=1, max_length=16)
    attester: str = ""
    chip_key: Path | None = None
    cache_bytes: int = Field(default=2**31, ge=2**20)


S = TypeVar("S", bound=OperatorSettings)
C = TypeVar("C", bound=ClientSettings)
B = TypeVar("B", bound=BaseModel)


def load_settings(model: type[S], path: Path) -> S:
    """The settings in this file and in the environment. Raises `ConfigurationError`."""
    return _constructed(model, path, read_toml(path))


def access_of(path: Path) -> OperatorSettings:
    """The fleet and the `[broker]` of any party's settings, or of `operator.toml`. Raises `ConfigurationError`."""
    values = read_toml(path)
    known: dict[str, Any] = {name: values[name] for name in ("fleet", "broker", "authority") if name in values}
    return _constructed(OperatorSettings, path, known)


def load_client(model: type[C], path: Path) -> C:
    """A sensor's or consumer's settings. Raises `ConfigurationError`."""
    try:
        return model.load(path)
    except SettingsError as error:
        raise _unparsed(path, error) from None


def _constructed(model: type[S], path: Path, values: dict[str, Any]) -> S:
    """Names that begin with an underscore steer pydantic-settings itself, and are no settings."""
    reserved = next((name for name in values if name == "folder" or name.startswith("_")), None)
    if reserved is not None:
        raise ConfigurationError(f"{path}: {reserved} is not a setting")
    try:
        # After the environment, too: SEALEDGE_FOLDER would move every relative path.
        return model(**values).model_copy(update={"folder": path.parent})
    except ValidationError as error:
        raise explained(path, error) from None
    except SettingsError as error:
        raise _unparsed(path, error) from None


def _unparsed(path: Path, error: SettingsError) -> ConfigurationError:
    """Lists and tables are JSON in the environment. The message names the field, never its value."""
    return ConfigurationError(f"{path}: the environment is not JSON where it must be: {error}")


def with_broker(settings: B, url: str | None) -> B:
    """Any settings with a `[broker]` at another URL, or as they are."""
    if url is None:
        return settings
    broker: BrokerSettings = settings.broker  # type: ignore[attr-defined]  # both bases of settings have one
    return settings.model_copy(update={"broker": broker.model_copy(update={"url": url})})


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file. Raises `ConfigurationError`."""
    try:
        return tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: is not TOML: {error}") from None


def explained(path: Path, error: ValidationError) -> ConfigurationError:
    """The first fault of many, in one line. A value that may be a secret is not in it."""
    first = error.errors(include_url=False, include_context=False)[0]
    name = ".".join(str(part) for part in first["loc"]) or "settings"
    place = _place(path, name)
    if first["type"] == "extra_forbidden":
        return ConfigurationError(f"{place}: {name} is not a setting", finding=Finding(name, "no such name", "one"))
    if first["type"] == "missing":
        return ConfigurationError(f"{place}: {name} is missing", finding=Finding(name, "a value", "none"))
    found = "(not shown)" if "password" in name else repr(first["input"])[:80]
    return ConfigurationError(f"{place}: {name} is wrong", finding=Finding(name, first["msg"], found))


def _place(path: Path, name: str) -> str:
    """Where the person who typed it finds it: the variable, where one is set, else the file."""
    variable = PREFIX + name.replace(".", NESTED).upper()
    return variable if variable in os.environ else str(path)
