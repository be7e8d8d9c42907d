"""A party whose store fails stops, and acknowledges nothing of what it could not write (P12)."""

from collections.abc import Sequence
from contextlib import suppress

import pytest

from broker.embedded import Embedded
from broker.link import Link
from broker.process import run
from broker.threaded import ThreadedLink
from protocol.errors import StoreError, TransportError
from protocol.party import Delivery, Event, Publication
from tests.support.fake_broker import PUBACK, FakeBroker, Peer, publish
from tests.support.link_parties import Recorder, eventually, say, settings, threaded


class Failing(Recorder):
    """Cannot write what says so."""

    works = False

    def receive(self, delivery: Delivery, now: float) -> Sequence[Event]:
        if delivery.payload == b"write this" and not self.works:
            raise StoreError("/disk: no space left on device")
        return super().receive(delivery, now)


def test_the_delivery_is_not_acknowledged_and_the_process_ends_with_one_line(caplog: pytest.LogCaptureFixture) -> None:
    said: list[tuple[int, int]] = []

    def script(peer: Peer) -> None:
        peer.accept()
        peer.send(publish(b"q", b"good", 5))
        said.append((PUBACK, peer.next(PUBACK).identifier))
        # Only now: the link ends its connection with a reset, which would take an acknowledgement under way with it.
        peer.send(publish(b"q", b"write this", 6), publish(b"q", b"good", 7))
        with suppress(OSError, EOFError):
            said.append((PUBACK, peer.next(PUBACK).identifier))

    party = Failing("p", "q")
    with FakeBroker(script) as broker:
        status = run(Link(party, settings(broker.url), listener=party.note))
    assert status == 1
    assert said == [(PUBACK, 5)]
    assert party.payloads == [b"good"]
    assert [record.getMessage() for record in caplog.records] == ["store-failed: /disk: no space left on device"]
    assert party.notes("party-failed") == []


@pytest.mark.parametrize("step", ["will", "connected", "expire", "leaving"])
def test_a_store_that_fails_in_any_step_ends_the_link(step: str) -> None:
    def fail(_now: float) -> Sequence[Event]:
        raise StoreError("no space")

    def script(peer: Peer) -> None:
        peer.accept()
        peer.hold()

    party = Recorder("p", "q")
    setattr(party, step, fail)
    party.deadline = 1.0 if step == "expire" else None
    with FakeBroker(script) as broker:
        link = Link(party, settings(broker.url))
        if step == "leaving":
            link.stop()
        with pytest.raises(StoreError):
            link.run()
    assert link.failures == 0


def test_what_was_not_acknowledged_comes_again_after_a_restart(shared_broker: Embedded) -> None:
    failing, speaker = Failing("store-p", "store/q"), Recorder("store-speaker")
    with threaded(speaker, shared_broker.url) as speaking:
        stopped = ThreadedLink(failing, settings(shared_broker.url, session_expiry=60), listener=failing.note)
        stopped.start()
        eventually(lambda: failing.notes("connected"))
        stopped.submit(lambda _party, _now: [Publication("store/q", b"good")])
        eventually(lambda: failing.payloads == [b"good"])
        speaking.submit(say("store/q", b"write this"))
        stopped._thread.join(10)
        with pytest.raises(TransportError):
            stopped.submit(say("store/q", b"late"))
        with pytest.raises(StoreError):
            stopped.stop()
        failing.works = True
        with threaded(failing, shared_broker.url, session_expiry=60):
            eventually(lambda: b"write this" in failing.payloads)
    assert failing.payloads == [b"good", b"write this"]
