"""What a sensor or consumer is configured with: `sensor.toml`, `consumer.toml`, and the environment.

An environment variable wins over the file: SEALEDGE_NAME, SEALEDGE_BROKER__URL and so on. Paths are relative to
the folder of the file.
"""

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from broker.settings import ConnectionSettings
from protocol.errors import ConfigurationError, Finding
from schemas.attestation import TierName
from schemas.base import Name, Topic
from storage.files import StrPath, read_text

S = TypeVar("S", bound="ClientSettings")


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


class ClientSettings(BaseSettings):
    """What sensors and consumers have in common.

    `tiers` are the kinds of TEE that are good enough for this party's data: there is no default. `state` is the
    folder of its durable state; `durability` says what of it survives a power cut (see `storage.store`).
    """

    model_config = SettingsConfigDict(
        env_prefix="SEALEDGE_", env_nested_delimiter="__", extra="forbid", frozen=True, hide_input_in_errors=True
    )

    folder: Path = Path()
    fleet: Name
    name: Name
    broker: BrokerSettings
    authority: Path = Path("authority.pub.pem")
    signing_key: Path = Path("signing.pem")
    credential: Path = Path("credential.cwt")
    revocations: Path | None = None
    state: Path = Path("state")
    durability: Literal["full", "normal"] = "normal"
    tiers: Annotated[tuple[TierName, ...], Field(min_length=1)]

    @classmethod
    def load(cls, file: StrPath) -> Self:
        """Read a TOML file and the environment. Raises `ConfigurationError`, one line that names file and field."""
        path = Path(file)
        try:
            values = tomllib.loads(read_text(path))
        except tomllib.TOMLDecodeError as error:
            raise ConfigurationError(f"{path}: is not TOML: {error}") from None
        try:
            return cls(**{**values, "folder": path.parent})
        except ValidationError as error:
            raise _explained(path, error) from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic-settings hands it in
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - no .env file is read
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - secrets have files of their own
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over what the file says."""
        return env_settings, init_settings

    def path(self, relative: Path) -> Path:
        """A path of these settings, relative to the folder of the file."""
        return self.folder / relative

    @property
    def connection(self) -> ConnectionSettings:
        """The settings of the link. Raises `ConfigurationError`."""
        return self.broker.connection(self.folder)


class SensorSettings(ClientSettings):
    """`sensor.toml`: which model, with whom, and who may read the results.

    `recipients` are files with consumers' credentials. Their results go to `deliver_to`: "inbox" (of the only
    recipient), "results" (the model's topic) or a whole topic. Times in seconds, `pad_to` in bytes.
    """

    model: Name
    agent: Name | None = None
    recipients: tuple[Path, ...] = ()
    deliver_to: Literal["inbox", "results"] | Topic | None = None
    return_result: bool = True
    one_shot: bool = False
    minimum_version: int = Field(default=0, ge=0)
    request_seconds: float = Field(default=60.0, gt=0)
    session_seconds: int = Field(default=3600, ge=10, le=86_400)
    retry_seconds: float = Field(default=5.0, gt=0)
    in_flight: int = Field(default=32, ge=1, le=64)
    pad_to: int = Field(default=0, ge=0, le=65_536)


class ConsumerSettings(ClientSettings):
    """`consumer.toml`: the KEM key that results are sealed to, and the models whose results and labels it wants."""

    kem_key: Path = Path("kem.key")
    models: tuple[Name, ...] = ()


def load_settings(kind: type[S], source: "S | StrPath") -> S:
    """Settings as they are, or from a file, or from the usual file of a folder. Raises `ConfigurationError`."""
    if isinstance(source, kind):
        return source
    path = Path(os.fspath(source))  # type: ignore[arg-type]  # what is not settings of this kind is a path
    usual = "sensor.toml" if kind is SensorSettings else "consumer.toml"
    return kind.load(path / usual if path.is_dir() else path)


def _explained(path: Path, error: ValidationError) -> ConfigurationError:
    """The first thing that is wrong, without its value: it could be a secret."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "settings"
    return ConfigurationError(f"{path}: {where}: {first['msg']}", finding=Finding(where))
