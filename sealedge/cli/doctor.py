"""`sealedge doctor`."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sealedge.cli.options import FILE, as_json, print_json

if TYPE_CHECKING:
    from sealedge.operations.doctor import Check


@click.command("doctor")
@click.option("--config", metavar="FILE", type=FILE, help="A party's settings: also check its files and its broker.")
@click.option("--fleet", metavar="DIR", type=FILE, help="A fleet's folder: also check every party's files.")
@click.option("--broker", metavar="URL", help="Also try out all that sealedge uses of this broker.")
@click.option("--other", metavar="FILE", type=FILE, help="operator.toml of another fleet: does either reach the other?")
@as_json
def command(config: Path | None, fleet: Path | None, broker: str | None, other: Path | None, as_json: bool) -> int:
    """Check this machine, and with --config, --fleet or --broker also files and the broker.

    Each line is ok, warn or fail, and says how to mend what is not ok. Exit status 1: something fails.
    Where a broker has accounts, only the operator's may try it out and compare fleets: use --fleet, or operator.toml.

    \b
    Example:
      sealedge doctor --config plant/agents/east/agent.toml
      sealedge doctor --fleet plant --broker mqtts://broker.example
      sealedge doctor --fleet plant --other farm/operator/operator.toml
    """
    from sealedge.operations.doctor import has_failed  # noqa: PLC0415 - not for --help

    checks = []
    for check in _checks(config, fleet, broker, other):
        checks.append(check)
        if not as_json:
            _tell(check)
    if as_json:
        print_json({"failed": has_failed(checks), "checks": [check.as_dict() for check in checks]})
    return 1 if has_failed(checks) else 0


def _checks(config: Path | None, fleet: Path | None, broker: str | None, other: Path | None) -> "Iterator[Check]":
    from sealedge.operations import doctor, doctor_broker, doctor_files, doctor_tees  # noqa: PLC0415 - not for --help

    if other is not None and config is None and fleet is None:
        raise click.UsageError("--other needs an account to compare with: --fleet or --config")
    now = time.time()
    yield from doctor.check_machine(now)
    yield from doctor_tees.check_tees(doctor_tees.Machine())
    if fleet is not None:
        yield from doctor_files.check_fleet(fleet, now)
    if config is not None:
        yield from doctor_files.check_party(config, now)
    accounts = doctor_broker.Accounts.of(config, fleet, broker, other)
    yield from doctor_broker.check_accounts(accounts, os.urandom)


def _tell(check: "Check") -> None:
    mark = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}[check.level]
    click.echo(f"{mark}  {check.name}: {check.found}")
    if check.mend:
        click.echo(f"      {check.mend}")
