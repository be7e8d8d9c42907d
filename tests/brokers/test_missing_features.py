"""What a broker's CONNACK says it lacks: worked round, or refused in one line, as docs/brokers.md has it.

For each: what a party's link does, and what `sealedge doctor` says beforehand.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from broker.link import Link
from protocol.errors import TransportError
from protocol.party import Publication
from sealedge.operations.doctor import check_broker
from tests.support.fake_broker import (
    CONNACK,
    CONNECT,
    PUBLISH,
    SUBACK,
    SUBSCRIBE,
    FakeBroker,
    Peer,
    connack,
    packet,
    puback,
    publish,
)
from tests.support.link_parties import Recorder, eventually, settings, threaded

PAGE = (Path(__file__).parents[2] / "docs" / "brokers.md").read_text("utf-8")
PINGREQ, PINGRESP = 12, 13


@dataclass(frozen=True)
class Lack:
    """`properties` of the CONNACK; `refused`: a link's word for it; `level`: of the doctor's line `check`."""

    properties: bytes
    refused: str = ""
    check: str = ""
    level: str = "ok"


LACKS = {
    "QoS 1": Lack(b"\x24\x00", "QoS 1", "broker-qos", "fail"),
    "QoS 2": Lack(b"\x24\x01", check="broker-qos"),
    "retained messages": Lack(b"\x25\x00", "retained messages", "broker-retain", "fail"),
    "wildcard subscriptions": Lack(b"\x28\x00", "wildcard subscriptions", "broker-wildcards", "fail"),
    "shared subscriptions": Lack(b"\x2a\x00"),
    "subscription identifiers": Lack(b"\x29\x00"),
    "topic aliases": Lack(b"\x22\x00\x00"),
    "packets above 64 KiB": Lack(b"\x27\x00\x01\x00\x00", check="broker-packets", level="fail"),
    "Receive Maximum above 1": Lack(b"\x21\x00\x01", check="broker-receive-maximum"),
    "sessions": Lack(b"\x11\x00\x00\x00\x00", check="broker-sessions", level="warn"),
    "sessions of an hour": Lack(b"\x11\x00\x00\x00\x3c", check="broker-sessions", level="warn"),
    "the keep alive asked for": Lack(b"\x13\x00\x05"),
    "the client identifier asked for": Lack(b"\x12\x00\x05other"),
}

REFUSED = {name: lack for name, lack in LACKS.items() if lack.refused}
WORKED_ROUND = {name: lack for name, lack in LACKS.items() if not lack.refused}


def serving(properties: bytes, taken: list[bytes] | None = None) -> Callable[[Peer], None]:
    """An honest broker of one client: grants, takes, echoes what is said on `t`."""

    def script(peer: Peer) -> None:
        peer.accept(properties)
        while True:
            read = peer.read()
            if read.kind == SUBSCRIBE:
                peer.send(packet(SUBACK, read.body[:2] + b"\0\x01"))
            elif read.kind == PUBLISH:
                peer.send(puback(read.publish_identifier), publish(b"t", read.payload, 1))
                if taken is not None:
                    taken.append(read.payload)
            elif read.kind == PINGREQ:
                peer.send(packet(PINGRESP, b""))

    return script


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_needed_is_refused_in_one_line(name: str) -> None:
    with FakeBroker(serving(REFUSED[name].properties)) as broker, pytest.raises(TransportError) as caught:
        Link(Recorder("p"), settings(broker.url, refusal_tries=1)).run()
    assert str(caught.value) == f"the broker {broker.url} lacks {REFUSED[name].refused}"


@pytest.mark.parametrize("name", WORKED_ROUND)
def test_what_is_not_needed_is_done_without(name: str) -> None:
    taken: list[bytes] = []
    said = [b"%d" % number for number in range(5)]
    party = Recorder("p", "t")
    with FakeBroker(serving(WORKED_ROUND[name].properties, taken)) as broker, threaded(party, broker.url) as link:
        link.submit(lambda _party, _now: [Publication("t", each) for each in said])
        eventually(lambda: len(party.heard) == len(said))
        assert broker.connections == 1
    assert taken == party.payloads == said


@pytest.mark.parametrize("name", LACKS)
def test_the_doctor_says_so_before(name: str) -> None:
    lack = LACKS[name]
    with FakeBroker(serving(lack.properties)) as broker:
        checks = {check.name: check for check in check_broker(settings(broker.url))}
    assert checks["broker"].level == "ok"
    expected = [] if lack.level == "ok" else [lack.check]
    assert [each.name for each in checks.values() if each.level != "ok"] == expected
    if lack.check:
        assert checks[lack.check].level == lack.level
        assert bool(checks[lack.check].mend) == (lack.level != "ok")


@pytest.mark.parametrize("name", LACKS)
def test_the_page_has_a_line_for_it(name: str) -> None:
    row = re.search(rf"^\| {re.escape(name)} \| (.+?) \| (.+?) \|$", PAGE, re.MULTILINE)
    assert row is not None
    assert row[1].startswith("refused") == bool(LACKS[name].refused)
    assert row[2].startswith(LACKS[name].level)


def test_the_brokers_keep_alive_is_kept() -> None:
    """[MQTT-3.2.2-21]"""
    heard: list[float] = []

    def script(peer: Peer) -> None:
        peer.accept(b"\x13\x00\x01")
        began = time.monotonic()
        peer.next(PINGREQ)
        heard.append(time.monotonic() - began)
        peer.hold()

    with FakeBroker(script) as broker, threaded(Recorder("p"), broker.url, keepalive=60):
        eventually(lambda: heard, seconds=10)
    assert heard[0] < 5


OLD = {
    "MQTT 3's refusal": packet(CONNACK, b"\0\x01"),
    "MQTT 5's refusal": connack(0x84),
    "a hang-up": b"",
}


def answering_once(answer: bytes) -> Callable[[Peer], None]:
    def script(peer: Peer) -> None:
        peer.next(CONNECT)
        if answer:
            peer.send(answer)

    return script


@pytest.mark.parametrize("how", OLD)
def test_a_broker_of_an_older_mqtt_is_one_clear_line(how: str) -> None:
    with FakeBroker(answering_once(OLD[how])) as broker:
        with pytest.raises(TransportError) as caught:
            Link(Recorder("p"), settings(broker.url, refusal_tries=1, network_tries=2)).run()
        said = list(check_broker(settings(broker.url)))
    line = str(caught.value)
    assert "\n" not in line
    assert "does it speak MQTT 5" in line if how == "a hang-up" else "Unsupported protocol version" in line
    assert [check.level for check in said] == ["fail"]
    assert "MQTT 5" in said[0].found
