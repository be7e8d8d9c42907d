"""The SDK's consumer: a `ConsumerParty` in a thread of its own, to iterate over. Safe to call from any thread."""

import time
from collections import deque
from collections.abc import Iterator
from threading import Condition
from typing import Self

from broker.threaded import ThreadedLink
from protocol.party import Event
from sealedge.client.events import ResultReceived
from sealedge.client.outcome import ReceivedResult, result_of
from sealedge.client.parties import consumer_from, opened_store, start
from sealedge.client.running import Running, Watcher
from sealedge.client.settings import ConsumerSettings, load_settings
from storage.files import StrPath

LOOK_SECONDS = 5.0
"""How often a waiting consumer looks whether its link still runs."""


class Consumer(Running):
    """Results sealed to this consumer: iterate over it. `source` is settings, a file, or a folder.

    A program that is slower than the results holds them up at the broker: at most `backlog` wait here, and those
    are still there to be taken after `close`.

    Raises:
        ConfigurationError: a file or setting is missing or wrong.
    """

    def __init__(self, source: ConsumerSettings | StrPath, *, watch: Watcher | None = None, backlog: int = 256) -> None:
        self.settings = load_settings(ConsumerSettings, source)
        self._watch, self._backlog = watch, backlog
        with opened_store(self.settings) as store:
            self._party = consumer_from(self.settings, store)
            self._store = store
        self._link = ThreadedLink(self._party, self.settings.connection, listener=self._heard)
        self._changed = Condition()
        self._results: deque[ReceivedResult] = deque()
        self._is_closed = False

    def start(self) -> Self:
        """Connect. Raises `TransportError`."""
        start(self._link, self._store)
        return self

    def close(self) -> None:
        """Leave in order. Iteration ends when what is here has been taken."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        try:
            self._link.stop()
        finally:
            self._store.close()

    def receive(self, timeout: float | None = None) -> ReceivedResult | None:
        """The next result; None after `timeout` seconds, or when the consumer is closed and nothing is left.

        Raises `TransportError` where the link to the broker has ended on its own.
        """
        self.wait(timeout)
        with self._changed:
            self._changed.notify_all()
            return self._results.popleft() if self._results else None

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until there is a result to receive, or none will come; False after `timeout` seconds.

        Raises `TransportError` where the link to the broker has ended on its own.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            left = LOOK_SECONDS if end is None else min(LOOK_SECONDS, end - time.monotonic())
            with self._changed:
                if self._changed.wait_for(lambda: bool(self._results) or self._is_closed, max(0.0, left)):
                    return True
            if end is not None and time.monotonic() >= end:
                return False
            self._link.submit(lambda _party, _now: [])

    @property
    def missing(self) -> int:
        """How many results sealed to this consumer did not come, since it was made: later ones show that they are lost.

        The number of a result is signed by its enclave; a gap is told a minute after it was noticed, here and as the
        event `results-missing`. One that comes after all is received as usual.
        """
        return self._party.board.counts["missing"]

    def _heard(self, event: Event) -> None:
        """In the link's thread, which waits while the backlog is full: the broker then waits, too."""
        if isinstance(event, ResultReceived):
            result = result_of(event, self._party.manifest(event.model))
            with self._changed:
                self._changed.wait_for(lambda: len(self._results) < self._backlog or self._is_closed)
                self._results.append(result)
                self._changed.notify_all()
        if self._watch is not None:
            self._watch(event)

    def __iter__(self) -> Iterator[ReceivedResult]:
        while (result := self.receive()) is not None:
            yield result
