"""`sealedge tee identity`, `challenge`, `activate` and `enrol`."""

import hashlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sealedge.cli.options import FILE, config, fleet_folder

if TYPE_CHECKING:
    from sealedge.operations.tpm_challenge import Challenged
    from sealedge.operations.tpm_documents import Identity

_UNCERTIFIED = (
    "Nobody vouches for the endorsement key of this TPM: what follows proves that the attestation key lives with that\n"
    "key, not that either lives in a genuine TPM. Name the authorities of TPM makers with --ek-roots."
)

_ek_roots = click.option(
    "--ek-roots", metavar="FILE", type=FILE, help="PEM of TPM makers' authorities; any other TPM is refused."
)


@click.group("tee", no_args_is_help=False)
def command() -> None:
    """Enrol the TPM 2.0 of an agent's machine: the verifier knows the machine by its attestation key.

    For a TPM on the operator's own machine `enrol` does it all. Otherwise files are carried, none of them secret:
    `identity` on the agent's machine, `challenge` where the authority is, `activate` on the agent's machine, and
    `sealedge enrol agent NAME --tpm-answer FILE` where the authority is. Needs tpm2-tools.

    \b
    Example:
      sealedge tee identity --config agent.toml --out east.json
      sealedge tee challenge east.json --fleet plant --out east-challenge.json
      sealedge tee activate east-challenge.json --config agent.toml --out east-answer.json
      sealedge enrol agent east --tpm-answer east-answer.json --fleet plant
    """


@command.command("identity")
@config("agent.toml")
@click.option("--out", metavar="FILE", type=FILE, help="Write the identity here; without it, only show it.")
def identity(config: Path, out: Path | None) -> None:
    """Make this agent's attestation key in its TPM, if there is none, and say who the machine is.

    \b
    Example:
      sealedge tee identity --config agent.toml --out east.json
    """
    from sealedge.operations.settings import AgentSettings  # noqa: PLC0415 - not for --help
    from sealedge.operations.tpm_machine import identify  # noqa: PLC0415

    found = identify(AgentSettings.load(config))
    _show(found)
    if out is not None:
        found.write(out)


@command.command("challenge")
@click.argument("identity", metavar="IDENTITY", type=FILE)
@fleet_folder
@_ek_roots
@click.option("--out", metavar="FILE", type=FILE, required=True, help="Write the challenge here.")
def challenge(identity: Path, fleet: Path, ek_roots: Path | None, out: Path) -> None:
    """Make a challenge that only the TPM of this IDENTITY can answer, and only with its attestation key.

    The answer is awaited for seven days, in DIR/authority/tpm.

    \b
    Example:
      sealedge tee challenge east.json --fleet plant --ek-roots makers.pem --out east-challenge.json
    """
    from protocol.errors import ConfigurationError, MalformedError  # noqa: PLC0415 - not for --help
    from sealedge.operations.tpm_documents import Identity  # noqa: PLC0415

    try:
        made = _challenged(Identity.read_untrusted(identity), fleet, ek_roots)
    except MalformedError as error:
        # The operator named a file that holds something else: wrong input, as where it is no JSON at all.
        raise ConfigurationError(f"{identity}: {error}", finding=error.finding) from None
    made.challenge.write(out)
    click.echo(f"challenge for the chip {made.challenge.chip} in {out}")


@command.command("activate")
@click.argument("challenge", metavar="CHALLENGE", type=FILE)
@config("agent.toml")
@click.option("--out", metavar="FILE", type=FILE, required=True, help="Write the answer here.")
def activate(challenge: Path, config: Path, out: Path) -> None:
    """Let this machine's TPM answer a CHALLENGE.

    \b
    Example:
      sealedge tee activate east-challenge.json --config agent.toml --out east-answer.json
    """
    from sealedge.operations.settings import AgentSettings  # noqa: PLC0415 - not for --help
    from sealedge.operations.tpm_documents import Challenge  # noqa: PLC0415
    from sealedge.operations.tpm_machine import activate as answer  # noqa: PLC0415

    answer(AgentSettings.load(config), Challenge.read_untrusted(challenge)).write(out)
    click.echo(f"answer in {out}")


@command.command("enrol")
@click.argument("name", metavar="NAME")
@fleet_folder
@_ek_roots
def enrol(name: str, fleet: Path, ek_roots: Path | None) -> None:
    """Enrol the TPM that the agent NAME's settings in DIR lead to, all at once: for a TPM on this machine.

    \b
    Example:
      sealedge tee enrol east --fleet plant
    """
    from schemas.kinds import Role  # noqa: PLC0415 - not for --help
    from sealedge.operations.enrol import enrol_chips  # noqa: PLC0415
    from sealedge.operations.fleet import open_fleet  # noqa: PLC0415
    from sealedge.operations.settings import AgentSettings  # noqa: PLC0415
    from sealedge.operations.tpm_challenge import accept_answer  # noqa: PLC0415
    from sealedge.operations.tpm_machine import activate as answer  # noqa: PLC0415
    from sealedge.operations.tpm_machine import identify  # noqa: PLC0415

    opened = open_fleet(fleet)
    settings = AgentSettings.load(opened.folder.settings(Role.AGENT, name))
    found = identify(settings)
    _show(found)
    made = _challenged(found, fleet, ek_roots)
    chip = accept_answer(opened.folder, answer(settings, made.challenge), time.time())
    path = enrol_chips(opened, name, [chip], now=time.time(), randomness=os.urandom)
    click.echo(f"agent {name} may run on this machine: {path}")


def _challenged(identity: "Identity", fleet: Path, ek_roots: Path | None) -> "Challenged":
    from sealedge.operations.fleet import FleetFolder  # noqa: PLC0415 - not for --help
    from sealedge.operations.tpm_challenge import challenge as challenged  # noqa: PLC0415
    from storage.files import read_bytes  # noqa: PLC0415

    authorities = None if ek_roots is None else read_bytes(ek_roots)
    made = challenged(FleetFolder(fleet), identity, authorities, now=time.time(), randomness=os.urandom)
    if made.certified_by is None:
        click.echo(_UNCERTIFIED, err=True)
    else:
        click.echo(f"endorsement key certified by {made.certified_by}")
    return made


def _show(identity: "Identity") -> None:
    certificate = "none in the TPM" if identity.ek_certificate is None else f"{len(identity.ek_certificate)} bytes"
    click.echo(f"chip            {identity.chip}")
    click.echo(f"ek              {hashlib.sha256(identity.ek).hexdigest()}")
    click.echo(f"ek certificate  {certificate}")
