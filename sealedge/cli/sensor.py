"""`sealedge sensor send`."""

from pathlib import Path

import click

from sealedge.cli.options import broker_url, config, event_log, logging_options, print_json, until_stopped


@click.group("sensor", no_args_is_help=False)
def command() -> None:
    """Send readings to attested enclaves.

    \b
    Example:
      sealedge sensor send readings.csv --config plant/sensors/sensor-1/sensor.toml
    """


@command.command("send")
@click.argument("source", metavar="FILE|-")
@click.option("--one-shot", is_flag=True, help="Seal each reading by itself: no session is kept.")
@click.option("--wait", type=click.FloatRange(min=0.1), metavar="SECONDS", help="How long each may take.")
@config("sensor.toml")
@broker_url
@logging_options
def send(
    source: str, one_shot: bool, wait: float | None, config: Path, broker: str | None, log: str, quiet: bool
) -> int:
    """Send each reading of FILE, and print one JSON line for each request that ends.

    FILE holds rows of numbers (CSV) or JSON arrays, one a line (*.jsonl); - is the standard input. What was not
    answered when this is interrupted stays in the outbox and is sent at the next start. Exit status 0: all were
    answered; 1: some were refused or timed out.

    \b
    Example:
      sealedge sensor send readings.csv --config plant/sensors/sensor-1/sensor.toml
    """
    from sealedge.client.settings import SensorSettings  # noqa: PLC0415 - not for --help
    from sealedge.operations.readings import readings  # noqa: PLC0415
    from sealedge.operations.send import Sending  # noqa: PLC0415

    settings = SensorSettings.load(config).with_broker(broker)
    if one_shot:
        settings = settings.model_copy(update={"one_shot": True})
    sending = Sending(settings, print_json, event_log(settings.name, log, quiet=quiet))
    seconds = settings.request_seconds if wait is None else wait
    return until_stopped(lambda: 0 if sending.run(readings(source), seconds) else 1, interrupted=1)
