"""Parties from files: where results go, which revocations are taken, what a restart finds."""

import time
from pathlib import Path
from typing import Any

import pytest

from protocol.errors import ConfigurationError, ProtocolMisuseError
from protocol.kem_keys import KemPrivateKey
from protocol.keys import SigningKey
from schemas.kinds import Role
from sealedge.client.parties import opened_store, sensor_from
from sealedge.client.sensor import SensorParty
from sealedge.client.settings import SensorSettings
from sealedge.operations.authority import Authority
from sealedge.settings import BrokerSettings
from storage.files import write_private
from storage.key_files import write_signing_key


class Desk:
    """Writes the files of a sensor and of consumers."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.now = folder, time.time()
        self.authority = Authority("clinic", SigningKey.generate())
        write_private(folder / "authority.pub.pem", self.authority.key.public.pem())
        self.vouch(Role.SENSOR, "sensor-1", "credential.cwt", "signing.pem")

    def vouch(self, role: Role, name: str, file: str, key_file: str, days: int = 10) -> None:
        key, kem = SigningKey.generate(), KemPrivateKey.generate(bytes)
        write_signing_key(self.folder / key_file, key)
        credential = self.authority.vouch(
            role, name, key.public, now=self.now, randomness=bytes, kem=kem.public, days=days
        )
        write_private(self.folder / file, credential)

    def sensor(self, **settings: Any) -> SensorParty:
        found = SensorSettings(
            folder=self.folder,
            fleet="clinic",
            name="sensor-1",
            model="scan",
            tiers=("simulated",),
            broker=BrokerSettings(url="mqtt://127.0.0.1"),
            **settings,
        )
        with opened_store(found) as store:
            party = sensor_from(found, store)
            store.close()
        return party


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.mark.parametrize(
    ("names", "deliver_to", "topic"),
    [
        ((), None, None),
        (("a",), None, "sealedge/v1/clinic/consumer/a/inbox"),
        (("a",), "inbox", "sealedge/v1/clinic/consumer/a/inbox"),
        (("a",), "results", "sealedge/v1/clinic/model/scan/results"),
        (("a", "b"), None, "sealedge/v1/clinic/model/scan/results"),
        (("a", "b"), "inbox", "sealedge/v1/clinic/consumer/a/inbox"),
        (("a",), "sealedge/v1/clinic/consumer/a/inbox", "sealedge/v1/clinic/consumer/a/inbox"),
    ],
)
def test_where_results_go(desk: Desk, names: tuple[str, ...], deliver_to: Any, topic: str | None) -> None:
    for name in names:
        desk.vouch(Role.CONSUMER, name, f"{name}.cwt", f"{name}.pem")
    sensor = desk.sensor(recipients=tuple(Path(f"{name}.cwt") for name in names), deliver_to=deliver_to)
    assert sensor._terms.deliver_to == topic
    assert len(sensor._terms.recipients) == len(names)


def test_recipients_must_be_consumers_of_this_fleet(desk: Desk) -> None:
    desk.vouch(Role.PUBLISHER, "p", "p.cwt", "p.pem")
    with pytest.raises(ConfigurationError, match=r"p\.cwt: role-not-allowed"):
        desk.sensor(recipients=(Path("p.cwt"),))
    with pytest.raises(ProtocolMisuseError, match="come together"):
        desk.sensor(deliver_to="results")


def test_an_expired_credential_is_said_at_the_start(desk: Desk) -> None:
    (desk.folder / "signing.pem").unlink()
    desk.now -= 3 * 86_400
    desk.vouch(Role.SENSOR, "sensor-1", "credential.cwt", "signing.pem", days=1)
    with pytest.raises(ConfigurationError, match=r"credential\.cwt: expired"):
        desk.sensor()


def test_revocations_are_taken_from_a_file_and_kept(desk: Desk) -> None:
    path = desk.folder / "revocations.cose"
    for sequence in (1, 3):
        write_private(path, desk.authority.revoke(sequence, [], now=desk.now))
        assert desk.sensor(revocations=Path("revocations.cose")).trust.revocations.sequence == sequence
    write_private(path, desk.authority.revoke(2, [], now=desk.now))
    assert desk.sensor(revocations=Path("revocations.cose")).trust.revocations.sequence == 3
    assert desk.sensor().trust.revocations.sequence == 3


def test_state_is_for_the_owner_alone(desk: Desk) -> None:
    desk.sensor()
    state = desk.folder / "state"
    assert state.stat().st_mode & 0o777 == 0o700
    assert (state / "state.db").stat().st_mode & 0o777 == 0o600
