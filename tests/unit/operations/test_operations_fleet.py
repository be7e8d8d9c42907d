"""A fleet's folder is complete, its owner's alone, and all that its parties need to trust each other."""

import base64
import hashlib
import os
import shutil
import stat
from pathlib import Path

import pytest
from cryptography import x509

from broker.acl import acl_file
from edge_agent.measurement import measure
from protocol.errors import ConfigurationError
from protocol.keys import SigningKey
from protocol.trust import Trust
from schemas.kinds import Role, Tier
from sealedge.client.settings import ConsumerSettings, SensorSettings
from sealedge.operations import broker_files
from sealedge.operations.access import members
from sealedge.operations.certificates import BrokerCA
from sealedge.operations.doctor_files import load_any
from sealedge.operations.enrol import enrol
from sealedge.operations.fleet import Fleet, FleetFolder, open_fleet
from sealedge.operations.init import FleetPlan, create_fleet
from sealedge.operations.parties.enclave import enclave_configuration
from sealedge.operations.settings import AgentSettings, VerifierSettings
from storage.key_files import read_signing_key, read_verifying_key
from storage.store import MemoryStore
from verifier.policy import load_policy

NOW = 1_800_000_000.0


def make(folder: Path, **plan: object) -> Fleet:
    chosen = FleetPlan(**{"fleet": "plant", "tee": Tier.SIMULATED, **plan})  # type: ignore[arg-type]  # a test's own
    return create_fleet(folder, chosen, now=NOW, randomness=os.urandom)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    return make(tmp_path_factory.mktemp("fleet") / "plant", agents=("east", "west"))


def test_every_file_and_folder_is_the_owners_alone(fleet: Fleet) -> None:
    found = [fleet.folder.directory, *fleet.folder.directory.rglob("*")]
    assert len(found) > 40
    for path in found:
        expected = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == expected, path


def test_every_party_can_be_loaded_and_is_vouched_for(fleet: Fleet) -> None:
    parties = fleet.folder.parties()
    assert [name for _, name in parties] == ["verifier", "publisher", "east", "west", "sensor-1", "consumer-1"]
    for role, name in parties:
        settings = load_any(fleet.folder.settings(role, name))
        trust = Trust("plant", read_verifying_key(settings.path(settings.authority)), MemoryStore())
        assert trust.revocations.accept_untrusted(settings.path(settings.revocations).read_bytes())
        document = settings.enrolment if role is Role.AGENT else settings.credential
        identity = trust.identify_untrusted(settings.path(document).read_bytes(), NOW, role)
        assert identity.name == settings.name == name
        if role is not Role.AGENT:
            assert read_signing_key(settings.path(settings.signing_key)).public == identity.key


def test_an_agent_is_enrolled_for_its_own_chip_alone(fleet: Fleet) -> None:
    trust = Trust("plant", fleet.authority.key.public, MemoryStore())
    chips = []
    for name in ("east", "west"):
        settings = AgentSettings.load(fleet.folder.settings(Role.AGENT, name))
        assert settings.chip_key is not None
        chip = read_signing_key(settings.path(settings.chip_key)).public.thumbprint
        enrolment = settings.path(settings.enrolment).read_bytes()
        assert trust.identify_untrusted(enrolment, NOW, Role.AGENT).chips == {chip}
        chips.append(chip)
    assert chips[0] != chips[1]


def test_a_sensors_results_are_for_the_fleets_consumers(fleet: Fleet) -> None:
    sensor = SensorSettings.load(fleet.folder.settings(Role.SENSOR, "sensor-1"))
    consumer = ConsumerSettings.load(fleet.folder.settings(Role.CONSUMER, "consumer-1"))
    assert sensor.deliver_to == "results"
    read = [sensor.path(each).read_bytes() for each in sensor.recipients]
    assert read == [consumer.path(consumer.credential).read_bytes()]


def policy_of(fleet: Fleet) -> str:
    settings = VerifierSettings.load(fleet.folder.settings(Role.VERIFIER, "verifier"))
    return settings.path(settings.policy).read_text()


