"""`sealedge init`: a fleet's keys, credentials and settings in one folder."""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sealedge.cli.options import FILE

if TYPE_CHECKING:
    from sealedge.operations.fleet import Fleet


_NEXT = {
    "publisher": ("publisher publish MODULE.wasm --describe MODEL.toml", "publisher serve"),
    "sensor": ("sensor send READINGS.csv",),
}
"""What a person types to run a party, where that is more than its role."""


@click.command("init")
@click.argument("directory", metavar="DIR", type=FILE)
@click.option("--fleet", required=True, metavar="NAME", help="The fleet's name, in every topic and credential.")
@click.option("--agents", default="1", metavar="N|NAMES", help="How many agents, or their names: east,west.")
@click.option("--sensors", default="1", metavar="N|NAMES", help="How many sensors, or their names.")
@click.option("--consumers", default="1", metavar="N|NAMES", help="How many consumers, or their names.")
@click.option("--model", default="model", metavar="NAME", help="The model that agents run and sensors ask for.")
@click.option("--broker", metavar="URL", help="mqtt://HOST[:PORT] or mqtts://HOST[:PORT]; without it on this machine.")
@click.option(
    "--tee", type=click.Choice(["simulated", "tpm"]), help="Accept this kind of TEE. `simulated` proves nothing."
)
@click.option("--tls", is_flag=True, help="Give the broker and all parties certificates of the fleet's own CA.")
def command(
    directory: Path,
    fleet: str,
    agents: str,
    sensors: str,
    consumers: str,
    model: str,
    broker: str | None,
    tee: str | None,
    tls: bool,
) -> None:
    """Make a fleet in DIR: keys, credentials and settings of every party.

    Nothing that exists is overwritten. Keep DIR/authority offline: whoever holds it is the fleet.

    \b
    Example:
      sealedge init plant --fleet plant --agents east,west --tee simulated
    """
    from schemas.kinds import Tier  # noqa: PLC0415 - not for --help
    from sealedge.operations.init import FleetPlan, create_fleet  # noqa: PLC0415

    plan = FleetPlan(
        fleet,
        _names("agent", agents),
        _names("sensor", sensors),
        _names("consumer", consumers),
        model,
        broker,
        None if tee is None else Tier(tee),
        tls,
    )
    _tell(create_fleet(directory, plan, now=time.time(), randomness=os.urandom))


def _names(what: str, text: str) -> tuple[str, ...]:
    """`2` is agent-1 and agent-2; anything else is names with commas between them."""
    if text.isdecimal():
        count = int(text)
        if count > 1000:
            raise click.BadParameter("at most 1000 at a time", param_hint=f"--{what}s")
        return tuple(f"{what}-{number}" for number in range(1, count + 1))
    return tuple(text.split(","))


def _tell(fleet: "Fleet") -> None:
    from schemas.kinds import Role, Tier  # noqa: PLC0415 - not for --help
    from sealedge.operations.texts import tier_in_words  # noqa: PLC0415

    folder = fleet.folder
    click.echo(f"Fleet {fleet.name} in {folder.directory}:")
    click.echo(f"  {'authority':<10} {folder.authority}    keep this offline")
    for role, name in folder.parties():
        click.echo(f"  {role:<10} {folder.party(role, name)}")
    if fleet.description.tee is None:
        click.echo("No TEE was chosen: the verifier's policy.toml accepts nothing yet.")
    else:
        click.echo(f"The verifier accepts the tier {fleet.description.tee}: it {tier_in_words(fleet.description.tee)}.")
    if fleet.description.tee is Tier.TPM:
        click.echo("Each agent's TPM must be enrolled; for one on this machine:")
        for role, name in folder.parties():
            if role is Role.AGENT:
                click.echo(f"  sealedge tee enrol {name} --fleet {folder.directory}")
    click.echo("Next, each in a terminal of its own:")
    click.echo(f"  sealedge broker --config {folder.broker / 'broker.toml'}")
    order = (Role.VERIFIER, Role.PUBLISHER, Role.AGENT, Role.CONSUMER, Role.SENSOR)
    for role, name in sorted(folder.parties(), key=lambda party: order.index(party[0])):
        for words in _NEXT.get(role, (str(role),)):
            click.echo(f"  sealedge {words} --config {folder.settings(role, name)}")
