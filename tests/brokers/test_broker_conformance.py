"""`sealedge doctor --broker`: what it finds on both embedded brokers, and that it notices what is missing."""

import json
import os
import socket
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.embedded import Embedded
from broker.settings import ConnectionSettings
from protocol.errors import MalformedError
from sealedge.cli.application import main
from sealedge.operations.broker_conformance import messages, sessions
from sealedge.operations.broker_conformance.client import Client, Heard
from sealedge.operations.broker_conformance.opening import Asked
from sealedge.operations.broker_conformance.properties import (
    CORRELATION,
    MESSAGE_EXPIRY,
    USER,
    Reader,
    packed,
    properties_untrusted,
)
from sealedge.operations.broker_conformance.report import FEATURES, NEEDED, check_conformance
from sealedge.operations.broker_conformance.trial import Trial, Verdict, judged

LACKS = {
    "mosquitto": set[str](),
    "iotcore": {"retained-again", "retained-expiry", "receive-maximum", "maximum-packet", "session-expiry"},
}


@pytest.mark.slow
def test_what_the_embedded_brokers_lack_is_found_and_nothing_else(shared_broker: Embedded) -> None:
    checks = list(check_conformance(ConnectionSettings(url=shared_broker.url), "doctor"))
    assert [check.name for check in checks] == [f"broker-{feature.name}" for feature in FEATURES]
    assert {check.name for check in checks if check.level == "fail"} == set()
    lacks = {check.name.removeprefix("broker-") for check in checks if check.level != "ok"}
    assert lacks == LACKS[shared_broker.kind]
    assert all(check.mend for check in checks if check.level != "ok")