def test_the_policy_accepts_simulation_only_where_it_was_asked_for(fleet: Fleet, tmp_path: Path) -> None:
    chosen = policy_of(fleet)
    assert load_policy(chosen).tiers.accept == (Tier.SIMULATED,)
    assert "prove NOTHING" in chosen
    plain = policy_of(make(tmp_path / "plain", tee=None))
    assert load_policy(plain).tiers.accept == ()
    assert not list((tmp_path / "plain").rglob("chip.pem"))


def test_the_policy_names_this_enclave_and_configuration(fleet: Fleet) -> None:
    values = load_policy(policy_of(fleet)).reference_values
    assert values.measurements == (measure().digest.hex(),)
    settings = AgentSettings.load(fleet.folder.settings(Role.AGENT, "east"))
    assert values.configurations == (enclave_configuration(settings, NOW).digest.hex(),)


def test_an_existing_fleet_is_not_touched(fleet: Fleet) -> None:
    before = {path: path.read_bytes() for path in fleet.folder.directory.rglob("*") if path.is_file()}
    with pytest.raises(ConfigurationError, match="a fleet already"):
        make(fleet.folder.directory)
    assert {path: path.read_bytes() for path in fleet.folder.directory.rglob("*") if path.is_file()} == before


def test_a_fleet_that_cannot_be_made_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_fleet: Fleet) -> None:
        raise ConfigurationError("the disk is full")

    monkeypatch.setattr(broker_files, "write", fail)
    with pytest.raises(ConfigurationError, match="the disk is full"):
        make(tmp_path / "plant")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_is_good_enough(tmp_path: Path) -> None:
    (tmp_path / "plant").mkdir()
    assert make(tmp_path / "plant").folder.description.is_file()


def test_the_authoritys_key_is_where_it_belongs_and_nowhere_else(fleet: Fleet) -> None:
    secret = fleet.authority.key.pem().strip()
    holding = [path for path in fleet.folder.directory.rglob("*") if path.is_file() and secret in path.read_bytes()]
    assert holding == [fleet.folder.authority / "authority.pem"]
    assert read_verifying_key(fleet.folder.authority_public) == fleet.authority.key.public


# Enrolling


def test_a_party_enrolled_later_is_like_those_before(fleet: Fleet, tmp_path: Path) -> None:
    fleet = open_fleet(shutil.copytree(fleet.folder.directory, tmp_path / "plant"))
    folder = enrol(fleet, Role.SENSOR, "gate-3", now=NOW, randomness=os.urandom)
    settings = SensorSettings.load(folder / "sensor.toml")
    trust = Trust("plant", fleet.authority.key.public, MemoryStore())
    credential = settings.path(settings.credential).read_bytes()
    assert trust.identify_untrusted(credential, NOW, Role.SENSOR).name == "gate-3"
    assert (Role.SENSOR, "gate-3") in fleet.folder.parties()
    with pytest.raises(ConfigurationError, match="already"):
        enrol(fleet, Role.SENSOR, "gate-3", now=NOW, randomness=os.urandom)


@pytest.mark.parametrize("role", list(Role))
def test_every_role_can_be_enrolled(role: Role, fleet: Fleet, tmp_path: Path) -> None:
    fleet = open_fleet(shutil.copytree(fleet.folder.directory, tmp_path / "plant"))
    folder = enrol(fleet, role, "second", now=NOW, randomness=os.urandom)
    assert load_any(folder / f"{role}.toml").name == "second"
    assert (role, "second") in fleet.folder.parties()


@pytest.mark.parametrize("name", ["", "-", "a/b", "..", "A", "a" * 33, "a\nb", "é"])
def test_a_name_that_would_change_a_topic_or_a_path_is_refused(name: str, fleet: Fleet) -> None:
    before = fleet.folder.parties()
    with pytest.raises(ConfigurationError, match="name"):
        enrol(fleet, Role.SENSOR, name, now=NOW, randomness=os.urandom)
    assert fleet.folder.parties() == before


