"""`sealedge revoke`."""

import time
from pathlib import Path

import click

from sealedge.cli.options import FILE, broker_url, fleet_folder

KINDS = ("chip", "measurement", "model", "credential", "key")


@click.command("revoke")
@click.argument("kind", metavar="KIND", type=click.Choice(KINDS))
@click.argument("identifier", metavar="IDENTIFIER|FILE")
@fleet_folder
@click.option("--publish", is_flag=True, help="Publish the new list at once.")
@click.option("--config", metavar="FILE", type=FILE, help="Whose account publishes it; by default the verifier's.")
@broker_url
def command(kind: str, identifier: str, fleet: Path, publish: bool, config: Path | None, broker: str | None) -> None:
    """Revoke a chip, measurement, model, credential or key of a fleet.

    IDENTIFIER is hex, or a file that holds it: a credential.cwt (credential, key), an enrolment.cwt (credential,
    chip), a public key (key), a module (model). Needs the authority's key. Signs the next revocation list into
    DIR/trust; the verifier publishes what it finds there when it starts, and --publish does at once.

    \b
    Example:
      sealedge revoke chip plant/agents/east/enrolment.cwt --fleet plant --publish
    """
    from sealedge.operations.fleet import open_fleet  # noqa: PLC0415 - not for --help
    from sealedge.operations.revoke import KINDS as REVOCABLE  # noqa: PLC0415
    from sealedge.operations.revoke import identifiers, publish_revocations, revoke  # noqa: PLC0415

    opened = open_fleet(fleet)
    what = next(each for each in REVOCABLE if each == kind)
    found = identifiers(what, identifier, opened.authority.key.public, opened.name)
    signed = revoke(opened, what, found, time.time())
    click.echo(f"revocation list {signed.sequence} with {len(signed.entries)} entries in {opened.folder.revocations}")
    if publish:
        publish_revocations(opened, config, broker)
        click.echo("published")
