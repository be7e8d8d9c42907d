"""`sealedge broker`: a broker for trials."""

from pathlib import Path

import click

from sealedge.cli.options import FILE, event_log, logging_options


@click.command("broker")
@click.option("--config", "config", metavar="FILE", type=FILE, help="A fleet's broker.toml.")
@click.option("--kind", type=click.Choice(["auto", "mosquitto", "iotcore"]), help="auto prefers mosquitto.")
@click.option("--port", type=click.IntRange(0, 65535), help="The port on 127.0.0.1; 0 takes any that is free.")
@logging_options
def command(config: Path | None, kind: str | None, port: int | None, log: str, quiet: bool) -> int:
    """Run a broker on this machine, in the foreground, and print its URL.

    It listens on 127.0.0.1 alone, and anybody on this machine may use it. For other machines run the mosquitto
    that DIR/broker/mosquitto.conf of a fleet configures.

    \b
    Example:
      sealedge broker --config plant/broker/broker.toml
    """
    from sealedge.operations.embedded import load_embedded, run_broker  # noqa: PLC0415 - not for --help

    settings = load_embedded(config, kind=kind, port=port)
    return run_broker(settings, event_log("broker", log, quiet=quiet))
