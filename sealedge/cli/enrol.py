"""`sealedge enrol`: one more party."""

import os
import time
from pathlib import Path

import click

from sealedge.cli.options import fleet_folder

ROLES = ("agent", "sensor", "consumer", "publisher", "verifier")


@click.command("enrol")
@click.argument("role", metavar="ROLE", type=click.Choice(ROLES))
@click.argument("name", metavar="NAME")
@fleet_folder
def command(role: str, name: str, fleet: Path) -> None:
    """Add a party to a fleet: an agent, sensor, consumer, publisher or verifier.

    Needs the authority's key in DIR/authority. The party's machine needs its new folder, and DIR/trust beside it.

    \b
    Example:
      sealedge enrol sensor gate-3 --fleet plant
    """
    from schemas.kinds import Role  # noqa: PLC0415 - not for --help
    from sealedge.operations import broker_files  # noqa: PLC0415
    from sealedge.operations.enrol import enrol  # noqa: PLC0415
    from sealedge.operations.fleet import open_fleet  # noqa: PLC0415

    opened = open_fleet(fleet)
    folder = enrol(opened, Role(role), name, now=time.time(), randomness=os.urandom)
    broker_files.write(opened)
    click.echo(f"{role} {name} in {folder}")
    click.echo(f"Give the broker's machine the new {opened.folder.broker}, where the broker knows accounts.")
    if role == "consumer":
        click.echo("Sensors whose results it shall read need its credential.cwt, in `recipients` of their sensor.toml.")
