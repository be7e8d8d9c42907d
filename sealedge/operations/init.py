"""Making a fleet: all keys, credentials and settings in one folder, complete or not at all."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from broker.settings import BrokerAddress
from protocol.errors import ConfigurationError, Finding
from protocol.keys import SigningKey
from protocol.party import Randomness
from schemas.kinds import Role, Tier
from sealedge.operations import broker_files, texts
from sealedge.operations.access import THE_OPERATOR, grant
from sealedge.operations.authority import Authority
from sealedge.operations.enrol import enrol
from sealedge.operations.fleet import (
    AUTHORITY_KEY,
    BROKER_CA,
    Fleet,
    FleetDescription,
    FleetFolder,
    check_name,
    make_folder,
)
from storage.files import write_private
from storage.key_files import write_signing_key

PLAIN_BROKER: Final = "mqtt://127.0.0.1:1883"
TLS_BROKER: Final = "mqtts://localhost:8883"
OPERATOR_FILE: Final = "operator.toml"


@dataclass(frozen=True, slots=True)
class FleetPlan:
    """What to make. `tls`: the fleet gets a CA of its own for its broker. Without `tee` nothing is accepted yet (P6).

    Raises `ConfigurationError` for names that are none, names given twice, and a broker URL that does not fit.
    """

    fleet: str
    agents: tuple[str, ...] = ("agent-1",)
    sensors: tuple[str, ...] = ("sensor-1",)
    consumers: tuple[str, ...] = ("consumer-1",)
    model: str = "model"
    broker: str | None = None
    tee: Tier | None = None
    tls: bool = False

    def __post_init__(self) -> None:
        for what, names in (
            ("fleet", (self.fleet,)),
            ("model", (self.model,)),
            ("agent", self.agents),
            ("sensor", self.sensors),
            ("consumer", self.consumers),
        ):
            _check_names(what, names)
        if self.tls and not self.address.tls:
            finding = Finding("broker", "mqtts://HOST[:PORT]", self.url)
            raise ConfigurationError("certificates are of no use without TLS", finding=finding)

    @property
    def url(self) -> str:
        """The broker's URL: the one given, or one on this machine."""
        return self.broker or (TLS_BROKER if self.tls else PLAIN_BROKER)

    @property
    def address(self) -> BrokerAddress:
        """The same, parsed. Raises `ConfigurationError`."""
        return BrokerAddress.parse(self.url)

    @property
    def parties(self) -> list[tuple[Role, str]]:
        """In the order in which they are made: a sensor's settings name the consumers that exist by then."""
        return [
            (Role.VERIFIER, str(Role.VERIFIER)),
            (Role.PUBLISHER, str(Role.PUBLISHER)),
            *((Role.CONSUMER, name) for name in self.consumers),
            *((Role.SENSOR, name) for name in self.sensors),
            *((Role.AGENT, name) for name in self.agents),
        ]


def create_fleet(directory: Path, plan: FleetPlan, *, now: float, randomness: Randomness) -> Fleet:
    """Make the fleet in `directory`, which is not there yet or is empty. All files are owner-only.

    Raises `ConfigurationError`, and leaves nothing behind then.
    """
    _refuse_existing(directory)
    make_folder(directory.parent)
    staging = _staging(directory)
    try:
        fleet = _create(FleetFolder(staging), plan, now, randomness)
        _put_in_place(staging, directory)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return Fleet(FleetFolder(directory), fleet.description, fleet.authority)


def _create(folder: FleetFolder, plan: FleetPlan, now: float, randomness: Randomness) -> Fleet:
    authority = Authority(plan.fleet, SigningKey.generate(randomness))
    description = FleetDescription(
        fleet=plan.fleet, model=plan.model, broker=plan.url, tee=plan.tee, certificates=plan.tls
    )
    fleet = Fleet(folder, description, authority)
    said = texts.fleet(plan.fleet, plan.model, plan.url, plan.tee, certificates=plan.tls)
    write_private(folder.description, said.encode())
    write_signing_key(folder.authority / AUTHORITY_KEY, authority.key)
    write_private(folder.authority_public, authority.key.public.pem())
    write_private(folder.revocations, authority.revoke(1, (), now=now))
    if plan.tls:
        _create_broker_ca(fleet, plan.address.host, now)
    _create_operator(fleet, now, randomness)
    for role, name in plan.parties:
        enrol(fleet, role, name, now=now, randomness=randomness)
    broker_files.write(fleet)
    return fleet


def _create_broker_ca(fleet: Fleet, host: str, now: float) -> None:
    # Imported here: X.509 takes time to load, and most trials do without.
    from sealedge.operations.certificates import BrokerCA  # noqa: PLC0415

    authority = BrokerCA.create(fleet.name, now)
    own, server = authority.pem(), authority.issue_server(host, now)
    write_private(fleet.folder.authority / f"{BROKER_CA}.key", own.key)
    write_private(fleet.folder.broker_ca, own.certificate)
    write_private(fleet.folder.broker / "ca.pem", own.certificate)
    write_private(fleet.folder.broker / "server.pem", server.certificate)
    write_private(fleet.folder.broker / "server.key", server.key)


def _create_operator(fleet: Fleet, now: float, randomness: Randomness) -> None:
    """The operator's access to the broker, and no key: it may watch, and publish what the authority signed."""
    folder = fleet.folder.operator
    broker = grant(fleet, THE_OPERATOR, folder, "../trust", now=now, randomness=randomness)
    about = texts.table([("fleet", fleet.name), ("authority", f"../trust/{fleet.folder.authority_public.name}")])
    said = about + "\n" + texts.table(broker, "broker")
    write_private(folder / OPERATOR_FILE, said.encode())


def _check_names(what: str, names: tuple[str, ...]) -> None:
    for name in names:
        check_name(what, name)
    if len(set(names)) != len(names):
        finding = Finding(f"{what}s", "different names", ", ".join(names))
        raise ConfigurationError(f"two of the {what}s have one name", finding=finding)


def _refuse_existing(directory: Path) -> None:
    try:
        is_taken = directory.exists() and (not directory.is_dir() or any(directory.iterdir()))
    except OSError as error:
        raise ConfigurationError(f"{directory}: cannot be read: {error.strerror}") from error
    if is_taken:
        what = "a fleet already" if FleetFolder(directory).description.exists() else "not empty"
        raise ConfigurationError(f"{directory}: is {what}, and nothing is overwritten")


def _staging(directory: Path) -> Path:
    """Beside the fleet to be, since only a rename within one file system is atomic. mkdtemp's mode is 0700."""
    try:
        return Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    except OSError as error:
        raise ConfigurationError(f"{directory}: cannot be made: {error.strerror}") from error


def _put_in_place(staging: Path, directory: Path) -> None:
    """A rename replaces an empty folder and nothing else: whoever was faster keeps theirs."""
    try:
        staging.replace(directory)
    except OSError as error:
        raise ConfigurationError(f"{directory}: cannot be written: {error.strerror}") from error
