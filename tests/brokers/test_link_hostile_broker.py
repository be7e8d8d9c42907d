"""The link against a broker that sends what it must not, and a party that fails: the link goes on."""

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from broker.link import Link
from protocol.party import Delivery, Event
from tests.support.examples import examples
from tests.support.fake_broker import (
    PUBACK,
    PUBLISH,
    FakeBroker,
    Peer,
    connack,
    packet,
    publish,
    response_topic,
)
from tests.support.link_parties import Recorder, background, eventually, settings, threaded


@pytest.mark.parametrize(
    "bad",
    [
        publish(b"q", b"x", 5, properties=response_topic("\ufeffreplies".encode())),
        publish(b"q", b"x", 5, properties=response_topic(b"\xff\xfe")),
        publish(b"q", b"x", 5, properties=b"\x7f"),
        publish(b"\xff\xff", b"x", 5),
    ],
    ids=["byte-order-mark", "not-utf-8", "unknown-property", "topic-not-utf-8"],
)
def test_a_message_that_cannot_be_read_is_acknowledged_and_others_pass(bad: bytes) -> None:
    """Unacknowledged, the broker would send it again after every reconnect: one stranger could cut a party off."""
    acknowledged: list[int] = []

    def script(peer: Peer) -> None:
        peer.accept()
        peer.send(bad, publish(b"q", b"good", 6))
        for _ in range(2):
            acknowledged.append(peer.next(PUBACK).identifier)
        peer.hold()

    party = Recorder("p", "q")
    with FakeBroker(script) as broker, threaded(party, broker.url):
        eventually(lambda: len(acknowledged) == 2)
    assert (acknowledged, party.payloads, broker.connections) == ([5, 6], [b"good"], 1)
    assert party.notes("delivery-unreadable")


@pytest.mark.parametrize(
    "bad",
    [
        b"\x32\xff\xff\xff\x7f" + bytes(1000),
        publish(b"q", b"x", 5, qos=2),
        publish(b"q", b"x", 5, qos=3),
        packet(PUBLISH, b"\x00", flags=2),
        b"\x30\xff\xff\xff\xff\x01",
        packet(15, b""),
        packet(0, b""),
    ],
    ids=["256-MiB", "qos-2", "qos-3", "too-short", "bad-length", "auth", "reserved"],
)
def test_what_no_broker_may_send_ends_the_connection_and_not_the_link(bad: bytes) -> None:
    def hostile(peer: Peer) -> None:
        peer.accept()
        peer.connection.settimeout(60)
        peer.send(bad)
        peer.hold()

    def honest(peer: Peer) -> None:
        peer.accept()
        peer.send(publish(b"q", b"good", 6))
        peer.hold()

    party = Recorder("p", "q")
    with FakeBroker(hostile, honest) as broker, threaded(party, broker.url):
        # Well before the hostile broker gives up.
        eventually(lambda: party.heard)
    assert party.payloads == [b"good"]


def test_what_comes_before_the_connack_reaches_no_party() -> None:
    def script(peer: Peer) -> None:
        peer.next(1)
        peer.send(publish(b"q", b"early", 3), connack(), publish(b"q", b"good", 4))
        peer.hold()

    party = Recorder("p", "q")
    with FakeBroker(script) as broker, threaded(party, broker.url):
        eventually(lambda: party.heard)
    assert party.payloads == [b"good"]


def test_an_exception_of_the_party_is_counted_and_the_delivery_acknowledged() -> None:
    acknowledged: list[int] = []

    def script(peer: Peer) -> None:
        peer.accept()
        peer.send(publish(b"q", b"secret bytes", 5), publish(b"q", b"good", 6))
        for _ in range(2):
            acknowledged.append(peer.next(PUBACK).identifier)
        peer.hold()

    class Broken(Recorder):
        def receive(self, delivery: Delivery, now: float) -> Sequence[Event]:
            if delivery.payload != b"good":
                raise ValueError(delivery.payload)
            return super().receive(delivery, now)

    party = Broken("p", "q")
    with FakeBroker(script) as broker:
        link = Link(party, settings(broker.url), listener=party.note)
        with background(link):
            eventually(lambda: len(acknowledged) == 2)
    assert (acknowledged, party.payloads, link.failures) == ([5, 6], [b"good"], 1)
    assert party.notes("party-failed") == [{"during": "receive", "error": "ValueError"}]
    assert "secret" not in str(party.noted)


@pytest.mark.slow
@given(noise=st.lists(st.binary(max_size=40), min_size=1, max_size=20), valid=st.booleans())
@hypothesis_settings(max_examples=examples(15), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_noise_never_ends_the_link(noise: list[bytes], valid: bool) -> None:
    scripts = iter(noise)

    def hostile(peer: Peer) -> None:
        peer.next(1)
        bad = next(scripts, None)
        if bad is None:
            peer.send(connack(), publish(b"q", b"good", 6))
            peer.hold()
            return
        peer.send(connack() if valid else b"", bad)

    party = Recorder("p", "q")
    with FakeBroker(hostile) as broker:
        link = Link(
            party, settings(broker.url, retry_first=0.001, retry_longest=0.002, refusal_tries=None), strict=True
        )
        with background(link) as ended:
            eventually(lambda: b"good" in party.payloads)
            assert not ended
