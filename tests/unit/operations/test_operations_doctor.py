"""The doctor says what is wrong with files, machine and broker, and how to mend it."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.settings import ConnectionSettings
from protocol.errors import MalformedError, TransportError
from schemas.kinds import Role
from sealedge.operations import connack as connack_module
from sealedge.operations import doctor
from sealedge.operations.authority import CREDENTIAL_DAYS, DAY, REVOCATION_DAYS
from sealedge.operations.connack import BrokerFeatures, ask_broker
from sealedge.operations.doctor import Check, check_broker, check_machine, has_failed
from sealedge.operations.doctor_files import check_fleet, check_party
from sealedge.operations.fleet import Fleet

NOW = 1_800_000_000.0


def levels(checks: Iterator[Check]) -> dict[str, str]:
    """The worst level of each check by name."""
    found: dict[str, str] = {}
    for check in checks:
        found[check.name] = max(found.get(check.name, "ok"), check.level, key=["ok", "warn", "fail"].index)
    return found


def wrong(checks: Iterator[Check]) -> list[Check]:
    return [check for check in checks if check.level != "ok"]


# Files


def test_a_new_fleet_is_well_but_for_its_authority_being_here(fleet: Fleet) -> None:
    found = wrong(check_fleet(fleet.folder.directory, NOW))
    assert [(check.name, check.level) for check in found] == [("authority", "warn")]
    (fleet.folder.authority / "authority.pem").unlink()
    assert wrong(check_fleet(fleet.folder.directory, NOW)) == []


def test_a_folder_that_is_no_fleet_fails(tmp_path: Path) -> None:
    assert levels(check_fleet(tmp_path, NOW)) == {"fleet": "fail"}


@pytest.mark.parametrize(
    ("role", "name", "file", "check"),
    [
        (Role.VERIFIER, "verifier", "signing.pem", "signing_key"),
        (Role.CONSUMER, "consumer-1", "kem.key", "kem_key"),
        (Role.AGENT, "agent-1", "chip.pem", "chip_key"),
        (Role.SENSOR, "sensor-1", "broker.password", "broker password_file"),
    ],
)
def test_a_secret_that_others_can_read_fails_and_can_be_mended(
    role: Role, name: str, file: str, check: str, fleet: Fleet
) -> None:
    settings = fleet.folder.settings(role, name)
    (settings.parent / file).chmod(0o640)
    (found,) = wrong(check_party(settings, NOW))
    assert (found.name, found.level) == (f"{name}/{role} {check}", "fail")
    assert "0640" in found.found
    assert found.mend == f"chmod 600 {settings.parent / file}"


def test_a_missing_key_fails(fleet: Fleet) -> None:
    settings = fleet.folder.settings(Role.VERIFIER, "verifier")
    (settings.parent / "signing.pem").unlink()
    (found,) = wrong(check_party(settings, NOW))
    assert (found.level, "No such file" in found.found) == ("fail", True)


@pytest.mark.parametrize(
    ("days", "name", "level"),
    [
        (REVOCATION_DAYS - 31, "revocations", None),
        (REVOCATION_DAYS - 29, "revocations", "warn"),
        (REVOCATION_DAYS, "revocations", "fail"),
        (CREDENTIAL_DAYS - 29, "credential", "warn"),
        (CREDENTIAL_DAYS, "credential", "fail"),
        (-1, "credential", "fail"),
    ],
)
def test_what_ends_is_warned_of_then_fails(days: int, name: str, level: str | None, fleet: Fleet) -> None:
    settings = fleet.folder.settings(Role.VERIFIER, "verifier")
    found = {check.name: check.level for check in wrong(check_party(settings, NOW + days * DAY))}
    assert found.get(f"verifier/verifier {name}") == level


def test_the_operator_has_no_documents_of_its_own(fleet: Fleet) -> None:
    assert wrong(check_party(fleet.folder.operator / "operator.toml", NOW)) == []


def test_another_partys_credential_fails(fleet: Fleet) -> None:
    settings = fleet.folder.settings(Role.VERIFIER, "verifier")
    publisher = fleet.folder.party(Role.PUBLISHER, "publisher")
    (settings.parent / "credential.cwt").write_bytes((publisher / "credential.cwt").read_bytes())
    (found,) = wrong(check_party(settings, NOW))
    assert "plant/publisher" in found.found


@pytest.mark.parametrize("file", ["trust/revocations.cose", "trust/authority.pub.pem", "verifier/credential.cwt"])
def test_garbage_in_place_of_a_document_fails_in_one_line(file: str, fleet: Fleet) -> None:
    (fleet.folder.directory / file).write_bytes(b"\x00garbage")
    found = wrong(check_party(fleet.folder.settings(Role.VERIFIER, "verifier"), NOW))
    assert [check.level for check in found] == ["fail"]
    assert "\n" not in found[0].found


def test_settings_that_cannot_be_read_fail(fleet: Fleet, tmp_path: Path) -> None:
    settings = fleet.folder.settings(Role.VERIFIER, "verifier")
    settings.write_text("fleet = 1\n")
    assert levels(check_party(settings, NOW)) == {"verifier/verifier": "fail"}
    other = tmp_path / "king.toml"
    other.write_text("")
    assert list(levels(check_party(other, NOW)).values()) == ["fail"]


# This machine


def test_a_clock_of_the_past_fails() -> None:
    assert levels(check_machine(0.0))["clock"] == "fail"
    assert levels(check_machine(NOW))["clock"] != "fail"


def test_no_mosquitto_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "find_mosquitto", lambda: None)
    assert levels(check_machine(NOW))["mosquitto"] == "warn"


# The broker


@contextmanager
def answering(answer: bytes) -> Iterator[ConnectionSettings]:
    """A server that answers one connection's first bytes with these, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield ConnectionSettings(url=f"mqtt://127.0.0.1:{server.getsockname()[1]}", username="u", password="p")
        finally:
            thread.join()


