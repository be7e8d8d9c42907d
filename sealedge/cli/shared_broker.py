"""`python -m sealedge.cli.shared_broker`: configuration of one mosquitto for several fleets."""

from pathlib import Path

import click

from protocol.errors import ConfigurationError
from sealedge.cli.options import FILE


@click.command()
@click.argument("target", metavar="DIR", type=FILE)
@click.argument("fleets", metavar="FLEET...", type=FILE, nargs=-1, required=True)
def command(target: Path, fleets: tuple[Path, ...]) -> None:
    """Write mosquitto.conf, acl and certificates for the fleets in the folders FLEET... into DIR."""
    from sealedge.operations.broker_shared import share  # noqa: PLC0415 - not for --help

    try:
        share(target, fleets)
    except ConfigurationError as error:
        raise click.UsageError(error.diagnostics) from None
    click.echo(f"cd {target} && mosquitto -c mosquitto.conf")


if __name__ == "__main__":
    command()
