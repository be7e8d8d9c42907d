"""The link against a broker that will not have it, lacks what is needed, does not answer, or goes away."""

import time

import pytest

from broker.link import Link
from protocol.errors import TransportError
from tests.support.fake_broker import (
    DISCONNECT,
    FakeBroker,
    Peer,
    connack,
    packet,
)
from tests.support.link_parties import Recorder, background, eventually, settings, threaded


def ending(broker: FakeBroker, party: Recorder, **changed: object) -> TransportError:
    """What ends a link to a broker that will not have it."""
    with pytest.raises(TransportError) as caught:
        Link(party, settings(broker.url, **changed), listener=party.note, strict=True).run()
    assert "\n" not in caught.value.diagnostics
    return caught.value


def refuse(reason: int, properties: bytes = b"") -> FakeBroker:
    def script(peer: Peer) -> None:
        peer.next(1)
        peer.send(connack(reason, properties))
        peer.hold()

    return FakeBroker(script)


@pytest.mark.parametrize(
    ("reason", "word"),
    [(0x86, "Bad user name or password"), (0x87, "Not authorized"), (0x85, "Client identifier not valid")],
)
def test_a_refusal_that_only_a_person_can_lift_ends_after_a_few_tries(reason: int, word: str) -> None:
    with refuse(reason) as broker:
        error = ending(broker, Recorder("p"))
    assert str(error) == f"the broker {broker.url} refuses the connection: {word}"
    assert broker.connections == 3


def test_a_refusal_that_may_pass_is_a_network_fault() -> None:
    party = Recorder("p")
    with refuse(0x89) as broker, background(Link(party, settings(broker.url), listener=party.note)) as ended:
        eventually(lambda: broker.connections > 4)
        assert not ended


def test_the_reason_string_of_the_broker_is_escaped() -> None:
    with refuse(0x87, b"\x1f\x00\x05a\nb\x1b[") as broker:
        error = ending(broker, Recorder("p"))
    assert str(error).endswith(r"Not authorized: a\nb\x1b[")


@pytest.mark.parametrize(
    ("properties", "word"),
    [
        (b"\x24\x00", "QoS 1"),
        (b"\x25\x00", "retained messages"),
        (b"\x28\x00", "wildcard subscriptions"),
        (b"\x24\x00\x25\x00\x28\x00", "QoS 1 and retained messages and wildcard subscriptions"),
    ],
)
def test_what_a_broker_lacks_is_named(properties: bytes, word: str) -> None:
    def script(peer: Peer) -> None:
        peer.accept(properties)
        peer.hold()

    with FakeBroker(script) as broker:
        assert str(ending(broker, Recorder("p"), refusal_tries=1)) == f"the broker {broker.url} lacks {word}"


@pytest.mark.slow
def test_a_broker_that_never_answers_is_left() -> None:
    party = Recorder("p")
    with FakeBroker(Peer.hold) as broker:
        error = ending(broker, party, connect_timeout=0.1, network_tries=2)
    assert str(error) == "the broker does not answer"
    assert broker.connections == 2


def test_a_broker_that_says_goodbye_is_quoted() -> None:
    def script(peer: Peer) -> None:
        peer.accept()
        peer.send(packet(DISCONNECT, b"\x8e\x00"))
        peer.hold()

    party = Recorder("p")
    with FakeBroker(script) as broker, threaded(party, broker.url):
        eventually(lambda: party.notes("disconnected"))
    assert party.notes("disconnected")[0]["why"] == "the broker said: Session taken over"


def test_a_connection_in_use_outlives_the_connect_timeout() -> None:
    def script(peer: Peer) -> None:
        peer.accept()
        peer.hold()

    party = Recorder("p")
    with FakeBroker(script) as broker, threaded(party, broker.url, connect_timeout=0.1):
        time.sleep(0.3)
        assert party.notes("disconnected") == []
