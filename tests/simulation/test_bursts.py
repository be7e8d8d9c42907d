"""The in-memory broker hands over bursts, where it is told to and the party takes them."""

from collections.abc import Sequence

import pytest

from broker.memory import MemoryBroker
from protocol.party import Delivery, Event, Publication, Subscription


class Hearing:
    """Remembers what it was handed together."""

    def __init__(self, name: str) -> None:
        self.client_id = name
        self.deadline = None
        self.heard: list[list[bytes]] = []

    def will(self, now: float) -> Publication | None:
        return None

    def connected(self, now: float) -> Sequence[Event]:
        return [Subscription("a")]

    def receive(self, delivery: Delivery, now: float) -> Sequence[Event]:
        self.heard.append([delivery.payload])
        return []

    def expire(self, now: float) -> Sequence[Event]:
        return []

    def leaving(self, now: float) -> Sequence[Event]:
        return []


class HearingMany(Hearing):
    def receive_many(self, deliveries: Sequence[Delivery], now: float) -> Sequence[Event]:
        self.heard.append([each.payload for each in deliveries])
        return []


SAID = [b"%d" % each for each in range(40)]


def heard(party: Hearing, most_together: int, seed: int = 3) -> list[list[bytes]]:
    broker = MemoryBroker(seed, most_together=most_together)
    broker.start(party)
    for each in SAID:
        broker.publish(Publication("a", each))
    broker.run()
    return party.heard


@pytest.mark.parametrize("seed", range(5))
def test_bursts_keep_the_order_and_are_no_larger_than_they_may_be(seed: int) -> None:
    bursts = heard(HearingMany("many"), most_together=8, seed=seed)
    assert [each for burst in bursts for each in burst] == SAID
    assert 1 < max(map(len, bursts)) <= 8


def test_one_at_a_time_unless_it_is_told_and_to_parties_that_take_one() -> None:
    alone = [[each] for each in SAID]
    assert heard(HearingMany("many"), most_together=1) == alone
    assert heard(Hearing("one"), most_together=8) == alone


def test_what_is_worth_nothing_any_more_is_in_no_burst() -> None:
    party, broker = HearingMany("many"), MemoryBroker(1, most_together=16)
    broker.start(party)
    broker.cut(party)
    for each in SAID:
        broker.publish(Publication("a", each, expiry=5 if int(each) % 3 == 0 else None))
    broker.advance(10)
    broker.mend(party)
    broker.run()
    assert [each for burst in party.heard for each in burst] == [each for each in SAID if int(each) % 3]


def test_a_burst_that_was_not_acknowledged_comes_again() -> None:
    party, broker = HearingMany("many"), MemoryBroker(1, most_together=16)
    broker.start(party)
    for each in SAID:
        broker.publish(Publication("a", each))
    broker.crash(party, before_acknowledging=True)
    broker.run()
    assert len(party.heard) == 1
    again = HearingMany("many")
    broker.start(again)
    broker.run()
    assert [each for burst in again.heard for each in burst] == SAID
