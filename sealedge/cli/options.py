"""Options that several commands share, and how a party's process runs from its first line to its exit status."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from protocol.errors import ConfigurationError

if TYPE_CHECKING:
    from broker.settings import ConnectionSettings
    from protocol.party import Party
    from sealedge.operations.log import EventLog

Command = TypeVar("Command", bound=Callable[..., Any])

_LATEST: Final = 253_402_300_799
"""The last second of the year 9999: no certificate names a later one."""

BUILD_PACKAGES: Final = frozenset({"numpy", "onnx", "onnxruntime", "tinygrad", "ziglang", "google"})

FILE: Final = click.Path(path_type=Path)
"""Whether it is there is not checked here: who reads it says more about what is wrong."""


def config(default: str) -> Callable[[Command], Command]:
    """`--config FILE`; without it the file of the usual name in the working directory."""
    return click.option("--config", "config", metavar="FILE", type=FILE, default=default, help="The party's settings.")


broker_url = click.option("--broker", "broker", metavar="URL", help="Another broker than the settings name.")

fleet_folder = click.option(
    "--fleet", "fleet", metavar="DIR", type=FILE, required=True, help="The fleet's folder, made by `sealedge init`."
)

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")

_log = click.option(
    "--log", "log", type=click.Choice(["text", "json"]), default="text", help="How events are written to stderr."
)
_quiet = click.option("--quiet", "quiet", is_flag=True, help="Write only refusals and faults to stderr.")


def moment(flag: str, what: str) -> Callable[[Command], Command]:
    """A time in ISO 8601, in UTC unless it says otherwise, or in seconds since 1970; the command gets seconds."""
    return click.option(
        flag, metavar="TIME", callback=_seconds, help=f"{what}: ISO 8601 (UTC) or seconds.  [default: now]"
    )


def _seconds(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    try:
        seconds = float(value) if value.replace(".", "", 1).isdecimal() else _of_iso(value)
    except (ValueError, OverflowError):
        raise click.BadParameter(f"{value[:40]!a} is neither ISO 8601 nor seconds since 1970", ctx, param) from None
    if not 0 <= seconds <= _LATEST:
        raise click.BadParameter(f"{value[:40]!a} is not between the years 1970 and 9999", ctx, param)
    return seconds


def _of_iso(text: str) -> float:
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()


def logging_options(command: Command) -> Command:
    """`--log text|json` and `--quiet`."""
    return _log(_quiet(command))


def event_log(party: str, log: str, *, quiet: bool) -> "EventLog":
    """The listener of a party's link; what the rooms below log goes the same way."""
    from sealedge.operations.log import EventLog, LogHandler  # noqa: PLC0415 - not for --help

    listener = EventLog(party, "json" if log == "json" else "text", quiet=quiet, clock=time.time)
    logger = logging.getLogger("sealedge")
    logger.handlers, logger.propagate = [LogHandler(listener)], False
    return listener


def serve(party: "Party", connection: "ConnectionSettings", listener: "EventLog") -> int:
    """Run a party until SIGTERM or SIGINT; it finishes what is in flight and publishes its death. The exit status."""
    from broker.link import Link  # noqa: PLC0415 - not for --help
    from broker.process import run  # noqa: PLC0415

    return run(Link(party, connection, listener=listener))


def until_stopped(run: Callable[[], int], interrupted: int) -> int:
    """For commands with a main loop of their own: SIGTERM ends them as Ctrl-C does, in order. The exit status."""
    import signal  # noqa: PLC0415 - not for --help

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return run()
    except KeyboardInterrupt:
        return interrupted


@contextmanager
def with_build_packages() -> Iterator[None]:
    """For what the extra `build` brings: agents, sensors and consumers do without. Raises `ConfigurationError`."""
    try:
        yield
    except ModuleNotFoundError as missing:
        package = (missing.name or "").partition(".")[0]
        if package not in BUILD_PACKAGES:
            raise
        raise ConfigurationError(f"{package} is not installed: this needs pip install 'sealedge[build]'") from None


def print_json(value: object) -> None:
    """One JSON line on stdout, at once: whoever reads it may be a program that waits."""
    import json  # noqa: PLC0415 - not for --help

    print(json.dumps(value), flush=True)