def test_nothing_is_enrolled_under_another_authoritys_key(fleet: Fleet, tmp_path: Path) -> None:
    path = shutil.copytree(fleet.folder.directory, tmp_path / "plant") / "authority" / "authority.pem"
    path.write_bytes(SigningKey.generate().pem())
    with pytest.raises(ConfigurationError, match="is not the authority"):
        open_fleet(tmp_path / "plant")


# The broker's accounts


def test_every_party_has_an_account_of_its_own_with_its_own_password(fleet: Fleet) -> None:
    lines = dict(line.split(":", 1) for line in (fleet.folder.broker / "passwd").read_text().splitlines())
    assert lines.keys() == {each.username for each in members(fleet)}
    hashes = set()
    for role, name in fleet.folder.parties():
        broker = load_any(fleet.folder.settings(role, name)).connection
        _, kind, iterations, salt, hashed = lines[broker.username or ""].split("$")
        derived = hashlib.pbkdf2_hmac(
            "sha512", (broker.read_password() or "").encode(), base64.b64decode(salt), int(iterations)
        )
        assert (kind, base64.b64decode(hashed)) == ("7", derived)
        hashes.add(hashed)
    assert len(hashes) == len(fleet.folder.parties())


def test_the_acl_names_every_account(fleet: Fleet) -> None:
    said = (fleet.folder.broker / "acl").read_text()
    assert said == acl_file("plant", members(fleet))
    assert "user agent-east\n" in said


def test_certificates_come_from_the_fleets_own_ca(tmp_path: Path) -> None:
    fleet = make(tmp_path / "plant", tls=True, broker="mqtts://broker.local:8883")
    authority = x509.load_pem_x509_certificate(fleet.folder.broker_ca.read_bytes())
    for path in (fleet.folder.broker / "server.pem", fleet.folder.party(Role.AGENT, "agent-1") / "broker.pem"):
        x509.load_pem_x509_certificate(path.read_bytes()).verify_directly_issued_by(authority)
    settings = load_any(fleet.folder.settings(Role.AGENT, "agent-1"))
    assert settings.connection.tls_context() is not None
    assert "require_certificate true" in (fleet.folder.broker / "mosquitto.conf").read_text()
    assert not list(tmp_path.rglob("passwd"))
    enrolled = enrol(open_fleet(tmp_path / "plant"), Role.SENSOR, "late", now=NOW, randomness=os.urandom)
    x509.load_pem_x509_certificate((enrolled / "broker.pem").read_bytes()).verify_directly_issued_by(authority)


def test_a_ca_is_loaded_with_its_own_key_alone() -> None:
    ours, other = BrokerCA.create("plant", NOW).pem(), BrokerCA.create("plant", NOW).pem()
    assert BrokerCA.load(ours.certificate, ours.key).pem() == ours
    with pytest.raises(ConfigurationError, match="not that of"):
        BrokerCA.load(ours.certificate, other.key)
    with pytest.raises(ConfigurationError, match="PEM"):
        BrokerCA.load(b"", ours.key)
    assert "PRIVATE" not in repr(ours)


def test_a_name_too_long_for_a_certificate_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="64"):
        BrokerCA.create("plant", NOW).issue_client("a" * 65, "plant", NOW)


@pytest.mark.parametrize(
    ("url", "listener"),
    [("mqtt://127.0.0.1:2000", "listener 2000 127.0.0.1"), ("mqtt://broker:2000", "listener 2000\n")],
)
def test_a_broker_on_this_machine_listens_to_this_machine_alone(url: str, listener: str, tmp_path: Path) -> None:
    said = broker_files.mosquitto_conf(make(tmp_path / "plant", broker=url))
    assert listener in said
    assert "WITHOUT TLS" in said
    assert "certfile" not in said


def test_paths_are_where_the_folder_says() -> None:
    folder = FleetFolder(Path("f"))
    assert folder.party(Role.VERIFIER, "verifier") == Path("f/verifier")
    assert folder.party(Role.VERIFIER, "second") == Path("f/verifiers/second")
    assert folder.party(Role.AGENT, "agent") == Path("f/agents/agent")
