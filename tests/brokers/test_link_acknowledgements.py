"""What the link and a broker owe each other: windows, order, what is sent again, what is said at the end."""

import threading
import time
from collections.abc import Sequence

import pytest

from protocol.party import Delivery, Event, Publication
from tests.support.fake_broker import (
    DISCONNECT,
    PUBACK,
    PUBLISH,
    FakeBroker,
    Packet,
    Peer,
    puback,
    publish,
    response_topic,
)
from tests.support.link_parties import Recorder, eventually, say, threaded

RECEIVE_MAXIMUM, MAXIMUM_PACKET_SIZE = b"\x21", b"\x27"


class Twice(Recorder):
    """Says one thing more to all that comes."""

    def receive(self, delivery: Delivery, now: float) -> Sequence[Event]:
        return [*super().receive(delivery, now), Publication("b", b"second answer")]


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

    with FakeBroker(script) as broker, threaded(Twice("p", "q"), broker.url):
        eventually(lambda: len(order) == 4)
    assert order == [PUBLISH, PUBLISH, PUBACK, 7]


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

    with FakeBroker(breaks, works) as broker, threaded(Twice("p", "q"), broker.url) as link:
        eventually(lambda: len([read for read in second if read.kind == PUBLISH]) == 2)
        link.submit(say("t"))
        eventually(lambda: len([read for read in second if read.kind == PUBLISH]) == 3)
    assert PUBACK not in [read.kind for read in second]


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
    assert 0.25 < time.monotonic() - began < 30
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
            time.sleep(0.01)
            return []

    party = Slow("p", "q")
    with FakeBroker(script) as broker:
        link = threaded(party, broker.url)
        link.start()
        eventually(lambda: heard)
        link.stop()
    assert heard == [b""]
    assert len(party.heard) < 100
