"""A party that starts again is sent what is retained, whatever the broker makes of its old session."""

import time
from collections.abc import Sequence

from broker.embedded import Embedded
from broker.settings import ConnectionSettings
from broker.threaded import ThreadedLink
from protocol.party import Delivery, Event, Publication, Subscription


class Listener:
    client_id, deadline = "listener", None

    def __init__(self) -> None:
        self.heard: list[Delivery] = []

    def will(self, now: float) -> Publication | None:
        return None

    def connected(self, now: float) -> Sequence[Event]:
        return [Publication("kept/one", b"retained", retain=True), Subscription("kept/+")]

    def receive(self, delivery: Delivery, now: float) -> Sequence[Event]:
        self.heard.append(delivery)
        return []

    def expire(self, now: float) -> Sequence[Event]:
        return []

    def leaving(self, now: float) -> Sequence[Event]:
        return []


class Again(Listener):
    def connected(self, now: float) -> Sequence[Event]:
        return [Subscription("kept/+")]


def run_until_heard(listener: Listener, url: str) -> list[Delivery]:
    with ThreadedLink(listener, ConnectionSettings(url=url)):
        until = time.monotonic() + 5
        while not listener.heard and time.monotonic() < until:
            time.sleep(0.01)
    return listener.heard


def test_a_restarted_party_hears_what_is_retained_from_iotcore() -> None:
    with Embedded("iotcore") as broker:
        assert run_until_heard(Listener(), broker.url)
        for _ in range(2):
            assert [each.payload for each in run_until_heard(Again(), broker.url)] == [b"retained"]