@pytest.mark.slow
def test_the_command_prints_json_and_ends_with_0(mosquitto: Embedded, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--broker", mosquitto.url, "--json"])
    printed = json.loads(capfd.readouterr().out)
    assert ended.value.code in (0, None)
    assert not printed["failed"]
    assert {"broker-will-delay", "broker-payload-1024k"} <= {check["name"] for check in printed["checks"]}


@pytest.mark.parametrize("wrong", [["--broker", "http://x"], ["--broker", "mqtt://"], ["--other", "operator.toml"]])
def test_unusable_input_ends_with_2(wrong: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["doctor", *wrong])
    assert ended.value.code == 2


def test_a_broker_that_is_away_ends_with_1() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--broker", f"mqtt://127.0.0.1:{port}"])
    assert ended.value.code == 1


# What is missing is noticed: a client that stands for a broker without it.


def altered(monkeypatch: pytest.MonkeyPatch, change: Callable[[Heard], Heard | None]) -> None:
    """All clients hear what a worse broker would have delivered."""
    hear = Client.hear

    def worse(self: Client, seconds: float = 1.0) -> Heard | None:
        heard = hear(self, min(seconds, 1.0))
        return None if heard is None else change(heard)

    monkeypatch.setattr(Client, "hear", worse)


def without(identifier: int) -> Callable[[Heard], Heard]:
    def change(heard: Heard) -> Heard:
        kept = tuple(each for each in heard.properties if each[0] != identifier)
        return Heard(heard.topic, heard.payload, heard.identifier, heard.retained, heard.duplicate, kept)

    return change


def unflagged(heard: Heard) -> Heard:
    return Heard(heard.topic, heard.payload, heard.identifier, False, heard.duplicate, heard.properties)


def cut(heard: Heard) -> Heard:
    return Heard(heard.topic, heard.payload[:-1], heard.identifier, heard.retained, heard.duplicate, heard.properties)


WORSE: dict[str, tuple[Callable[[Heard], Heard | None], Callable[[Trial], Verdict], str]] = {
    "no correlation": (without(CORRELATION), messages.properties_arrive, "lost: correlation data"),
    "no expiry": (without(MESSAGE_EXPIRY), messages.properties_arrive, "lost: message expiry"),
    "no user properties": (without(USER), messages.user_properties_arrive, "0 of 3"),
    "nothing": (lambda heard: None, messages.properties_arrive, "not delivered"),
    "nothing for who comes later": (lambda heard: None, messages.retained_keeps_its_time, "0 of 5"),
    "no retained": (unflagged, messages.retained_is_kept, "as retained"),
    "no retained wildcards": (lambda heard: None, messages.retained_matches_wildcards, "gets nothing that is retained"),
    "cut payloads": (cut, messages.payload_of(messages.SIZES[0]), "do not arrive"),
    "no will": (lambda heard: None, sessions.will_is_published, "nothing comes"),
    "no queue": (lambda heard: None, sessions.session_is_resumed, "of 20 messages 0"),
    "no redelivery": (lambda heard: None, sessions.unacknowledged_comes_again, "does not come"),
    "no members": (lambda heard: None, sessions.shared_is_divided, "delivered 0 times"),
    "no wildcards": (lambda heard: None, messages.wildcards_match, "gets nothing"),
}


@pytest.mark.parametrize("name", WORSE)
def test_what_a_broker_does_not_do_is_noticed(name: str, mosquitto: Embedded, monkeypatch: pytest.MonkeyPatch) -> None:
    change, try_out, said = WORSE[name]
    altered(monkeypatch, change)
    with Trial.open(ConnectionSettings(url=mosquitto.url), "doctor", os.urandom) as trial:
        verdict = judged(try_out, trial)
    assert not verdict.holds
    assert said in verdict.found


@pytest.mark.parametrize("answer", [b"", b"\x20\x03\x00\x87\x00", b"\x20\xff\xff\xff\xff", b"\xe0\x00", b"HTTP/1.1"])
def test_every_trial_ends_in_a_verdict_whatever_answers(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)

        def serve() -> None:
            for _ in FEATURES:
                connection, _ = server.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        settings = ConnectionSettings(url=f"mqtt://127.0.0.1:{server.getsockname()[1]}")
        with Trial.open(settings, "doctor", os.urandom) as trial:
            verdicts = [judged(feature.trial, trial) for feature in FEATURES]
        thread.join()
    assert not any(verdict.holds for verdict in verdicts)


def test_a_broker_that_sends_without_end_is_left() -> None:
    flood = b"\xd0\x00" * 65_536
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection, suppress(OSError):
                connection.sendall(b"\x20\x03\x00\x00\x00")
                while True:
                    connection.sendall(flood)

        thread = threading.Thread(target=serve)
        thread.start()
        client = Client(ConnectionSettings(url=f"mqtt://127.0.0.1:{server.getsockname()[1]}"), "c", Asked())
        with pytest.raises(MalformedError, match="more than anybody asked for"):
            client.hear()
        client.vanish()
        thread.join()


@given(st.integers(0x30, 0x3D), st.binary(max_size=64))
def test_any_publish_is_heard_or_malformed(first: int, body: bytes) -> None:
    client = Client.__new__(Client)
    client.acknowledges = False
    client._heard = deque()
    with suppress(MalformedError):
        client._take_untrusted(first, body)
        assert len(client._heard) == 1


def test_an_account_that_may_not_talk_fails_in_one_line(mosquitto: Embedded, monkeypatch: pytest.MonkeyPatch) -> None:
    altered(monkeypatch, lambda heard: None)
    (check,) = list(check_conformance(ConnectionSettings(url=mosquitto.url), "doctor"))
    assert (check.name, check.level) == ("broker-talk", "fail")
    assert "operator" in check.mend


def test_what_every_fleet_sends_is_needed() -> None:
    assert {each.name for each in FEATURES if each.kind == NEEDED} == {
        "properties",
        "wildcard-filters",
        "retained",
        "payload-128k",
    }


VALUES = st.one_of(
    st.tuples(st.just(MESSAGE_EXPIRY), st.integers(0, 2**32 - 1)),
    st.tuples(st.just(CORRELATION), st.binary(max_size=40)),
    st.tuples(st.just(USER), st.tuples(st.binary(max_size=9), st.binary(max_size=9))),
)


@given(st.lists(VALUES, max_size=20))
def test_properties_are_read_as_they_were_written(properties: Any) -> None:
    reader = Reader(packed(properties))
    assert properties_untrusted(reader) == tuple(properties)
    assert reader.is_empty


@given(st.binary(max_size=64))
def test_any_bytes_are_properties_or_malformed(data: bytes) -> None:
    try:
        properties_untrusted(Reader(data))
    except MalformedError:
        return
