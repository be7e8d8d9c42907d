"""Options that several commands share, and how a party's process runs from its first line to its exit status."""

import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    from broker.link import Link
    from broker.settings import ConnectionSettings
    from protocol.party import Event, Party
    from sealedge.operations.log import EventLog

Command = TypeVar("Command", bound=Callable[..., Any])

FILE: Final = click.Path(path_type=Path)
"""Existence is not checked here: the reader says more about what is wrong."""


def config(default: str) -> Callable[[Command], Command]:
    """`--config FILE`; without it the file of the usual name in the working directory."""
    return click.option(
        "--config", "config", type=FILE, default=Path(default), show_default=True, help="The party's settings."
    )


broker_url = click.option("--broker", "broker", metavar="URL", help="Another broker than the settings name.")

fleet_folder = click.option("--fleet", "fleet", type=FILE, required=True, help="The fleet's folder (`sealedge init`).")

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")

_log = click.option(
    "--log", "log", type=click.Choice(["text", "json"]), default="text", help="How events are written to stderr."
)
_quiet = click.option("--quiet", "quiet", is_flag=True, help="Write only refusals and faults.")


def logging_options(command: Command) -> Command:
    """`--log text|json` and `--quiet`."""
    return _log(_quiet(command))


def event_log(party: str, log: str, *, quiet: bool, others: "Callable[[Event], None] | None" = None) -> "EventLog":
    """The listener of a party's link; what the rooms below log joins it."""
    from sealedge.operations.log import EventLog, LogHandler  # noqa: PLC0415 - not for --help

    listener = EventLog(party, "json" if log == "json" else "text", quiet=quiet, clock=time.time, others=others)
    logger = logging.getLogger("sealedge")
    logger.handlers, logger.propagate = [LogHandler(listener)], False
    return listener


def serve(party: "Party", connection: "ConnectionSettings", listener: "EventLog", closing: ExitStack) -> int:
    """Run a party until SIGTERM or SIGINT; it finishes what is in flight and publishes its death. The exit status."""
    return run(link_of(party, connection, listener), closing)


def link_of(party: "Party", connection: "ConnectionSettings", listener: "EventLog") -> "Link":
    """A link, not yet running."""
    from broker.link import Link  # noqa: PLC0415 - not for --help

    return Link(party, connection, listener=listener)


def run(link: "Link", closing: ExitStack) -> int:
    """Run a link as the whole of this process, then close what its party holds."""
    from broker.process import run as run_process  # noqa: PLC0415 - not for --help

    with closing:
        return run_process(link)
