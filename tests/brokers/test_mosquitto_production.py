"""The production configurations of mosquitto do what they say: TLS, accounts, and an ACL that keeps parties apart."""

import base64
import hashlib
import ipaddress
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from broker.acl import Member, acl_file
from broker.children import find_mosquitto
from broker.link import Link
from broker.mosquitto import configuration
from broker.probe import answers_connect
from protocol.errors import TransportError
from schemas.topics import FleetTopics
from tests.support.link_parties import Recorder, eventually, say, settings, threaded

TOPICS = FleetTopics("farm")
MEMBERS = [
    Member("agent-a1", "agent", "a1"),
    Member("sensor-s1", "sensor", "s1"),
    Member("sensor-s2", "sensor", "s2"),
    Member("operator-operator", "operator", "operator"),
]


def certify(folder: Path, name: str, issuer: str | None = None, address: str | None = None) -> None:
    """Write NAME.pem and NAME.key: a CA where no issuer is named, else a certificate for a common name."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    signer, signer_name = key, subject
    if issuer is not None:
        loaded = serialization.load_pem_private_key((folder / f"{issuer}.key").read_bytes(), None)
        assert isinstance(loaded, ec.EllipticCurvePrivateKey)
        signer = loaded
        signer_name = x509.load_pem_x509_certificate((folder / f"{issuer}.pem").read_bytes()).subject
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder(signer_name, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if address is not None:
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        builder = builder.add_extension(names, critical=False)
    (folder / f"{name}.pem").write_bytes(builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / f"{name}.key").write_bytes(key.private_bytes(*form))


def password_line(username: str, password: str) -> str:
    salt = os.urandom(12)
    hashed = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, 101)
    return f"{username}:$7$101${base64.b64encode(salt).decode()}${base64.b64encode(hashed).decode()}\n"


@contextmanager
def production(folder: Path, accounts: Literal["certificates", "passwords"]) -> Iterator[str]:
    program = find_mosquitto()
    if program is None:
        assert os.environ.get("CI") != "true", "CI must have mosquitto"
        pytest.skip("no mosquitto program is installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    text = configuration(accounts, config_folder=str(folder), data_folder=str(folder), listener=f"{port} 127.0.0.1")
    assert "/mosquitto/" not in text.replace(str(folder), "")
    # pytest's folders are the owner's alone: a mosquitto that root starts stays root here.
    as_root = "user root\n" if os.geteuid() == 0 else ""
    (folder / "mosquitto.conf").write_text(as_root + text)
    (folder / "acl").write_text(acl_file("farm", MEMBERS))
    process = subprocess.Popen([program, "-c", str(folder / "mosquitto.conf")], stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: is_listening(port))
        yield f"mqtts://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("mosquitto")
    certify(made, "ca")
    certify(made, "stranger")
    certify(made, "server", "ca", "127.0.0.1")
    certify(made, "agent-a1", "ca")
    certify(made, "sensor-s1", "ca")
    certify(made, "sensor-s2", "stranger")
    passwords = [password_line(member.username, f"{member.name}'s") for member in MEMBERS]
    (made / "passwd").write_text("".join(passwords))
    return made


@pytest.fixture(scope="module")
def certified(folder: Path) -> Iterator[str]:
    with production(folder, "certificates") as url:
        yield url


@pytest.fixture(scope="module")
def by_password(folder: Path) -> Iterator[str]:
    with production(folder, "passwords") as url:
        yield url


def own(folder: Path, name: str) -> dict[str, object]:
    return {
        "ca_file": folder / "ca.pem",
        "certificate_file": folder / f"{name}.pem",
        "key_file": folder / f"{name}.key",
    }


def refused(url: str, **changed: object) -> str:
    with pytest.raises(TransportError) as caught:
        Link(Recorder("p"), settings(url, network_tries=2, refusal_tries=2, **changed)).run()
    assert "\n" not in caught.value.diagnostics
    return str(caught.value)


def test_parties_with_certificates_talk_where_the_acl_lets_them(certified: str, folder: Path) -> None:
    agent = Recorder("a1", TOPICS.request("a1"), TOPICS.inbox("sensor", "s1"))
    sensor = Recorder("s1", TOPICS.inbox("sensor", "s1"), TOPICS.everything)
    with (
        threaded(agent, certified, **own(folder, "agent-a1")) as agents,
        threaded(sensor, certified, **own(folder, "sensor-s1")) as sensors,
    ):
        reply_to = TOPICS.inbox("sensor", "s1")
        sensors.submit(say(TOPICS.result("a1"), b"forged passport", retain=True))
        sensors.submit(say(TOPICS.request("a1"), b"12", response_topic=reply_to, correlation=b"c"))
        eventually(lambda: sensor.heard and sensor.notes("publication-refused"))
        agents.submit(say(TOPICS.challenge("a1"), b"forged challenge"))
        eventually(lambda: agent.notes("publication-refused"))
    assert agent.payloads == [b"12"]
    # Twice, for some versions: two of its subscriptions match (MQTT 5 §3.3.4 allows both).
    assert {(each.topic, each.payload) for each in sensor.heard} == {(reply_to, b"21")}
    assert sensor.notes("publication-refused") == [{"topic": TOPICS.result("a1"), "why": "Not authorized"}]


def test_a_certificate_of_a_strange_ca_opens_nothing(certified: str, folder: Path) -> None:
    assert refused(certified, **own(folder, "sensor-s2"))


def test_no_certificate_opens_nothing(certified: str, folder: Path) -> None:
    assert refused(certified, ca_file=folder / "ca.pem")


@pytest.mark.parametrize("ca_file", ["stranger.pem", None])
def test_a_broker_with_a_strange_certificate_gets_no_password(
    by_password: str, folder: Path, ca_file: str | None
) -> None:
    trusted = {} if ca_file is None else {"ca_file": folder / ca_file}
    said = refused(by_password, username="sensor-s1", password="s1's", **trusted)
    assert "cannot prove who it is" in said


def test_a_broker_must_have_the_name_it_was_asked_for_by(by_password: str, folder: Path) -> None:
    url = by_password.replace("127.0.0.1", "localhost")
    said = refused(url, username="sensor-s1", password="s1's", ca_file=folder / "ca.pem")
    assert "cannot prove who it is" in said


def test_passwords(by_password: str, folder: Path) -> None:
    (folder / "password").write_text("s1's\nnever read\n")
    party = Recorder("s1", TOPICS.inbox("sensor", "s1"))
    file = folder / "password"
    with threaded(party, by_password, ca_file=folder / "ca.pem", username="sensor-s1", password_file=file):
        assert party.notes("connected")


@pytest.mark.parametrize("password", ["wrong", "", None])
def test_a_wrong_password_is_one_clear_line(by_password: str, folder: Path, password: str | None) -> None:
    said = refused(by_password, ca_file=folder / "ca.pem", username="sensor-s1", password=password)
    assert said == f"the broker {by_password} refuses the connection: Not authorized"


def test_nobody_enters_without_an_account_or_tls(by_password: str, folder: Path) -> None:
    assert "Not authorized" in refused(by_password, ca_file=folder / "ca.pem")
    assert not answers_connect("127.0.0.1", int(by_password.rpartition(":")[2]))


def test_the_operator_hears_everything_and_says_nothing(by_password: str, folder: Path) -> None:
    operator, sensor = Recorder("op", TOPICS.everything), Recorder("s1")
    ours = {"ca_file": folder / "ca.pem"}
    with (
        threaded(operator, by_password, username="operator-operator", password="operator's", **ours) as watching,
        threaded(sensor, by_password, username="sensor-s1", password="s1's", **ours) as sensors,
    ):
        sensors.submit(say(TOPICS.request("a1"), b"sealed"))
        watching.submit(say(TOPICS.revocations, b"forged", retain=True))
        eventually(lambda: operator.heard and operator.notes("publication-refused"))
    assert operator.payloads == [b"sealed"]
