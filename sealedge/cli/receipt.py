"""`sealedge receipt verify`."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sealedge.cli.options import FILE, as_json, print_json

if TYPE_CHECKING:
    from sealedge.operations.receipt import Anchors, CheckedReceipt

MAX_CONTENT = 2**26


@click.group("receipt", no_args_is_help=False)
def command() -> None:
    """Check receipts offline.

    \b
    Example:
      sealedge receipt verify receipts/REQUEST.receipt --fleet plant
    """


@command.command("verify")
@click.argument("bundle", metavar="BUNDLE", type=FILE)
@click.option("--fleet", metavar="DIR", type=FILE, help="A fleet's folder: its authority's key and revocations.")
@click.option("--authority", metavar="FILE", type=FILE, help="The authority's public key instead.")
@click.option("--verifier-key", metavar="FILE", type=FILE, help="The verifier's own public key: instead, or as well.")
@click.option("--input", "input_file", metavar="FILE", type=FILE, help="The bytes that the module was given.")
@click.option("--output", "output_file", metavar="FILE", type=FILE, help="The bytes that it answered.")
@click.option("--state", "state_file", metavar="FILE", type=FILE, help="The model's state before, where it has some.")
@as_json
def verify(
    bundle: Path,
    fleet: Path | None,
    authority: Path | None,
    verifier_key: Path | None,
    input_file: Path | None,
    output_file: Path | None,
    state_file: Path | None,
    as_json: bool,
) -> None:
    """Check a receipt bundle, offline: which enclave computed what, when, by which model, on which tier.

    Exit status 0: it holds; 1: it does not; 2: BUNDLE is no receipt bundle, or no key was given. What the fleet
    has revoked since does not hold any more.

    \b
    Example:
      sealedge receipt verify receipts/REQUEST.receipt --fleet plant
    """
    from sealedge.operations.receipt import check_bundle, open_bundle  # noqa: PLC0415 - not for --help
    from storage.files import read_bytes  # noqa: PLC0415

    anchors = _anchors(fleet, authority, verifier_key)
    files = {"input": input_file, "output": output_file, "state": state_file}
    contents = {what: read_bytes(path, max_bytes=MAX_CONTENT) for what, path in files.items() if path is not None}
    opened = open_bundle(read_bytes(bundle), str(bundle))
    checked = check_bundle(opened, anchors, contents, time.time())
    if as_json:
        print_json({"valid": True, **checked.summary()})
    else:
        _tell(checked)


def _anchors(fleet: Path | None, authority: Path | None, verifier_key: Path | None) -> "Anchors":
    from sealedge.operations.fleet import FleetFolder, read_description  # noqa: PLC0415
    from sealedge.operations.receipt import Anchors  # noqa: PLC0415
    from storage.files import read_bytes  # noqa: PLC0415
    from storage.key_files import read_verifying_key  # noqa: PLC0415

    pinned = None if verifier_key is None else read_verifying_key(verifier_key)
    if fleet is not None and authority is not None:
        raise click.UsageError("give --fleet or --authority, not both")
    if fleet is None:
        return Anchors(None if authority is None else read_verifying_key(authority), pinned)
    folder = FleetFolder(fleet)
    name = read_description(folder).fleet
    return Anchors(read_verifying_key(folder.authority_public), pinned, name, read_bytes(folder.revocations))


def _tell(checked: "CheckedReceipt") -> None:
    from datetime import UTC, datetime  # noqa: PLC0415

    receipt, result = checked.receipt, checked.result
    moment = datetime.fromtimestamp(receipt.time, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    click.echo("The receipt holds.")
    for label, value in (
        ("request", receipt.request.hex()),
        ("model", f"{receipt.model} version {receipt.version}, module {receipt.module.hex()}"),
        ("agent", f"{receipt.agent} of fleet {receipt.fleet}"),
        ("tier", str(receipt.tier)),
        ("enclave", f"measured as {result.measurement.hex()}"),
        ("verifier", result.verifier),
        ("time", f"{moment}, by the enclave's clock"),
        ("sender", f"key {receipt.sender.hex()}"),
        ("signed", f"under the root {checked.root.hex()}"),
        *([] if receipt.carried is None else [("step", f"{receipt.carried.step}, since the state was zeros")]),
        *([] if receipt.delivered is None else [("number", f"{receipt.delivered}, of its session's results from 0")]),
        ("content", " and ".join(checked.contents) + " shown to be the ones" if checked.contents else "not shown"),
    ):
        click.echo(f"  {label:<9} {value}")
