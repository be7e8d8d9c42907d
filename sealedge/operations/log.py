"""What a running party tells: one line per event on stderr, for people or as JSON.

Nothing in a line is a secret: events hold none (`protocol.party.Noted`, `sealedge.client.events`). Control characters
of strangers never reach the terminal.
"""

import json
import logging
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import IO, Final, Literal

from protocol.party import Event, Noted

Format = Literal["text", "json"]
Fields = Mapping[str, str | int | float | bool | None]

LOUD: Final = frozenset({"refused", "party-failed", "enclave-crashed", "disconnected", "model-withheld"})
"""What is written even when only warnings are asked for."""


class EventLog:
    """A listener for a link: writes `Noted` events and hands all others on."""

    def __init__(
        self,
        party: str,
        format_: Format,
        *,
        quiet: bool = False,
        clock: Callable[[], float],
        stream: IO[str] | None = None,
        others: Callable[[Event], None] | None = None,
    ) -> None:
        self._party, self._format, self._quiet = party, format_, quiet
        self._clock, self._others = clock, others
        self._stream = stream if stream is not None else sys.stderr

    def __call__(self, event: Event) -> None:
        """Take one event, in the link's thread."""
        if not isinstance(event, Noted):
            if self._others is not None:
                self._others(event)
        elif not self._quiet or event.what in LOUD:
            self.write(event.what, event.detail)

    def write(self, what: str, detail: Fields) -> None:
        """One line."""
        now = self._clock()
        if self._format == "json":
            line = json.dumps({"time": round(now, 3), "party": self._party, "event": what, **detail})
        else:
            line = f"{_hour(now)} {self._party} {what} {_said(detail)}".rstrip()
        print(line, file=self._stream, flush=True)


class LogHandler(logging.Handler):
    """Puts what the rooms below log (faults of a party, the end of a link) into the same lines."""

    def __init__(self, log: EventLog) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """One record, whatever lines it has."""
        self._log.write(record.levelname.lower(), {"why": record.getMessage()})


def _hour(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).strftime("%H:%M:%S")


def _said(detail: Fields) -> str:
    return " ".join(f"{key}={_word(value)}" for key, value in detail.items() if value is not None)


def _word(value: str | int | float | bool) -> str:
    """Quoted where a reader could not tell where it ends; escaped always."""
    if not isinstance(value, str):
        return str(value).lower() if isinstance(value, bool) else str(value)
    escaped = value.encode("unicode_escape").decode("ascii")
    return f'"{escaped}"' if " " in escaped or not escaped else escaped
