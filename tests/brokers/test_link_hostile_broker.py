"""The link against a broker that refuses, lacks, forgets, or sends what it must not."""

import threading
import time
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from broker.link import Link
from protocol.errors import TransportError
from protocol.party import Delivery, Event, Publication
from tests.support.fake_broker import (
    DISCONNECT,
    PUBACK,
    PUBLISH,
    FakeBroker,
    Packet,
    Peer,
    connack,
    packet,
    puback,
    publish,
    response_topic,
)
from tests.support.link_parties import Recorder, background, eventually, say, settings, threaded

RECEIVE_MAXIMUM, MAXIMUM_PACKET_SIZE = b"\x21", b"\x27"


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


def test_the_receive_maximum_of_the_broker_is_kept() -> None:
    seen: list[Packet] = []

    def script(peer: Peer) -> None:
        peer.accept(RECEIVE_MAXIMUM + b"\x00\x03")
        for _ in range(3):
            seen.append(peer.next(PUBLISH))
        peer.connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            peer.next(PUBLISH)
        peer.connection.settimeout(5)
        peer.send(puback(seen[0].publish_identifier))
        seen.append(peer.next(PUBLISH))
        peer.send(*(puback(sent.publish_identifier) for sent in seen[1:]))
        peer.hold()

    with FakeBroker(script) as broker, threaded(Recorder("p"), broker.url) as link:
        link.submit(lambda _p, _n: [Publication("t", b"%d" % number) for number in range(4)])
        eventually(lambda: len(seen) == 4)
    assert [sent.payload for sent in seen] == [b"0", b"1", b"2", b"3"]


@pytest.mark.parametrize("remembers", [True, False])
@pytest.mark.parametrize("second_window", [20, 2])
def test_what_was_not_acknowledged_is_sent_again_first_and_in_order(remembers: bool, second_window: int) -> None:
    """Whether or not the broker has the session, and when it allows less than before."""
    first: list[bytes] = []
    second: list[bytes] = []

    def breaks(peer: Peer) -> None:
        peer.accept()
        for _ in range(5):
            sent = peer.next(PUBLISH)
            first.append(sent.payload)
            if sent.payload == b"1":
                peer.send(puback(sent.publish_identifier))

    def works(peer: Peer) -> None:
        peer.accept(RECEIVE_MAXIMUM + second_window.to_bytes(2), session_present=remembers)
        while True:
            sent = peer.next(PUBLISH)
            second.append(sent.payload)
            peer.send(puback(sent.publish_identifier))

    party = Recorder("p")
    with FakeBroker(breaks, works) as broker, threaded(party, broker.url, max_in_flight=4) as link:
        link.submit(lambda _p, _n: [Publication("t", b"%d" % number) for number in range(12)])
        eventually(lambda: second[-1:] == [b"11"])
    assert first == [b"0", b"1", b"2", b"3", b"4"]
    assert second == [b"%d" % number for number in range(12) if number != 1]


def test_a_publication_in_flight_that_the_next_broker_cannot_take_does_not_block_the_others() -> None:
    second: list[bytes] = []

    def breaks(peer: Peer) -> None:
        peer.accept()
        for _ in range(2):
            peer.next(PUBLISH)

    def works(peer: Peer) -> None:
        peer.accept(MAXIMUM_PACKET_SIZE + (200).to_bytes(4))
        while True:
            sent = peer.next(PUBLISH)
            second.append(sent.payload)
            peer.send(puback(sent.publish_identifier))

    party = Recorder("p")
    with FakeBroker(breaks, works) as broker, threaded(party, broker.url) as link:
        link.submit(lambda _p, _n: [Publication("t", bytes(300)), Publication("t", b"small")])
        eventually(lambda: second)
    assert second == [b"small"]
    assert party.notes("publication-oversized") == [{"topic": "t", "size": 309, "limit": 200}]


def test_a_publication_the_broker_refuses_is_noted() -> None:
    def script(peer: Peer) -> None:
        peer.accept()
        peer.send(puback(peer.next(PUBLISH).publish_identifier, 0x87))
        peer.hold()

    party = Recorder("p")
    with FakeBroker(script) as broker, threaded(party, broker.url) as link:
        link.submit(say("not/mine"))
        eventually(lambda: party.notes("publication-refused"))
    assert party.notes("publication-refused") == [{"topic": "not/mine", "why": "Not authorized"}]


