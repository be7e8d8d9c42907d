"""`sealedge endorsements import` and `sealedge endorsements show`."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from sealedge.cli.options import FILE, as_json, moment, print_json

if TYPE_CHECKING:
    from sealedge.operations.endorsement_import import Endorsement
    from sealedge.operations.endorsement_kinds import Recognised

FOLDER: Final = Path("endorsements")
KEY_KINDS: Final = ("psa", "cca", "ear", "tpm")


@click.group("endorsements", no_args_is_help=False)
def command() -> None:
    """Keep what vendors say of their TEEs in a folder, for a verifier that fetches nothing.

    \b
    Example:
      sealedge endorsements import collateral.json vcek.der --into endorsements
    """


@command.command("import")
@click.argument("files", metavar="FILE...", type=FILE, nargs=-1, required=True)
@click.option("--into", metavar="DIR", type=FILE, default=FOLDER, help="The folder.")
@moment("--at", "The time at which they are checked")
@click.option("--kind", type=click.Choice(KEY_KINDS), help="FILE is a bare public key, of evidence of this kind.")
@click.option("--id", "identifier", metavar="ID", help="Whose: an instance id in hex; for ear an issuer or key id.")
@as_json
def import_(
    files: tuple[Path, ...], into: Path, at: float | None, kind: str | None, identifier: str | None, as_json: bool
) -> None:
    """Recognise vendors' files by their content, verify them, and keep each under its name.

    AMD's certificates and revocation lists, Intel's TCB info, QE identities, signing chains and revocation lists
    (each by itself, or dcap-qvl's collateral), and, with --kind and --id, public keys of PSA and CCA devices, TPMs
    and other verifiers. Exit status 1: a signature does not hold, and nothing was written; 2: a file is unknown.

    \b
    Example:
      sealedge endorsements import ask_ark_milan.pem vcek.der collateral.json --into endorsements
      sealedge endorsements import device.pem --kind psa --id 01020304... --into endorsements
    """
    from sealedge.operations.endorsement_import import Importing, write_endorsements  # noqa: PLC0415 - not for --help
    from sealedge.operations.endorsements import read_endorsements  # noqa: PLC0415

    found = [_recognised(path, kind, identifier) for path in files]
    held = read_endorsements(into if into.exists() else None)
    verified = Importing(held, time.time() if at is None else at).endorsements(found)
    write_endorsements(into, verified)
    if as_json:
        print_json([{"name": each.name, "warning": each.warning} for each in verified])
        return
    for each in verified:
        _tell(each)
    if not verified:
        click.echo("nothing to keep: roots are pinned, and issuers of quotes travel with them")


@command.command("show")
@click.argument("folder", metavar="[DIR]", type=FILE, default=FOLDER)
@as_json
def show(folder: Path, as_json: bool) -> None:
    """List a folder's endorsements: name, of whom, until when, SHA-256.

    \b
    Example:
      sealedge endorsements show endorsements
    """
    from protocol.errors import printable  # noqa: PLC0415
    from sealedge.operations.endorsement_listing import listing  # noqa: PLC0415 - not for --help

    found = list(listing(folder))
    if as_json:
        print_json(found)
        return
    for each in found:
        click.echo(each["name"])
        until = each["until"] or "no end"
        click.echo(printable(f"  {each['subject']}; until {until}; sha256 {(each['sha256'] or '')[:16]}"))


def _recognised(path: Path, kind: str | None, identifier: str | None) -> "Recognised":
    from protocol.errors import ConfigurationError, MalformedError  # noqa: PLC0415 - not for --help
    from sealedge.operations.endorsement_kinds import recognise  # noqa: PLC0415
    from sealedge.operations.endorsements import MAX_BYTES  # noqa: PLC0415
    from storage.files import read_bytes  # noqa: PLC0415

    data = read_bytes(path, max_bytes=MAX_BYTES)
    try:
        return recognise(data, kind, identifier)
    except (ConfigurationError, MalformedError) as error:
        raise ConfigurationError(f"{path}: {error}", finding=error.finding) from None


def _tell(each: "Endorsement") -> None:
    from protocol.errors import printable  # noqa: PLC0415 - not for --help

    click.echo(f"{each.name}{each.suffix}")
    if each.warning is not None:
        click.echo(printable(f"  warning: {each.warning}"))
