"""Closed loops: so many requests, so many in flight, the latency of each. One loop a pipeline, one process a loop.

    python -m bench.loops sealed|clear SENSOR.TOML READING     python -m bench.loops plain|echo URL READING

Each line `REQUESTS IN_FLIGHT` on standard input is answered by one line of JSON: p50 in milliseconds, and requests
a second.
"""

import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.echo import EchoSensor
from bench.plain import PlainSensor
from bench.unsealed import switch_off
from broker.settings import ConnectionSettings
from broker.threaded import ThreadedLink
from protocol.party import Event
from sealedge.client.events import Answered, RequestRefused, TimedOut
from sealedge.client.parties import opened_store, sensor_from
from sealedge.client.settings import SensorSettings
from storage.store import SqliteStore

Measured = tuple[list[float], float]
"""Latencies in seconds, and seconds in all."""

Request = Callable[[bytes, float], tuple[bytes, Sequence[Event]]]


class Loop:
    """Keeps `in_flight` requests under way until all are answered. The next is sent in the link's own thread."""

    def __init__(self, reading: bytes) -> None:
        self._reading = reading
        self._started: dict[bytes, float] = {}
        self._latencies: list[float] = []
        self._left = 0
        self._done = threading.Event()
        self._link: ThreadedLink
        self._request: Request

    def start(self, link: ThreadedLink, request: Request) -> None:
        """Take the link of a sensor, and how that is asked."""
        self._link, self._request = link, request
        link.start()

    def measure(self, requests: int, in_flight: int) -> Measured:
        """Run the loop. Raises RuntimeError when not everything is answered."""
        self._latencies, self._left = [], requests
        self._done.clear()
        start = time.perf_counter()
        for _ in range(min(in_flight, requests)):
            self._send_next()
        if not self._done.wait(120):
            raise RuntimeError(f"{len(self._latencies)} of {requests} requests were answered in 120 s")
        return self._latencies, time.perf_counter() - start

    def ended(self, request: bytes) -> None:
        """An answer came: send the next."""
        started = self._started.pop(request, None)
        if started is None:
            return
        self._latencies.append(time.perf_counter() - started)
        if self._left > 0:
            self._send_next()
        elif not self._started:
            self._done.set()

    def _send_next(self) -> None:
        self._left -= 1
        self._link.link.submit(self._ask)

    def _ask(self, _party: Any, now: float) -> Sequence[Event]:
        at = time.perf_counter()
        request, events = self._request(self._reading, now)
        self._started[request] = at
        return events

    def heard(self, event: Event) -> None:
        """The listener of a real sensor's link."""
        match event:
            case Answered():
                self.ended(event.request)
            case RequestRefused() | TimedOut():
                raise RuntimeError(f"{event}")


def sealed(settings: str, reading: bytes) -> Loop:
    """The real sensor, with its outbox on disk, reading its own results."""
    own: dict[str, Any] = {"recipients": (), "deliver_to": None, "return_result": True}
    loaded = SensorSettings.load(settings).model_copy(update=own)
    with opened_store(loaded) as store:
        sensor = sensor_from(loaded, store)
    loop = Loop(reading)
    loop.start(ThreadedLink(sensor, loaded.connection, listener=loop.heard), sensor.request)
    return loop


def clear(settings: str, reading: bytes) -> Loop:
    """The same without cryptography."""
    switch_off()
    return sealed(settings, reading)


def plain(url: str, reading: bytes) -> Loop:
    """The thin sensor of plain bytes, with the same outbox on disk."""
    loop = Loop(reading)
    store = SqliteStore(Path(tempfile.mkdtemp(prefix="sealedge-bench-")) / "outbox.db", durability="normal")
    sensor = PlainSensor(store, lambda name, _output: loop.ended(name))
    loop.start(ThreadedLink(sensor, ConnectionSettings(url=url)), sensor.request)
    return loop


def main(arguments: list[str]) -> int:
    """Answer each line of standard input with what was measured."""
    kind, where, reading = arguments[0], arguments[1], Path(arguments[2]).read_bytes()
    makers: dict[str, Callable[[str, bytes], Loop | EchoSensor]] = {
        "sealed": sealed,
        "clear": clear,
        "plain": plain,
        "echo": EchoSensor,
    }
    loop = makers[kind](where, reading)
    print("ready", flush=True)
    for line in sys.stdin:
        requests, in_flight = (int(word) for word in line.split())
        latencies, seconds = loop.measure(requests, in_flight)
        print(json.dumps([statistics.median(latencies) * 1000, len(latencies) / seconds]), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
