"""`sealedge share`: the configuration of one mosquitto for several fleets."""

from pathlib import Path

import click

from sealedge.cli.options import FILE


@click.command("share")
@click.argument("directory", metavar="DIR", type=FILE)
@click.argument("fleets", metavar="FLEET...", type=FILE, nargs=-1, required=True)
def command(directory: Path, fleets: tuple[Path, ...]) -> None:
    """Write one mosquitto's configuration for several fleets into DIR.

    FLEET... are the folders of fleets with certificates and ports of their own. What DIR holds is replaced: run it
    again after an enrolment.

    \b
    Example:
      sealedge share shared plant farm
    """
    from sealedge.operations.broker_shared import share  # noqa: PLC0415 - not for --help

    share(directory, fleets)
    click.echo(f"Start it with:  cd {directory} && mosquitto -c mosquitto.conf")
    click.echo("Check it with:  sealedge doctor --fleet FLEET --other OTHER/operator/operator.toml")
