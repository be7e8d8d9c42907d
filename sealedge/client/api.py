"""The SDK: a sensor that computes on sealed readings, and a consumer of results, as plain blocking objects.

    with Sensor("sensor.toml") as sensor:
        result = sensor.infer(reading)
        print(result.output, result.labels)

Each runs its party in a thread of its own (`broker.threaded`). Everything public is safe to call from any thread.
"""

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from threading import Condition
from types import TracebackType
from typing import Any, Self

from broker.threaded import ThreadedLink
from protocol.errors import TransportError
from protocol.party import Event
from schemas.model import Manifest
from schemas.reason import Reason
from sealedge.client.events import Answered, RequestRefused, ResultReceived, TimedOut
from sealedge.client.outcome import Pending, ReceivedResult, Result, checked_specs, fail, result_of, settle
from sealedge.client.parties import consumer_from, opened_store, sensor_from, start
from sealedge.client.sensor import SensorParty
from sealedge.client.settings import ConsumerSettings, SensorSettings, load_settings
from sealedge.client.tensors import encode_inputs
from storage.files import StrPath

Watcher = Callable[[Event], None]
"""Is shown every event, in the link's thread: return soon."""

MAX_UNCLAIMED = 1024
"""Ends of requests that nobody waits for (of a program before its restart), kept for `Sensor.claim`."""

GRACE_SECONDS = 5.0
"""After a request's own time, how long `infer` waits to be told of it."""

LOOK_SECONDS = 5.0
"""How often a waiting consumer looks whether its link still runs."""


class Sensor:
    """A sensor of one model. Use it as a context manager, or call `start` and `close`.

    `source` is a `SensorSettings`, a TOML file, or a folder with a `sensor.toml`. `watch` is shown all events.

    Raises:
        ConfigurationError: a file or setting is missing or wrong.
    """

    def __init__(self, source: SensorSettings | StrPath, *, watch: Watcher | None = None) -> None:
        self.settings = load_settings(SensorSettings, source)
        self._watch = watch
        with opened_store(self.settings) as store:
            self._party = sensor_from(self.settings, store)
            self._store = store
        self._link = ThreadedLink(self._party, self.settings.connection, listener=self._heard)
        self._changed = Condition()
        self._manifest: Manifest | None = None
        self._waiting: dict[bytes, Pending] = {}
        self._unclaimed: OrderedDict[bytes, Answered | RequestRefused | TimedOut] = OrderedDict()

    def start(self) -> Self:
        """Connect. What was pending when the program ended last is sent again. Raises `TransportError`."""
        start(self._link, self._store)
        return self

    def close(self) -> None:
        """Leave in order. What is pending stays in the outbox, for the next start."""
        try:
            self._link.stop()
        finally:
            self._store.close()
            with self._changed:
                waiting, self._waiting = self._waiting, {}
            for pending in waiting.values():
                fail(pending, TransportError("the sensor was closed; the request waits in its outbox"))

    def infer(self, value: Any, timeout: float | None = None) -> Result:
        """Send a reading and wait for its `Result`; `timeout` in seconds, else the settings' `request_seconds`.

        Raises:
            EnclaveError: an attested enclave refused the request.
            TransportError: no result came in time; its reason says what stood in the way.
            ProtocolMisuseError: the reading does not fit the model's manifest.
            OutboxFullError, StoreError: it was not accepted.
        """
        seconds = self.settings.request_seconds if timeout is None else timeout
        pending = self.send(value, timeout=seconds)
        try:
            return pending.result(seconds + GRACE_SECONDS)
        except TimeoutError:
            raise TransportError("the link to the broker has ended", reason=Reason.TRANSPORT_FAILED) from None

    def send(self, value: Any, *, timeout: float | None = None, request_id: bytes | None = None) -> Pending:
        """Accept a reading and return at once: it is in the outbox, on disk. Raises as `infer` does.

        `value` is what `encode_inputs` takes; bytes go to the module as they are. With a `request_id` of your own
        (16 bytes), sending twice computes once.
        """
        reading = value if isinstance(value, bytes) else encode_inputs(checked_specs(self.wait_for_manifest()), value)
        accepted: list[Pending] = []

        def ask(party: SensorParty, now: float) -> Any:
            request, events = party.request(reading, now, request_id, timeout)
            accepted.append(self.claim(request))
            return events

        self._link.submit(ask)
        return accepted[0]

    def claim(self, request: bytes) -> Pending:
        """The future of a request that was sent before, perhaps before a restart. One that never was waits for ever."""
        with self._changed:
            pending = self._waiting.get(request)
            if pending is not None and not pending.cancelled():
                return pending
            pending = Pending(request)
            ended = self._unclaimed.pop(request, None)
            if ended is None:
                self._waiting[request] = pending
        if ended is not None:
            settle(pending, ended, self._manifest)
        return pending

    @property
    def pending(self) -> tuple[bytes, ...]:
        """The ids of the requests that have not ended, oldest first."""
        found: list[bytes] = []

        def look(party: SensorParty, _now: float) -> list[Event]:
            found.extend(party.pending)
            return []

        self._link.submit(look)
        return tuple(found)

    def wait_for_manifest(self, timeout: float = 10.0) -> Manifest | None:
        """The model's newest manifest; None if none has come after `timeout` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._manifest is not None, timeout)
            return self._manifest

    def _heard(self, event: Event) -> None:
        """In the link's thread."""
        manifest = self._party.manifest
        if manifest is not self._manifest:
            with self._changed:
                self._manifest = manifest
                self._changed.notify_all()
        if isinstance(event, Answered | RequestRefused | TimedOut):
            self._ended(event)
        if self._watch is not None:
            self._watch(event)

    def _ended(self, event: Answered | RequestRefused | TimedOut) -> None:
        with self._changed:
            pending = self._waiting.pop(event.request, None)
            if pending is None:
                self._unclaimed[event.request] = event
                if len(self._unclaimed) > MAX_UNCLAIMED:
                    self._unclaimed.popitem(last=False)
        if pending is not None:
            settle(pending, event, self._manifest)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Consumer:
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

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
