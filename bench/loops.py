"""Closed loops: so many requests, so many in flight, latencies of each. One sensor of each pipeline."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from bench.clear import ClearSensor
from broker.settings import ConnectionSettings
from broker.threaded import ThreadedLink
from protocol.party import Event
from sealedge.client.events import Answered, RequestRefused, TimedOut
from sealedge.client.parties import opened_store, sensor_from
from sealedge.client.settings import SensorSettings
from storage.store import SqliteStore

Measured = tuple[list[float], float]
"""Latencies in seconds, and seconds in all."""


class Loop:
    """Keeps `in_flight` requests under way until all are answered. The next is sent in the link's own thread."""

    def __init__(self) -> None:
        self._started: dict[bytes, float] = {}
        self._latencies: list[float] = []
        self._left = 0
        self._done = threading.Event()

    def measure(self, requests: int, in_flight: int) -> Measured:
        """Run the loop. Raises RuntimeError when something else than an answer comes back, or nothing does."""
        self._latencies, self._left = [], requests
        self._done.clear()
        start = time.perf_counter()
        for _ in range(min(in_flight, requests)):
            self.send_next()
        if not self._done.wait(120):
            raise RuntimeError(f"{len(self._latencies)} of {requests} requests were answered in 120 s")
        return self._latencies, time.perf_counter() - start

    def send_next(self) -> None:
        """Send one request."""
        raise NotImplementedError

    def began(self, request: bytes, at: float) -> None:
        self._started[request] = at

    def ended(self, request: bytes) -> None:
        started = self._started.pop(request, None)
        if started is None:
            return
        self._latencies.append(time.perf_counter() - started)
        if self._left > 0:
            self.send_next()
        elif not self._started:
            self._done.set()


class SealedLoop(Loop):
    """The real sensor with its outbox on disk."""

    def __init__(self, settings: Path, reading: bytes) -> None:
        super().__init__()
        loaded = SensorSettings.load(settings).model_copy(
            update={"recipients": (), "deliver_to": None, "return_result": True}
        )
        self._reading = reading
        with opened_store(loaded) as self._store:
            self._sensor = sensor_from(loaded, self._store)
        self._link = ThreadedLink(self._sensor, loaded.connection, listener=self._heard)
        self._link.start()

    def send_next(self) -> None:
        self._left -= 1
        self._link.link.submit(self._request)

    def close(self) -> None:
        self._link.stop()
        self._store.close()

    def _request(self, _party: Any, now: float) -> Sequence[Event]:
        at = time.perf_counter()
        request, events = self._sensor.request(self._reading, now)
        self.began(request, at)
        return events

    def _heard(self, event: Event) -> None:
        match event:
            case Answered():
                self.ended(event.request)
            case RequestRefused() | TimedOut():
                raise RuntimeError(f"{event}")


class ClearLoop(Loop):
    """The sensor without cryptography, with the same outbox on disk."""

    def __init__(self, url: str, folder: Path, reading: bytes) -> None:
        super().__init__()
        self._reading = reading
        self._store = SqliteStore(folder / "clear.sqlite3", durability="normal")
        self._sensor = ClearSensor(self._store, lambda name, _output: self.ended(name))
        self._link = ThreadedLink(self._sensor, ConnectionSettings(url=url))
        self._link.start()

    def send_next(self) -> None:
        self._left -= 1
        self._link.link.submit(self._request)

    def close(self) -> None:
        self._link.stop()
        self._store.close()

    def _request(self, _party: Any, now: float) -> Sequence[Event]:
        at = time.perf_counter()
        request, events = self._sensor.request(self._reading, now)
        self.began(request, at)
        return events


def in_turn(runs: int, *loops: Callable[[], Measured]) -> Iterable[list[Measured]]:
    """Runs of each loop, alternating, so that the machine's drift meets all of them."""
    return [[loop() for loop in loops] for _ in range(runs)]
