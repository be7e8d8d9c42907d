"""`sealedge verifier`."""

import time
from contextlib import ExitStack
from pathlib import Path

import click

from sealedge.cli.options import broker_url, config, event_log, logging_options, serve


@click.command("verifier")
@config("verifier.toml")
@broker_url
@logging_options
def command(config: Path, broker: str | None, log: str, quiet: bool) -> int:
    """Run the verifier: challenge enclaves, appraise their evidence, publish attestation results.

    Its policy.toml says which TEEs and which enclaves are good enough. SIGTERM and SIGINT end it in order.

    \b
    Example:
      sealedge verifier --config plant/verifier/verifier.toml
    """
    from sealedge.operations.parties.verifier import build_verifier  # noqa: PLC0415 - not for --help
    from sealedge.operations.settings import VerifierSettings  # noqa: PLC0415

    settings = VerifierSettings.load(config).with_broker(broker)
    with ExitStack() as closing:
        party = build_verifier(settings, closing, now=time.time())
        return serve(party, settings.connection, event_log(settings.name, log, quiet=quiet))
