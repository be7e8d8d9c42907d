"""Parties of both targets, and attackers: each has a link in a thread, and what happens to it can be waited for."""

import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final, Self, TypeGuard

from broker.link import Link
from broker.notes import Note
from broker.settings import ConnectionSettings
from protocol.errors import TransportError
from protocol.party import Delivery, Event, Noted, Party, Publication, Subscription

START_SECONDS: Final = 30.0
ANSWER_SECONDS: Final = 10.0

Wanted = Callable[[Event], bool]
Builder = Callable[[ExitStack], Party]


class ShiftedClock:
    """The wall clock, moved on by hand: a lease of minutes ends at once."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        """Seconds since the epoch."""
        return time.time() + self.ahead


class Actor:
    """A party and its link. `build` makes the party in the link's own thread; what it opens closes with the thread."""

    def __init__(self, build: Builder, settings: ConnectionSettings, clock: Callable[[], float]) -> None:
        self._build, self._settings, self._clock = build, settings, clock
        self._changed = threading.Condition()
        self._events: list[Event] = []
        self._link: Link | None = None
        self._error: Exception | None = None
        self._is_over = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.party: Any = None

    def start(self) -> Self:
        """Connect. Raises what building raises, `TransportError` where the broker is out of reach."""
        self._thread.start()
        if self.wait(lambda event: isinstance(event, Noted) and event.what == Note.CONNECTED, 0, START_SECONDS) is None:
            self.stop()
            raise self._error or TransportError("an actor of the attack did not connect")
        return self

    def stop(self) -> None:
        """Leave in order. Does nothing where it was never started."""
        self._is_over = True
        if self._link is not None:
            self._link.stop()
        if self._thread.ident is not None:
            self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_about_the_block: object) -> None:
        self.stop()

    def do(self, act: Callable[[Any, float], Sequence[Event]]) -> None:
        """Call `act(party, now)` in the link's thread, and do what its events ask."""
        if self._link is None:
            raise TransportError("an actor of the attack has ended")
        self._link.submit(act).result(ANSWER_SECONDS)

    # What happened

    def mark(self) -> int:
        """A point in what happened, for `wait` and `since`."""
        return len(self._events)

    def since(self, mark: int) -> list[Event]:
        """What happened after a mark."""
        return self._events[mark:]

    def wait(self, wanted: Wanted, mark: int, seconds: float = ANSWER_SECONDS) -> Event | None:
        """The first event after a mark that is wanted; None where none comes in time."""
        until = time.monotonic() + seconds
        at = mark
        with self._changed:
            while True:
                for event in self._events[at:]:
                    if wanted(event):
                        return event
                at = len(self._events)
                left = until - time.monotonic()
                if left <= 0 or self._error is not None:
                    return None
                self._changed.wait(left)

    def refused(self, mark: int, topic: str = "", seconds: float = ANSWER_SECONDS) -> str | None:
        """The reason of its first refusal after a mark, of what came on a topic that contains this; None: none came."""

        def wanted(event: Event) -> bool:
            return isinstance(event, Noted) and event.what == "refused" and topic in str(event.detail["topic"])

        event = self.wait(wanted, mark, seconds)
        return str(event.detail["reason"]) if isinstance(event, Noted) else None

    def _run(self) -> None:
        with ExitStack() as closing:
            try:
                self.party = self._build(closing)
                self._link = Link(self.party, self._settings, clock=self._clock, listener=self._heard)
                if not self._is_over:
                    self._link.run()
            except Exception as error:
                # Kept for whoever waits: a thread has nobody to raise it to.
                with self._changed:
                    self._error = error
                    self._changed.notify_all()

    def _heard(self, event: Event) -> None:
        with self._changed:
            self._events.append(event)
            self._changed.notify_all()


def is_noted(event: Event, what: str) -> TypeGuard[Noted]:
    """Whether a party noted this."""
    return isinstance(event, Noted) and event.what == what


@dataclass(frozen=True, slots=True)
class Heard(Event):
    """What an attacker was told."""

    delivery: Delivery


class Voice:
    """An attacker's client: subscribes to what it likes, and says what it is told to say."""

    deadline = None

    def __init__(self, *filters: str) -> None:
        self.client_id = f"voice-{os.urandom(6).hex()}"
        self._filters = filters

    def will(self, now: float) -> Publication | None:  # noqa: ARG002 - the interface of a party
        """None."""
        return None

    def connected(self, now: float) -> Sequence[Event]:  # noqa: ARG002 - the interface of a party
        """Subscribe."""
        return [Subscription(each) for each in self._filters]

    def receive(self, delivery: Delivery, now: float) -> Sequence[Event]:  # noqa: ARG002 - the interface of a party
        """Keep it."""
        return [Heard(delivery)]

    def expire(self, now: float) -> Sequence[Event]:  # noqa: ARG002 - the interface of a party
        """Never due."""
        return []

    def leaving(self, now: float) -> Sequence[Event]:  # noqa: ARG002 - the interface of a party
        """Without a word."""
        return []


class Attacker(Actor):
    """A client of the attacker, with all that it says and hears."""

    def __init__(self, settings: ConnectionSettings, *filters: str) -> None:
        super().__init__(lambda _closing: Voice(*filters), settings, time.time)

    def say(self, *publications: Publication) -> None:
        """Publish."""
        self.do(lambda _party, _now: publications)

    def heard(self, mark: int = 0) -> list[Heard]:
        """All that it was told after a mark."""
        return [event for event in self.since(mark) if isinstance(event, Heard)]

    def hear(
        self, wanted: Callable[[Delivery], bool], mark: int = 0, seconds: float = ANSWER_SECONDS
    ) -> Delivery | None:
        """The first delivery after a mark that is wanted, or None."""
        found = self.wait(lambda event: isinstance(event, Heard) and wanted(event.delivery), mark, seconds)
        return found.delivery if isinstance(found, Heard) else None
