"""What a running party tells: one line per event on stderr, for people or as JSON.

Nothing in a line is a secret: events hold none (`protocol.party.Noted`). Control characters that strangers chose never
reach the terminal.
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

LOUD: Final = frozenset(
    {
        "refused",
        "refused-by",
        "disconnected",
        "party-failed",
        "enclave-crashed",
        "attester-failed",
        "model-withheld",
        "results-missing",
    }
)
"""What is written even where only refusals and faults are asked for."""


class EventLog:
    """A listener for a link: writes `Noted` events, each on one line; other events are not for eyes."""

    def __init__(
        self,
        party: str,
        format_: Format,
        *,
        clock: Callable[[], float],
        quiet: bool = False,
        stream: IO[str] | None = None,
    ) -> None:
        self._party, self._format, self._quiet, self._clock = party, format_, quiet, clock
        self._stream = sys.stderr if stream is None else stream

    def __call__(self, event: Event) -> None:
        """Take one event, in the link's thread."""
        if isinstance(event, Noted) and (not self._quiet or event.what in LOUD):
            self.write(event.what, event.detail)

    def write(self, what: str, detail: Fields) -> None:
        """One line, whatever is asked for."""
        now = self._clock()
        if self._format == "json":
            line = json.dumps({**detail, "time": round(now, 3), "party": self._party, "event": what})
        else:
            line = f"{_hour(now)} {self._party} {what} {_said(detail)}".rstrip()
        print(line, file=self._stream, flush=True)

    def fault(self, why: str) -> None:
        """What ended or hurt the process: the command line's one line (`sealedge.cli.application`), or JSON."""
        line = " ".join(why.split())
        if self._format == "json":
            self.write("fault", {"why": line})
        else:
            print(f"sealedge: {line}", file=self._stream, flush=True)


class LogHandler(logging.Handler):
    """Takes what the rooms below log: the end of a link, and faults that escaped a party."""

    def __init__(self, log: EventLog) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """One record, whatever lines it has."""
        self._log.fault(record.getMessage())


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
