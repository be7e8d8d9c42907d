"""A party that takes many deliveries in one step, over a real broker; deliveries that are worth nothing any more."""

import contextlib
import time
from collections.abc import Sequence

import pytest

from broker.connection import Connection
from broker.embedded import Embedded
from broker.link import MOST_TOGETHER
from broker.records import Arrived
from broker.stepping import Stepping
from protocol.party import Delivery, Event, Publication
from tests.support.link_parties import Recorder, eventually, settings, threaded

COUNT = 300


class Batches(Recorder):
    """Takes what waits together, slowly, so that something waits."""

    def __init__(self, client_id: str, *filters: str) -> None:
        super().__init__(client_id, *filters)
        self.sizes: list[int] = []

    def receive_many(self, deliveries: Sequence[Delivery], now: float) -> Sequence[Event]:
        time.sleep(0.005)
        self.sizes.append(len(deliveries))
        return [event for delivery in deliveries for event in self.receive(delivery, now)]


def test_what_waits_is_taken_together_in_order_and_all_of_it_acknowledged(shared_broker: Embedded) -> None:
    asker, server = Recorder("ba-asker", "ba/replies"), Batches("ba-server", "ba/requests")
    payloads = [number.to_bytes(2, "big") for number in range(COUNT)]
    asked = [Publication("ba/requests", each, response_topic="ba/replies") for each in payloads]
    with threaded(server, shared_broker.url), threaded(asker, shared_broker.url) as link:
        link.submit(lambda _party, _now: asked)
        eventually(lambda: len(asker.heard) == COUNT)
    assert server.payloads == payloads
    assert asker.payloads == [each[::-1] for each in payloads]
    assert 1 < max(server.sizes) <= MOST_TOGETHER


def test_what_a_crash_interrupts_comes_again(mosquitto: Embedded) -> None:
    class Dying(Batches):
        def receive_many(self, deliveries: Sequence[Delivery], now: float) -> Sequence[Event]:
            raise ZeroDivisionError

    asker, dying = Recorder("bc-asker"), Dying("bc-server", "bc/requests")
    link = threaded(dying, mosquitto.url)
    link.start()
    with threaded(asker, mosquitto.url) as asking:
        asking.submit(lambda _party, _now: [Publication("bc/requests", bytes([each])) for each in range(40)])
        eventually(lambda: link.link.failures)
        with contextlib.suppress(ZeroDivisionError):
            link.stop()
        again = Batches("bc-server", "bc/requests")
        with threaded(again, mosquitto.url):
            eventually(lambda: set(again.payloads) | set(dying.payloads) >= {bytes([each]) for each in range(40)})


def test_a_delivery_whose_expiry_passed_while_it_waited_here_is_not_handed_in() -> None:
    party = Recorder("ex")
    using = settings("mqtt://127.0.0.1:1")
    stepping = Stepping(party, Connection("ex", using), using, time.time, party.note, strict=True)
    at = time.monotonic()
    late, timely, for_ever = (Delivery("t", each) for each in (b"late", b"timely", b"for ever"))
    stepping.receive([Arrived(late, 1, at - 0.001), Arrived(timely, 2, at + 60), Arrived(for_ever, 3)])
    assert party.payloads == [b"timely", b"for ever"]
    assert party.notes("delivery-expired") == [{"count": 1}]
    stepping.receive([Arrived(late, 4, at - 0.001)])
    assert len(party.payloads) == 2


def test_a_message_carries_how_long_it_is_worth_something(shared_broker: Embedded) -> None:
    ear, mouth = Recorder("ew-ear", "ew/t"), Recorder("ew-mouth")
    with threaded(ear, shared_broker.url) as hearing, threaded(mouth, shared_broker.url) as link:
        seen: list[Arrived] = []
        receive = hearing.link._stepping.receive
        hearing.link._stepping.receive = lambda records: (seen.extend(records), receive(records))[1]  # type: ignore[method-assign]
        link.submit(lambda _p, _n: [Publication("ew/t", b"1", expiry=30), Publication("ew/t", b"2")])
        eventually(lambda: len(ear.heard) == 2)
    left = seen[0].useless_at
    assert left is not None
    assert 20 < left - time.monotonic() <= 30
    assert seen[1].useless_at is None


@pytest.mark.slow
def test_acknowledgements_do_not_wait_for_a_full_window(shared_broker: Embedded) -> None:
    """iotcore takes nothing more from a client that owes it too many: both would wait for each other for ever."""
    asker, server = Recorder("bw-asker", "bw/replies"), Batches("bw-server", "bw/requests")
    asked = [Publication("bw/requests", bytes([n]), response_topic="bw/replies") for n in range(256)] * 2
    with threaded(server, shared_broker.url, max_in_flight=2), threaded(asker, shared_broker.url) as link:
        link.submit(lambda _party, _now: asked)
        eventually(lambda: len(asker.heard) == len(asked))
