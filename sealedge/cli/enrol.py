"""`sealedge enrol`: one more party."""

import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sealedge.cli.options import FILE, fleet_folder

if TYPE_CHECKING:
    from sealedge.operations.fleet import FleetFolder

ROLES = ("agent", "sensor", "consumer", "publisher", "verifier")


@click.command("enrol")
@click.argument("role", metavar="ROLE", type=click.Choice(ROLES))
@click.argument("name", metavar="NAME")
@fleet_folder
@click.option("--chip", "chips", multiple=True, metavar="HEX", help="Names a machine of the agent; repeatable.")
@click.option("--tpm-answer", metavar="FILE", type=FILE, help="The answer of a TPM to `sealedge tee challenge`.")
def command(role: str, name: str, fleet: Path, chips: tuple[str, ...], tpm_answer: Path | None) -> None:
    """Add a party to a fleet: an agent, sensor, consumer, publisher or verifier.

    Needs the authority's key in DIR/authority. The party's machine needs its new folder, and DIR/trust beside it.

    An agent of a hardware TEE runs on the machines that --chip or --tpm-answer name, and on no other. An agent that
    there is already is given a new enrolment.cwt with these. --chip is taken at your word: see `sealedge tee`.

    \b
    Example:
      sealedge enrol sensor gate-3 --fleet plant
      sealedge enrol agent east --tpm-answer east-answer.json --fleet plant
    """
    from schemas.kinds import Role  # noqa: PLC0415 - not for --help
    from sealedge.operations import broker_files  # noqa: PLC0415
    from sealedge.operations.enrol import enrol, enrol_chips  # noqa: PLC0415
    from sealedge.operations.fleet import open_fleet  # noqa: PLC0415

    opened = open_fleet(fleet)
    named = [*map(_chip, chips), *_proven(opened.folder, tpm_answer)]
    if role == Role.AGENT and named and opened.folder.settings(Role.AGENT, name).exists():
        path = enrol_chips(opened, name, named, now=time.time(), randomness=os.urandom)
        click.echo(f"agent {name} may run on {len(named)} chip(s): give its machine the new {path}")
        return
    folder = enrol(opened, Role(role), name, now=time.time(), randomness=os.urandom, chips=named)
    broker_files.write(opened)
    click.echo(f"{role} {name} in {folder}")
    click.echo(f"Give the broker's machine the new {opened.folder.broker}, where the broker knows accounts.")
    if role == "consumer":
        click.echo("Sensors whose results it shall read need its credential.cwt, in `recipients` of their sensor.toml.")


def _chip(text: str) -> bytes:
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise click.BadParameter("64 hex digits, a SHA-256", param_hint="--chip")
    return bytes.fromhex(text)


def _proven(folder: "FleetFolder", answer: Path | None) -> list[bytes]:
    """The chip of a TPM that answered its challenge."""
    from sealedge.operations.tpm_challenge import accept_answer  # noqa: PLC0415 - not for --help
    from sealedge.operations.tpm_documents import Answer  # noqa: PLC0415

    return [] if answer is None else [accept_answer(folder, Answer.read_untrusted(answer), time.time())]
