"""A fleet as a folder: what stands where, what it is called, and the authority that keeps it.

fleet.toml                what the fleet is
authority/                the authority's key: keep it offline, everything ends there
trust/                    authority.pub.pem and revocations.cose: every party needs both, neither is secret
broker/                   configuration for the broker's machine
operator/                 who may watch everything and publish revocations
verifier/  publisher/  agents/NAME/  sensors/NAME/  consumers/NAME/
                          one party each: with trust/ beside it, all that its machine needs
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from broker.settings import BrokerAddress
from protocol.errors import ConfigurationError, Finding
from schemas.base import Name
from schemas.kinds import Role, Tier
from sealedge.operations.authority import Authority
from sealedge.settings import explained, read_toml
from storage.key_files import read_signing_key, read_verifying_key

FLEET_FILE: Final = "fleet.toml"
AUTHORITY_KEY: Final = "authority.pem"
BROKER_CA: Final = "broker-ca"
_FOLDERS: Final = {Role.AGENT: "agents", Role.SENSOR: "sensors", Role.CONSUMER: "consumers"}
_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")


class FleetDescription(BaseModel):
    """`fleet.toml`. Without `tee` no enclave is accepted yet; `certificates`: the fleet is its broker's CA."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fleet: Name
    model: Name
    broker: str
    tee: Tier | None = None
    certificates: bool = False

    @property
    def address(self) -> BrokerAddress:
        """The broker's. Raises `ConfigurationError`."""
        return BrokerAddress.parse(self.broker)


@dataclass(frozen=True, slots=True)
class FleetFolder:
    """The paths of a fleet; nothing is read or written here."""

    directory: Path

    @property
    def description(self) -> Path:
        """What makes a folder a fleet."""
        return self.directory / FLEET_FILE

    @property
    def authority(self) -> Path:
        """The authority's private keys."""
        return self.directory / "authority"

    @property
    def trust(self) -> Path:
        """What every party's machine needs besides the party's own folder."""
        return self.directory / "trust"

    @property
    def authority_public(self) -> Path:
        """The trust anchor."""
        return self.trust / "authority.pub.pem"

    @property
    def revocations(self) -> Path:
        """The newest signed revocation list."""
        return self.trust / "revocations.cose"

    @property
    def broker_ca(self) -> Path:
        """The certificate that the broker's is checked against, where the fleet has its own."""
        return self.trust / "broker-ca.pem"

    @property
    def broker(self) -> Path:
        """The broker's configuration."""
        return self.directory / "broker"

    @property
    def operator(self) -> Path:
        """The operator's access to the broker."""
        return self.directory / "operator"

    def party(self, role: Role, name: str) -> Path:
        """The folder of one party. The first verifier and publisher are called so, and stand at the top."""
        if role in _FOLDERS:
            return self.directory / _FOLDERS[role] / name
        return self.directory / role if name == role else self.directory / f"{role}s" / name

    def settings(self, role: Role, name: str) -> Path:
        """The settings file of one party."""
        return self.party(role, name) / f"{role}.toml"

    def parties(self) -> list[tuple[Role, str]]:
        """Every party that has a settings file here."""
        found = [(role, str(role)) for role in (Role.VERIFIER, Role.PUBLISHER)]
        for role in Role:
            folder = self.directory / _FOLDERS.get(role, f"{role}s")
            found += [(role, path.parent.name) for path in sorted(folder.glob(f"*/{role}.toml"))]
        return [each for each in found if self.settings(*each).is_file()]


@dataclass(frozen=True, slots=True)
class Fleet:
    """A fleet whose authority's key is at hand: parties can be added, and things revoked."""

    folder: FleetFolder
    description: FleetDescription
    authority: Authority = field(repr=False)

    @property
    def name(self) -> str:
        """The fleet's name on every topic and in every credential."""
        return self.description.fleet


def open_fleet(directory: Path) -> Fleet:
    """The fleet in this folder, with its authority. Raises `ConfigurationError`, also where the key is elsewhere."""
    folder = FleetFolder(directory)
    description = read_description(folder)
    key = read_signing_key(folder.authority / AUTHORITY_KEY)
    if key.public != read_verifying_key(folder.authority_public):
        raise ConfigurationError(f"{folder.authority}: is not the authority whose public key stands in trust/")
    return Fleet(folder, description, Authority(description.fleet, key))


def read_description(folder: FleetFolder) -> FleetDescription:
    """`fleet.toml`. Raises `ConfigurationError`."""
    if not folder.description.is_file():
        raise ConfigurationError(
            f"{folder.directory}: is not a fleet", finding=Finding(FLEET_FILE, "a file", "none: see sealedge init")
        )
    try:
        return FleetDescription.model_validate(read_toml(folder.description))
    except ValidationError as error:
        raise explained(folder.description, error) from None


def make_folder(path: Path) -> None:
    """The folder, and those above it, owner-only; it may exist. Raises `ConfigurationError`."""
    try:
        # Path.mkdir gives its mode to the last folder alone.
        for each in reversed((path, *path.parents)):
            each.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be made: {error.strerror}") from error


def check_name(what: str, name: str) -> str:
    """The name, if it may stand in a topic. Raises `ConfigurationError`."""
    if not _NAME.fullmatch(name):
        expected = "1 to 32 of a-z, 0-9 and -, not at the ends"
        raise ConfigurationError(f"this is no name for a {what}", finding=Finding(what, expected, repr(name)))
    return name
