"""`sealedge watch`."""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sealedge.cli.options import FILE, as_json, broker_url, event_log, print_json

if TYPE_CHECKING:
    from protocol.party import Event
    from sealedge.operations.settings import OperatorSettings
    from sealedge.operations.watch import Seen


@click.command("watch")
@click.option("--config", metavar="FILE", type=FILE, help="operator.toml, or any party's settings.")
@click.option("--fleet", metavar="DIR", type=FILE, help="A fleet's folder, for the operator's account in it.")
@broker_url
@as_json
def command(config: Path | None, fleet: Path | None, broker: str | None, as_json: bool) -> int:
    """Watch a fleet: type, topic, sender, sizes and order of every message, never its content.

    Begins with what is retained (R). Senders are what they claim to be: no message is
    verified here. SIGTERM and
    SIGINT end it.

    \b
    Example:
      sealedge watch --fleet plant
    """
    from broker.link import Link  # noqa: PLC0415 - not for --help
    from broker.process import run  # noqa: PLC0415
    from sealedge.operations.watch import Seen, Watcher  # noqa: PLC0415
    from storage.key_files import read_verifying_key  # noqa: PLC0415

    settings = _settings(config, fleet).with_broker(broker)
    log = event_log("watch", "json" if as_json else "text", quiet=False)

    def listen(event: "Event") -> None:
        if isinstance(event, Seen):
            _show(event, as_json=as_json)
        else:
            log(event)

    authority = None if settings.authority is None else read_verifying_key(settings.path(settings.authority))
    watcher = Watcher(settings.fleet, f"sealedge-{settings.fleet}-watch-{os.urandom(4).hex()}", authority)
    return run(Link(watcher, settings.connection, listener=listen))


def _settings(config: Path | None, fleet: Path | None) -> "OperatorSettings":
    from sealedge.operations.fleet import FleetFolder  # noqa: PLC0415 - not for --help
    from sealedge.operations.settings import access_of  # noqa: PLC0415

    if config is not None and fleet is None:
        return access_of(config)
    if fleet is not None and config is None:
        return access_of(FleetFolder(fleet).operator / "operator.toml")
    raise click.UsageError("give --config or --fleet")


def _show(seen: "Seen", *, as_json: bool) -> None:
    from sealedge.operations.watch import fields_of, line_of  # noqa: PLC0415 - not for --help

    if as_json:
        print_json({"time": round(time.time(), 3), **fields_of(seen)})
    else:
        hour = time.strftime("%H:%M:%S", time.gmtime())
        print(line_of(seen, hour, lambda text: text.encode("unicode_escape").decode("ascii")), flush=True)
