"""`sealedge consumer`."""

from pathlib import Path

import click

from sealedge.cli.options import FILE, broker_url, config, event_log, logging_options, print_json, until_stopped


@click.command("consumer")
@config("consumer.toml")
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after so many results.")
@click.option("--timeout", type=click.FloatRange(min=0.1), metavar="SECONDS", help="End after so many seconds.")
@click.option("--receipts", metavar="DIR", type=FILE, help="Keep each result's receipt bundle there.")
@broker_url
@logging_options
def command(
    config: Path,
    count: int | None,
    timeout: float | None,
    receipts: Path | None,
    broker: str | None,
    log: str,
    quiet: bool,
) -> int:
    """Receive results, verified, and print one JSON line for each.

    A receipt bundle (DIR/REQUEST.receipt) proves a result to anybody: see `sealedge receipt verify`. Exit status 1:
    the time was over before --count results had come.

    \b
    Example:
      sealedge consumer --count 10 --receipts receipts --config plant/consumers/consumer-1/consumer.toml
    """
    from sealedge.client.settings import ConsumerSettings  # noqa: PLC0415 - not for --help
    from sealedge.operations.consume import consume  # noqa: PLC0415

    settings = ConsumerSettings.load(config).with_broker(broker)
    listener = event_log(settings.name, log, quiet=quiet)

    def run() -> int:
        received = consume(settings, print_json, listener, count=count, timeout=timeout, receipts=receipts)
        return 1 if count is not None and received < count else 0

    return until_stopped(run, interrupted=0 if count is None else 1)
