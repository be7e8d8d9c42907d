"""`sealedge measure`."""

from pathlib import Path

import click

from sealedge.cli.options import FILE, as_json, print_json


@click.command("measure")
@click.option("--config", "config", metavar="FILE", type=FILE, help="An agent.toml: also digest its configuration.")
@as_json
def command(config: Path | None, as_json: bool) -> None:
    """Show what this installation's enclave measures as, and what that covers.

    A verifier's policy.toml names the measurement, and with --config the configuration, as reference values.

    \b
    Example:
      sealedge measure --config plant/agents/east/agent.toml
    """
    from edge_agent.measurement import measure  # noqa: PLC0415 - not for --help

    found = measure()
    configuration = None if config is None else _configuration(config)
    if as_json:
        entries = dict(found.entries)
        print_json({"measurement": found.digest.hex(), "configuration": configuration, "entries": entries})
        return
    click.echo(f"measurement    {found.digest.hex()}")
    if configuration is not None:
        click.echo(f"configuration  {configuration}")
    click.echo(f"covers {len(found.entries)} entries:")
    for name, value in found.entries:
        click.echo(f"  {value[:16]:<18} {name}")


def _configuration(config: Path) -> str:
    from sealedge.operations.references import configuration_digest, measured_configuration  # noqa: PLC0415
    from sealedge.operations.settings import AgentSettings  # noqa: PLC0415
    from storage.key_files import read_verifying_key  # noqa: PLC0415 - not for --help

    settings = AgentSettings.load(config)
    authority = read_verifying_key(settings.path(settings.authority))
    return configuration_digest(measured_configuration(settings.fleet, authority, settings.models)).hex()