def test_a_delivery_is_acknowledged_after_its_answers_were_sent() -> None:
    order: list[int] = []

    def script(peer: Peer) -> None:
        peer.accept(RECEIVE_MAXIMUM + b"\x00\x01")
        peer.send(publish(b"q", b"1", 7, properties=response_topic(b"a")))
        first = peer.next(PUBLISH)
        order.append(first.kind)
        peer.connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            peer.next(PUBACK)
        peer.connection.settimeout(5)
        peer.send(puback(first.publish_identifier))
        second = peer.read()
        third = peer.read()
        order.extend([second.kind, third.kind, third.identifier])
        peer.send(puback(second.publish_identifier))
        peer.hold()

    class Twice(Recorder):
        def receive(self, delivery: Delivery, now: float) -> Sequence[Event]:
            return [*super().receive(delivery, now), Publication("b", b"second answer")]

    with FakeBroker(script) as broker, threaded(Twice("p", "q"), broker.url):
        eventually(lambda: len(order) == 4)
    assert order == [PUBLISH, PUBLISH, PUBACK, 7]


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
        peer.send(bad)
        peer.hold()

    def honest(peer: Peer) -> None:
        peer.accept()
        peer.send(publish(b"q", b"good", 6))
        peer.hold()

    party = Recorder("p", "q")
    with FakeBroker(hostile, honest) as broker, threaded(party, broker.url):
        # Well before the hostile broker gives up.
        eventually(lambda: party.heard, seconds=3)
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


def test_stopping_ends_although_the_broker_acknowledges_nothing() -> None:
    def script(peer: Peer) -> None:
        peer.accept()
        peer.hold()

    party = Recorder("p")
    with FakeBroker(script) as broker:
        link = threaded(party, broker.url, flush_timeout=0.3)
        link.start()
        link.submit(say("t"))
        began = time.monotonic()
        link.stop()
    assert 0.25 < time.monotonic() - began < 3
    assert party.notes("left-unsent") == [{"publications": 1}]


@pytest.mark.slow
def test_goodbye_is_heard_although_unread_messages_wait() -> None:
    """Closing a socket with unread bytes resets the connection, which a broker may take for a crash."""
    heard: list[bytes] = []

    def script(peer: Peer) -> None:
        peer.accept()
        waiting = threading.Thread(target=lambda: peer.send(*[publish(b"q", bytes(1000), 9)] * 100))
        waiting.start()
        peer.next(DISCONNECT)
        waiting.join()
        time.sleep(0.1)
        heard.append(peer.connection.recv(1))

    class Slow(Recorder):
        def receive(self, delivery: Delivery, now: float) -> Sequence[Event]:
            self.heard.append(delivery)
            link.link.stop()
            time.sleep(0.1)
            return []

    party = Slow("p", "q")
    with FakeBroker(script) as broker:
        link = threaded(party, broker.url)
        link.start()
        eventually(lambda: heard)
        link.stop()
    assert heard == [b""]
    assert len(party.heard) < 100


def test_what_comes_after_the_farewell_is_kept_by_the_broker_for_the_next_start() -> None:
    acknowledged: list[Packet] = []

    def script(peer: Peer) -> None:
        peer.accept()
        farewell = peer.next(PUBLISH)
        peer.send(publish(b"q", b"late", 5), puback(farewell.publish_identifier))
        acknowledged.append(peer.next(PUBACK))

    party = Recorder("p", "q")
    party.farewell = [Publication("t", b"bye")]
    with FakeBroker(script) as broker, threaded(party, broker.url):
        pass
    assert (party.heard, acknowledged, broker.connections) == ([], [], 1)


def test_an_acknowledgement_never_reaches_another_connection() -> None:
    """There, the same packet identifier belongs to another message, which would be lost."""
    second: list[Packet] = []

    def breaks(peer: Peer) -> None:
        peer.accept(RECEIVE_MAXIMUM + b"\x00\x01")
        peer.send(publish(b"q", b"1", 7, properties=response_topic(b"a")))
        peer.next(PUBLISH)

    def works(peer: Peer) -> None:
        peer.accept(RECEIVE_MAXIMUM + b"\x00\x01", session_present=True)
        while True:
            read = peer.read()
            second.append(read)
            if read.kind == PUBLISH:
                peer.send(puback(read.publish_identifier))

    class Twice(Recorder):
        def receive(self, delivery: Delivery, now: float) -> Sequence[Event]:
            return [*super().receive(delivery, now), Publication("b", b"second answer")]

    with FakeBroker(breaks, works) as broker, threaded(Twice("p", "q"), broker.url) as link:
        eventually(lambda: len([read for read in second if read.kind == PUBLISH]) == 2)
        link.submit(say("t"))
        eventually(lambda: len([read for read in second if read.kind == PUBLISH]) == 3)
    assert PUBACK not in [read.kind for read in second]


def test_a_connection_in_use_outlives_the_connect_timeout() -> None:
    def script(peer: Peer) -> None:
        peer.accept()
        peer.hold()

    party = Recorder("p")
    with FakeBroker(script) as broker, threaded(party, broker.url, connect_timeout=0.1):
        time.sleep(0.3)
        assert party.notes("disconnected") == []


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
@hypothesis_settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
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
