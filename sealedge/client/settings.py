"""What a sensor or consumer is configured with: `sensor.toml`, `consumer.toml`, and the environment above them."""

import os
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field

from schemas.attestation import TierName
from schemas.base import Name, Topic
from sealedge.settings import FileSettings
from storage.files import StrPath

S = TypeVar("S", bound="ClientSettings")


class ClientSettings(FileSettings):
    """What sensors and consumers have in common.

    `tiers` are the kinds of TEE that are good enough for this party's data: there is no default. `state` is the
    folder of its durable state; `durability` says what of it survives a power cut (see `storage.store`).
    """

    name: Name
    authority: Path = Path("authority.pub.pem")
    signing_key: Path = Path("signing.pem")
    credential: Path = Path("credential.cwt")
    revocations: Path | None = None
    state: Path = Path("state")
    durability: Literal["full", "normal"] = "normal"
    tiers: Annotated[tuple[TierName, ...], Field(min_length=1)]


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
