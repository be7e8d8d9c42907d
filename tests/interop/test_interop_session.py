"""The whole loop with another implementation: our verifier, publisher and enclave, JavaScript's sensor and consumer."""

import itertools
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tests.support.world
from broker.embedded import Embedded
from broker.settings import ConnectionSettings
from broker.threaded import ThreadedLink
from protocol.algorithms import ED25519, ESP256, HPKE_3_KE, HPKE_XWING_KE
from protocol.cbor import encode
from protocol.keys import KemPrivateKey, SigningKey
from schemas.kinds import Role
from tests.interop.conftest import Run
from tests.support.world import MODEL, World

pytestmark = pytest.mark.slow  # npm fetches the second implementation's packages

NUMBERS = itertools.count()
READINGS = [b"systolic 142", b"systolic 118", b"x" * 4000]


class RealFleet(World):
    """The fleet of `tests.support.world` over a real broker, in real time."""

    def __init__(self, broker: Embedded, folder: Path, **settings: Any) -> None:
        self.embedded, self.files = broker, folder
        self.links: list[ThreadedLink] = []
        super().__init__(**settings)
        self.randomness = os.urandom

    def stop(self) -> None:
        for link in reversed(self.links):
            link.stop()

    def settle(self) -> None:
        """Time passes by itself."""

    def settings(self, **changes: Any) -> Path:
        """What the JavaScript is told: the authority's key, its own keys and credentials, where the broker is."""
        sensor, consumer = self.holder(Role.SENSOR, "sensor-1"), self.holder(Role.CONSUMER, "consumer-1")
        told = {
            "broker": self.embedded.url,
            "fleet": self.fleet,
            "agent": "agent-1",
            "model": MODEL,
            "tiers": ["simulated"],
            "authority": encode(self.authority.key.public.to_cose_key()).hex(),
            "sensor": {
                "name": sensor.name,
                "key": sensor.signing.pem().decode(),
                "credential": sensor.credential.hex(),
            },
            "consumer": {
                "name": consumer.name,
                "algorithm": consumer.kem.algorithm,
                "seed": consumer.kem.seed_bytes().hex(),
                "credential": consumer.credential.hex(),
            },
            "readings": [reading.hex() for reading in READINGS],
            "seconds": 20,
            **changes,
        }
        file = self.files / "settings.json"
        file.write_text(json.dumps(told), "utf-8")
        return file

    def enrol(self, role: Role, name: str, signing: int, kem: int) -> None:
        """A party with keys of these algorithms."""
        holder = self.holder(role, name)
        holder.signing = SigningKey.generate(algorithm=signing)
        holder.kem = KemPrivateKey.generate(self.randomness, algorithm=kem)
        holder.credential = self.authority.vouch(
            role,
            name,
            holder.signing.public,
            now=self.broker.now,
            randomness=self.randomness,
            kem=holder.kem.public if role is Role.CONSUMER else None,
        )

    def _start(self, party: Any) -> Any:
        link = ThreadedLink(party, ConnectionSettings(url=self.embedded.url), strict=True)
        link.start()
        self.links.append(link)
        return party


@pytest.fixture(scope="module")
def broker() -> Iterator[Embedded]:
    with Embedded() as embedded:
        yield embedded


@pytest.fixture
def fleet(broker: Embedded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RealFleet]:
    monkeypatch.setattr(tests.support.world, "START", time.time())
    fleet = RealFleet(broker, tmp_path, fleet=f"interop-{next(NUMBERS)}")
    try:
        yield fleet
    finally:
        fleet.stop()


def of(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [each for each in events if each["event"] == kind]


@pytest.mark.parametrize(("signing", "kem"), [(ESP256, HPKE_XWING_KE), (ED25519, HPKE_3_KE)], ids=["default", "x25519"])
def test_a_sensor_and_a_consumer_in_javascript(fleet: RealFleet, run: Run, signing: int, kem: int) -> None:
    fleet.enrol(Role.SENSOR, "sensor-1", signing, HPKE_XWING_KE)
    fleet.enrol(Role.CONSUMER, "consumer-1", signing, kem)
    fleet.start_all()
    events = run("main.mjs", fleet.settings())
    assert of(events, "refused") == []
    [accepted] = of(events, "accepted")
    assert accepted["version"] == 1
    sent = {each["request"]: bytes.fromhex(each["input"]) for each in of(events, "sent")}
    expected = {request: reading[::-1].hex() for request, reading in sent.items()}
    assert sorted(sent.values()) == sorted(READINGS)
    assert {each["request"]: each["output"] for each in of(events, "answered")} == expected
    assert {each["request"]: each["output"] for each in of(events, "received")} == expected
    assert len(of(events, "received")) == len(READINGS)
    assert len(of(events, "answered")) == len(READINGS)
    assert {each["tier"] for each in of(events, "answered")} == {"simulated"}
    assert {each["sender"] for each in of(events, "received")} == {"sensor-1"}


def test_the_javascript_believes_no_other_authority(fleet: RealFleet, run: Run) -> None:
    fleet.start_all()
    other = SigningKey.generate().public.to_cose_key()
    events = run("main.mjs", fleet.settings(authority=encode(other).hex()), status=1)
    assert {each["reason"] for each in of(events, "refused")} == {"unknown-signer"}
    assert of(events, "sent") == []


def test_the_javascript_takes_no_tier_that_it_was_not_told(fleet: RealFleet, run: Run) -> None:
    fleet.start_all()
    events = run("main.mjs", fleet.settings(tiers=["sev-snp"]), status=1)
    assert {each["reason"] for each in of(events, "refused")} == {"tier-not-accepted"}
    assert of(events, "sent") == []
