"""The SDK's sensor: a `SensorParty` in a thread of its own, as a blocking object. Safe to call from any thread."""

from collections import OrderedDict
from threading import Condition
from typing import Any, Self

from broker.threaded import ThreadedLink
from protocol.errors import TransportError
from protocol.party import Event
from schemas.model import Manifest
from schemas.reason import Reason
from sealedge.client.events import Answered, RequestRefused, TimedOut
from sealedge.client.outcome import Pending, Result, checked_specs, fail, settle
from sealedge.client.parties import opened_store, sensor_from, start
from sealedge.client.running import Running, Watcher
from sealedge.client.sensor import SensorParty
from sealedge.client.settings import SensorSettings, load_settings
from sealedge.client.tensors import encode_inputs
from storage.files import StrPath

MAX_UNCLAIMED = 1024
"""Ends of requests that nobody waits for (of a program before its restart), kept for `Sensor.claim`."""

GRACE_SECONDS = 5.0
"""After a request's own time, how long `infer` waits to be told of it."""


class Sensor(Running):
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
