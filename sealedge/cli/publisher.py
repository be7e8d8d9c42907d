"""`sealedge publisher publish` and `sealedge publisher serve`."""

import time
from contextlib import ExitStack
from pathlib import Path

import click

from sealedge.cli.options import FILE, as_json, broker_url, config, event_log, logging_options, print_json


@click.group("publisher", no_args_is_help=False)
def command() -> None:
    """Publish models and lend their keys to attested enclaves.

    \b
    Example:
      sealedge publisher publish model.wasm --describe model.toml --config plant/publisher/publisher.toml
      sealedge publisher serve --config plant/publisher/publisher.toml
    """


@command.command("publish")
@click.argument("module", metavar="MODULE.wasm", type=FILE)
@click.option("--describe", required=True, metavar="FILE", type=FILE, help="Tensors, tiers and limits: TOML or JSON.")
@click.option("--name", metavar="NAME", help="The model's name, where the description has none or another.")
@click.option("--tier", "tiers", multiple=True, metavar="TIER", help="A kind of TEE that may hold it; repeatable.")
@click.option("--force", is_flag=True, help="Make a new version of what is published already.")
@config("publisher.toml")
@as_json
def publish(
    module: Path, describe: Path, name: str | None, tiers: tuple[str, ...], force: bool, config: Path, as_json: bool
) -> None:
    """Package a WebAssembly module as the next version of a model.

    Versions count up. The same module with the same description is no new version. A publisher that serves
    publishes it within a second; otherwise it does when it is started.

    \b
    Example:
      sealedge publisher publish model.wasm --describe model.toml --config plant/publisher/publisher.toml
    """
    from sealedge.operations.describe import load_description  # noqa: PLC0415 - not for --help
    from sealedge.operations.parties.publisher import package_model  # noqa: PLC0415
    from sealedge.operations.settings import PublisherSettings  # noqa: PLC0415

    settings = PublisherSettings.load(config)
    description = load_description(describe, name, tiers)
    with ExitStack() as closing:
        packaged = package_model(settings, module, description, closing, now=time.time(), force=force)
    manifest = packaged.manifest
    found = {
        "model": manifest.model,
        "version": manifest.version,
        "new": packaged.new,
        "module": manifest.digest.hex(),
        "bytes": manifest.size,
        "chunks": len(manifest.chunks),
        "moved": len(packaged.moved),
        "tiers": [str(tier) for tier in manifest.tiers],
    }
    if as_json:
        print_json(found)
        return
    what = "packaged" if packaged.new else "unchanged:"
    click.echo(f"{what} {manifest.model} version {manifest.version}, {manifest.size} bytes in {found['chunks']} chunks")
    click.echo(f"module {found['module']}")


@command.command("serve")
@config("publisher.toml")
@broker_url
@logging_options
def serve(config: Path, broker: str | None, log: str, quiet: bool) -> int:
    """Publish all packaged models and lend their keys while this runs.

    [release] in publisher.toml narrows to whom. SIGTERM and SIGINT end it in order.

    \b
    Example:
      sealedge publisher serve --config plant/publisher/publisher.toml
    """
    from sealedge.operations.parties.publisher import serve_publisher  # noqa: PLC0415 - not for --help
    from sealedge.operations.settings import PublisherSettings  # noqa: PLC0415

    settings = PublisherSettings.load(config).with_broker(broker)
    with ExitStack() as closing:
        return serve_publisher(settings, closing, event_log(settings.name, log, quiet=quiet), now=time.time())
