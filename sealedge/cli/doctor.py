"""`sealedge doctor`."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sealedge.cli.options import FILE, as_json, broker_url, print_json

if TYPE_CHECKING:
    from sealedge.operations.doctor import Check


@click.command("doctor")
@click.option("--config", metavar="FILE", type=FILE, help="A party's settings: also check its files and its broker.")
@click.option("--fleet", metavar="DIR", type=FILE, help="A fleet's folder: also check every party's files.")
@broker_url
@as_json
def command(config: Path | None, fleet: Path | None, broker: str | None, as_json: bool) -> int:
    """Check this machine, and with --config, --fleet or --broker also files and the broker.

    Each line is ok, warn or fail, and says how to mend what is not ok. Exit status 1: something fails.

    \b
    Example:
      sealedge doctor --config plant/agents/east/agent.toml
    """
    from sealedge.operations.doctor import has_failed  # noqa: PLC0415 - not for --help

    checks = []
    for check in _checks(config, fleet, broker):
        checks.append(check)
        if not as_json:
            _tell(check)
    if as_json:
        print_json({"failed": has_failed(checks), "checks": [check.as_dict() for check in checks]})
    return 1 if has_failed(checks) else 0


def _checks(config: Path | None, fleet: Path | None, broker: str | None) -> "Iterator[Check]":
    from broker.settings import ConnectionSettings  # noqa: PLC0415 - not for --help
    from sealedge.operations import doctor, doctor_files, doctor_tees  # noqa: PLC0415
    from sealedge.operations.fleet import FleetFolder  # noqa: PLC0415
    from sealedge.operations.settings import access_of  # noqa: PLC0415

    now = time.time()
    yield from doctor.check_machine(now)
    yield from doctor_tees.check_tees(doctor_tees.Machine())
    if fleet is not None:
        yield from doctor_files.check_fleet(fleet, now)
    if config is not None:
        yield from doctor_files.check_party(config, now)
    account = config if fleet is None else config or FleetFolder(fleet).operator / "operator.toml"
    if account is not None:
        connection = access_of(account).connection
        yield from doctor.check_broker(connection if broker is None else replace(connection, url=broker))
    elif broker is not None:
        yield from doctor.check_broker(ConnectionSettings(url=broker))


def _tell(check: "Check") -> None:
    mark = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}[check.level]
    click.echo(f"{mark}  {check.name}: {check.found}")
    if check.mend:
        click.echo(f"      {check.mend}")
