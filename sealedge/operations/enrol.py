"""Adding a party to a fleet: its keys, the authority's word for them, its settings, its way into the broker.

verifier, publisher             signing.pem  credential.cwt
sensor                          the same, and recipients/CONSUMER.cwt
consumer                        signing.pem  kem.key  credential.cwt
agent                           chip.pem (simulated TEE)  enrolment.cwt: its own keys are made in its enclave

Which chips an agent of a hardware TEE may run on is often known only when its machine has its folder: until then its
enrolment lists none, and `enrol_chips` signs another.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from protocol.errors import ConfigurationError, Finding
from protocol.keys import KemPrivateKey, SigningKey
from protocol.party import Randomness
from schemas.base import Name
from schemas.kinds import Role, Tier
from sealedge.operations import texts
from sealedge.operations.access import grant, member
from sealedge.operations.fleet import Fleet, check_name, make_folder
from storage.files import read_bytes, write_private
from storage.key_files import write_kem_key, write_signing_key

SIGNING, KEM, CHIP = "signing.pem", "kem.key", "chip.pem"
CREDENTIAL, ENROLMENT, RECIPIENTS = "credential.cwt", "enrolment.cwt", "recipients"
MAX_CHIPS: Final = 64
_TRUST: Final = "trust"


@dataclass(frozen=True, slots=True)
class _Seat:
    """Who is enrolled where."""

    fleet: Fleet
    role: Role
    name: Name
    folder: Path
    chips: tuple[bytes, ...] = ()

    @property
    def trust(self) -> str:
        """The way from the party's folder to trust/, as its settings have it."""
        return os.path.relpath(self.fleet.folder.directory / _TRUST, self.folder)


def enrol(
    fleet: Fleet, role: Role, name: str, *, now: float, randomness: Randomness, chips: Sequence[bytes] = ()
) -> Path:
    """Make the folder of a new party and return it. Nothing that exists is overwritten.

    `chips` (SHA-256 each) are what an agent of a hardware TEE may run on. Raises `ConfigurationError`: a name that is
    none or is taken, a file that cannot be written, chips for a party that has none.
    """
    check_name(role, name)
    _check_chips(fleet, role, chips)
    seat = _Seat(fleet, role, name, fleet.folder.party(role, name), tuple(chips))
    if seat.folder.exists():
        raise ConfigurationError(f"{seat.folder}: there is a {role} of this name already")
    make_folder(seat.folder)
    about = _ENROL[role](seat, now, randomness)
    broker = grant(fleet, member(role, name), seat.folder, seat.trust, now=now, randomness=randomness)
    said = texts.party(fleet.name, role, name, seat.trust) + about + "\n" + texts.table(broker, "broker")
    write_private(fleet.folder.settings(role, name), said.encode(), replace=False)
    return seat.folder


def enrol_chips(fleet: Fleet, name: str, chips: Sequence[bytes], *, now: float, randomness: Randomness) -> Path:
    """A new enrolment for an agent that there is: these chips, in place of all that it listed. Returns its file.

    The old enrolment stays valid until it expires, with the chips that it lists: `revoke` those that shall not be.
    Raises `ConfigurationError`.
    """
    _check_chips(fleet, Role.AGENT, chips)
    folder = fleet.folder.party(Role.AGENT, check_name(Role.AGENT, name))
    if not fleet.folder.settings(Role.AGENT, name).is_file():
        raise ConfigurationError(f"{folder}: there is no agent of this name")
    path = folder / ENROLMENT
    write_private(path, fleet.authority.enrol(name, chips, now=now, randomness=randomness))
    return path


def _check_chips(fleet: Fleet, role: Role, chips: Sequence[bytes]) -> None:
    if chips and (role is not Role.AGENT or fleet.description.tee is Tier.SIMULATED):
        finding = Finding("chips", "none", str(len(chips)))
        raise ConfigurationError("chips are for agents of a hardware TEE", finding=finding)
    if len(chips) > MAX_CHIPS:
        finding = Finding("chips", f"at most {MAX_CHIPS}", str(len(chips)))
        raise ConfigurationError(f"an agent may run on at most {MAX_CHIPS} machines", finding=finding)


def _verifier(seat: _Seat, now: float, randomness: Randomness) -> str:
    # Imported here: the other parties need no enclave to be measured.
    from sealedge.operations.references import reference_values  # noqa: PLC0415

    _vouch(seat, now, randomness)
    measurement, configuration = reference_values(seat.fleet)
    policy = texts.policy(seat.fleet.name, seat.fleet.description.tee, measurement.hex(), configuration.hex())
    write_private(seat.folder / "policy.toml", policy.encode(), replace=False)
    return texts.verifier()


def _publisher(seat: _Seat, now: float, randomness: Randomness) -> str:
    _vouch(seat, now, randomness)
    return ""


def _agent(seat: _Seat, now: float, randomness: Randomness) -> str:
    """The enrolment names the chips that may carry this agent (P5): without a TEE chosen, none."""
    tee, chips = seat.fleet.description.tee, list(seat.chips)
    if tee is Tier.SIMULATED:
        chip = SigningKey.generate(randomness)
        write_signing_key(seat.folder / CHIP, chip)
        chips.append(chip.public.thumbprint)
    enrolment = seat.fleet.authority.enrol(seat.name, chips, now=now, randomness=randomness)
    write_private(seat.folder / ENROLMENT, enrolment, replace=False)
    return texts.agent(seat.fleet.description.model, None if tee is None else str(tee))


def _sensor(seat: _Seat, now: float, randomness: Randomness) -> str:
    """Its results go to every consumer that the fleet has by now; its folder holds copies of their credentials."""
    _vouch(seat, now, randomness)
    folder = seat.fleet.folder
    consumers = [name for role, name in folder.parties() if role is Role.CONSUMER]
    recipients = [f"{RECIPIENTS}/{name}.cwt" for name in consumers]
    for name, recipient in zip(consumers, recipients, strict=True):
        credential = read_bytes(folder.party(Role.CONSUMER, name) / CREDENTIAL)
        write_private(seat.folder / recipient, credential, replace=False)
    return texts.sensor(seat.fleet.description.model, _tiers(seat.fleet), recipients)


def _consumer(seat: _Seat, now: float, randomness: Randomness) -> str:
    _vouch(seat, now, randomness, kem=KemPrivateKey.generate(randomness))
    return texts.consumer([seat.fleet.description.model], _tiers(seat.fleet))


def _vouch(seat: _Seat, now: float, randomness: Randomness, kem: KemPrivateKey | None = None) -> None:
    """New keys, and the credential that the authority signs for them."""
    signing = SigningKey.generate(randomness)
    write_signing_key(seat.folder / SIGNING, signing)
    if kem is not None:
        write_kem_key(seat.folder / KEM, kem)
    public = None if kem is None else kem.public
    credential = seat.fleet.authority.vouch(
        seat.role, seat.name, signing.public, now=now, randomness=randomness, kem=public
    )
    write_private(seat.folder / CREDENTIAL, credential, replace=False)


def _tiers(fleet: Fleet) -> list[str]:
    return [] if fleet.description.tee is None else [str(fleet.description.tee)]


_ENROL: Final = {
    Role.VERIFIER: _verifier,
    Role.PUBLISHER: _publisher,
    Role.AGENT: _agent,
    Role.SENSOR: _sensor,
    Role.CONSUMER: _consumer,
}