def connack(reason: int = 0, properties: bytes = b"") -> bytes:
    body = bytes([0, reason, len(properties)]) + properties
    return bytes([0x20, len(body)]) + body


def test_a_connack_without_properties_means_the_standards_defaults() -> None:
    with answering(connack()) as settings:
        assert ask_broker(settings) == BrokerFeatures(reason=0)


def test_a_connack_is_read_property_by_property() -> None:
    text = struct.pack(">H", 3) + b"abc"
    properties = (
        b"\x11" + struct.pack(">I", 60)
        + b"\x12" + text
        + b"\x13\x00\x1e"
        + b"\x21\x00\x14"
        + b"\x24\x01"
        + b"\x25\x00"
        + b"\x26" + text + text
        + b"\x27" + struct.pack(">I", 20480)
        + b"\x28\x00"
        + b"\x2a\x00"
    )  # fmt: skip
    with answering(connack(properties=properties)) as settings:
        found = ask_broker(settings)
    assert found == BrokerFeatures(0, 1, False, False, False, 20, 20480, 60)


def test_a_good_broker_is_well() -> None:
    with answering(connack()) as settings:
        assert not has_failed(list(check_broker(settings)))


@pytest.mark.parametrize(
    ("properties", "name", "level"),
    [
        (b"\x24\x00", "broker-qos", "fail"),
        (b"\x25\x00", "broker-retain", "fail"),
        (b"\x28\x00", "broker-wildcards", "fail"),
        (b"\x27" + struct.pack(">I", 20_000), "broker-packets", "fail"),
        (b"\x11" + struct.pack(">I", 60), "broker-sessions", "warn"),
    ],
)
def test_what_a_broker_lacks_is_named(properties: bytes, name: str, level: str) -> None:
    with answering(connack(properties=properties)) as settings:
        found = wrong(check_broker(settings))
    assert [(check.name, check.level) for check in found] == [(name, level)]
    assert found[0].mend


@pytest.mark.parametrize(("reason", "word"), [(0x86, "password"), (0x87, "authorised"), (0xFE, "0xfe")])
def test_a_broker_that_refuses_says_why(reason: int, word: str) -> None:
    with answering(connack(reason)) as settings:
        (found,) = list(check_broker(settings))
    assert found.level == "fail"
    assert word in found.found


def test_nobody_there_is_a_failure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    (found,) = list(check_broker(ConnectionSettings(url=f"mqtt://127.0.0.1:{port}")))
    assert (found.level, "cannot be reached" in found.found) == ("fail", True)


@given(st.binary(max_size=64))
def test_whatever_answers_is_read_or_refused(data: bytes) -> None:
    position = 0

    def read(size: int) -> bytes:
        nonlocal position
        if position + size > len(data):
            raise MalformedError("it hung up")
        position += size
        return data[position - size : position]

    with suppress(MalformedError):
        connack_module._connack_untrusted(read)


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x20\x02\x00\x00"[:2], b"\x20\xff\xff\xff\x7f"]
)
def test_what_is_no_broker_is_a_transport_error(answer: bytes) -> None:
    with answering(answer) as settings, pytest.raises(TransportError):
        ask_broker(settings)


def test_mqtt_3_is_told_from_mqtt_5() -> None:
    with answering(b"\x20\x02\x00\x01") as settings:
        assert ask_broker(settings).refusal is not None
