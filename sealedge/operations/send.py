"""Sending readings out of a file or a pipe, and telling how each ended: one JSON line a request.

    {"row": 1, "request": "…", "status": "answered", "agent": …, "model": …, "version": …, "tier": …,
     "output": {"probabilities": [0.01, 0.99]}, "labels": ["malignant"]}
    {"row": 2, "request": "…", "status": "refused", "reason": "input-invalid", "why": "…"}
    {"row": 3, "request": "…", "status": "timed-out", "reason": "not-attested"}

A request of an earlier run that ends now has no row. `output` is hex where the manifest of its version is not here,
and absent where the sensor asks for receipts alone. `step` is there for models with state: how many requests of the
session it was carried through before, 0 where it started from zeros.
"""

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from queue import Queue
from threading import Lock, Semaphore, Thread
from typing import Any, Final

from protocol.errors import ConfigurationError, MalformedError, ProtocolMisuseError
from protocol.party import Event
from schemas.model import Manifest
from sealedge.client.api import Sensor
from sealedge.client.events import Answered, RequestRefused, TimedOut
from sealedge.client.outcome import Result, answer_of, checked_specs
from sealedge.client.settings import SensorSettings

Ended = Answered | RequestRefused | TimedOut
Say = Callable[[dict[str, Any]], None]

WINDOW: Final = 256
"""Requests that have not ended, at most: further readings wait in their file or pipe."""

LOOK_SECONDS: Final = 5.0


class Sending:
    """Sends readings with one sensor. `say` is called with each line, in one thread; `listener` with other events."""

    def __init__(self, settings: SensorSettings, say: Say, listener: Callable[[Event], None]) -> None:
        self._sensor = Sensor(settings, watch=self._watch)
        self._say, self._listener = say, listener
        self._ended: Queue[Ended | None] = Queue()
        self._rows: dict[bytes, int] = {}
        self._room, self._lock = Semaphore(WINDOW), Lock()
        self._unanswered = 0

    def run(self, readings: Iterable[object], seconds: float) -> bool:
        """Send all readings, each with so many seconds to be answered. Returns whether all were.

        Raises `ConfigurationError` for a reading that is none, after those before it have ended; `TransportError`
        where the broker is not there, or no manifest of the model comes.
        """
        with self._sensor as sensor:
            checked_specs(sensor.wait_for_manifest(seconds))
            teller = Thread(target=self._tell, daemon=True)
            teller.start()
            fault = self._feed(readings, seconds)
            self._wait_for_all()
            self._ended.put(None)
            teller.join()
        if fault is not None:
            raise fault
        return self._unanswered == 0

    def _feed(self, readings: Iterable[object], seconds: float) -> ConfigurationError | None:
        """Returns what is wrong with the first reading that is none: those before it are not given up for it."""
        try:
            for row, reading in enumerate(readings, start=1):
                self._send(row, reading, seconds)
        except ConfigurationError as error:
            return error
        return None

    def _send(self, row: int, reading: object, seconds: float) -> None:
        self._room.acquire()
        request = os.urandom(16)
        with self._lock:
            self._rows[request] = row
        try:
            self._sensor.send(reading, timeout=seconds, request_id=request)
        except ProtocolMisuseError as error:
            self._end(request)
            why = f"reading {row}: {error}"
            raise ConfigurationError(why, reason=error.reason, finding=error.finding) from None

    def _wait_for_all(self) -> None:
        """Every request has an end of its own: a result, a refusal, or its time."""
        for _ in range(WINDOW):
            while not self._room.acquire(timeout=LOOK_SECONDS):
                # Raises where the link has ended: then nothing would ever end.
                _ = self._sensor.pending

    def _watch(self, event: Event) -> None:
        """In the link's thread."""
        if isinstance(event, Ended):
            self._ended.put(event)
        else:
            self._listener(event)

    def _tell(self) -> None:
        while (event := self._ended.get()) is not None:
            with self._lock:
                row = self._rows.get(event.request)
            about = described(event, self._sensor.wait_for_manifest(0))
            self._say({"row": row, "request": event.request.hex(), **about})
            if row is not None:
                self._unanswered += not isinstance(event, Answered)
                self._end(event.request)

    def _end(self, request: bytes) -> None:
        with self._lock:
            self._rows.pop(request, None)
        self._room.release()


def described(event: Ended, manifest: Manifest | None) -> dict[str, Any]:
    """How a request ended, for a line of JSON."""
    if isinstance(event, TimedOut):
        return {"status": "timed-out", "reason": str(event.because)}
    if isinstance(event, RequestRefused):
        refusal = event.refusal.model_dump(mode="json", exclude_none=True)
        return {"status": "refused", "agent": event.agent, **refusal}
    result = answer_of(event, manifest)
    about = {"agent": result.agent, "model": result.model, "version": result.version, "tier": str(result.tier)}
    return {"status": "answered", **about, **content(result)}


def content(result: Result) -> dict[str, Any]:
    """The output as numbers by name, and its labels; as hex where its manifest is not here or does not fit.

    `step` besides, where the model has state.
    """
    step = {} if result.step is None else {"step": result.step}
    if result.raw is None:
        return step
    with suppress(MalformedError, ConfigurationError):
        output = {spec.name: list(result.values(spec.name)) for spec in result.specs}
        if output:
            return {**step, "output": output, "labels": list(result.labels)}
    return {**step, "output": result.raw.hex()}
