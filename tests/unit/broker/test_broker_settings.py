"""Settings that cannot work are one clear line, and no secret shows."""

import stat
from pathlib import Path
from typing import Any

import pytest

from broker.settings import BrokerAddress, ConnectionSettings
from protocol.errors import ConfigurationError


@pytest.mark.parametrize(
    ("url", "host", "port", "tls", "shown"),
    [
        ("mqtt://localhost", "localhost", 1883, False, "mqtt://localhost:1883"),
        ("mqtts://broker.example", "broker.example", 8883, True, "mqtts://broker.example:8883"),
        ("mqtt://127.0.0.1:18830/", "127.0.0.1", 18830, False, "mqtt://127.0.0.1:18830"),
        ("mqtts://[::1]:1", "::1", 1, True, "mqtts://[::1]:1"),
    ],
)
def test_good_addresses(url: str, host: str, port: int, tls: bool, shown: str) -> None:
    address = BrokerAddress.parse(url)
    assert address == BrokerAddress(host, port, tls)
    assert str(address) == shown


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost",
        "localhost:1883",
        "http://localhost",
        "mqtt://",
        "mqtt://:1883",
        "mqtt://host:0",
        "mqtt://host:65536",
        "mqtt://host:many",
        "mqtt://[::1",
        "mqtt://host/topic",
        "mqtt://host?x=1",
    ],
)
def test_bad_addresses_are_one_line(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ConnectionSettings(url=url)
    assert "\n" not in str(caught.value)


def test_credentials_in_a_url_are_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigurationError) as caught:
        BrokerAddress.parse("mqtt://me:hunter2@host")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "expected"), [("localhost", True), ("127.0.0.9", True), ("::1", True), ("10.0.0.1", False), ("x", False)]
)
def test_loopback(host: str, expected: bool) -> None:
    assert BrokerAddress(host, 1).is_loopback is expected


def test_a_password_never_shows() -> None:
    settings = ConnectionSettings(url="mqtt://host", username="me", password="hunter2")
    assert "hunter2" not in repr(settings) + str(settings)
    assert settings.read_password() == "hunter2"


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"password": "x"}, "user name"),
        ({"username": "me", "password": "x", "password_file": Path(__file__)}, "not both"),
        ({"username": "me", "password_file": Path("/nowhere/at/all")}, "/nowhere/at/all"),
        ({"ca_file": Path(__file__)}, "mqtts"),
        ({"url": "mqtts://h", "ca_file": Path("/nowhere")}, "/nowhere"),
        ({"url": "mqtts://h", "certificate_file": Path(__file__)}, "come together"),
        ({"url": "mqtts://h", "key_file": Path(__file__)}, "come together"),
        ({"keepalive": 0}, "keepalive"),
        ({"receive_maximum": 65536}, "receive_maximum"),
        ({"max_in_flight": 0}, "max_in_flight"),
        ({"max_payload": 1 << 28}, "max_payload"),
    ],
)
def test_contradictions_are_named(changed: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigurationError, match=word):
        ConnectionSettings(**{"url": "mqtt://host", **changed})


@pytest.mark.parametrize("text", ["hunter2", "hunter2\n", "hunter2\r\n", "hunter2\nsecond line\n"])
def test_the_first_line_of_a_password_file(tmp_path: Path, text: str) -> None:
    file = tmp_path / "password"
    file.write_bytes(text.encode())
    settings = ConnectionSettings(url="mqtt://host", username="me", password_file=file)
    assert settings.read_password() == "hunter2"


def test_a_password_file_that_is_no_text(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_bytes(b"\xff\xfe")
    file.chmod(stat.S_IRUSR)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        ConnectionSettings(url="mqtt://host", username="me", password_file=file).read_password()


@pytest.mark.parametrize("fields", [("ca_file",), ("certificate_file", "key_file")])
def test_a_tls_file_that_is_none_is_named_before_anything_is_connected(tmp_path: Path, fields: tuple[str, ...]) -> None:
    file = tmp_path / "no.pem"
    file.write_text("not a certificate")
    settings = ConnectionSettings(url="mqtts://host", **dict.fromkeys(fields, file))
    with pytest.raises(ConfigurationError, match="TLS files for mqtts://host:8883"):
        settings.tls_context()
