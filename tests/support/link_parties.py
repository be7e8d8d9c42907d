"""Small parties for tests of the link, and a watcher that talks to a broker as an outsider."""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from typing import Any

from broker.link import Link
from broker.settings import ConnectionSettings
from broker.threaded import ThreadedLink
from protocol.party import Delivery, Event, Noted, Publication, Subscription


class Recorder:
    """Subscribes; keeps deliveries and notes; answers whatever names a response topic."""

    def __init__(self, client_id: str, *filters: str, will: Publication | None = None) -> None:
        self.client_id = client_id
        self.filters = filters
        self.last_will = will
        self.deadline: float | None = None
        self.heard: list[Delivery] = []
        self.noted: list[Noted] = []
        self.expired: list[float] = []
        self.farewell: list[Event] = []

    def will(self, now: float) -> Publication | None:
        return self.last_will

    def connected(self, now: float) -> Sequence[Event]:
        return [Subscription(wanted) for wanted in self.filters]

    def receive(self, delivery: Delivery, now: float) -> Sequence[Event]:
        self.heard.append(delivery)
        if delivery.response_topic is None:
            return []
        return [Publication(delivery.response_topic, delivery.payload[::-1], correlation=delivery.correlation)]

    def expire(self, now: float) -> Sequence[Event]:
        self.deadline = None
        self.expired.append(now)
        return []

    def leaving(self, now: float) -> Sequence[Event]:
        return self.farewell

    def note(self, event: Event) -> None:
        if isinstance(event, Noted):
            self.noted.append(event)

    @property
    def payloads(self) -> list[bytes]:
        return [delivery.payload for delivery in self.heard]

    def notes(self, what: str) -> list[dict[str, Any]]:
        return [event.detail for event in self.noted if event.what == what]


def eventually(condition: Callable[[], object], seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "did not happen in time"
        time.sleep(0.005)


def settings(url: str, **changed: Any) -> ConnectionSettings:
    quick = {"retry_first": 0.02, "retry_longest": 0.1, "will_delay": 0}
    return ConnectionSettings(url=url, **(quick | changed))


def threaded(party: Recorder, url: str, **changed: Any) -> ThreadedLink:
    return ThreadedLink(party, settings(url, **changed), listener=party.note, strict=True)


@contextmanager
def background(link: Link) -> Any:
    """Run a link that need not connect in a thread; what ended it is in the list."""
    ended: list[BaseException | None] = []

    def run() -> None:
        try:
            link.run()
            ended.append(None)
        except Exception as error:
            ended.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield ended
    finally:
        link.stop()
        link.stop()
        thread.join(10)
        assert not thread.is_alive()


def say(topic: str, payload: bytes = b"x", **fields: Any) -> Callable[[Any, float], Sequence[Event]]:
    return lambda _party, _now: [Publication(topic, payload, **fields)]
