"""`sealedge agent`."""

import time
from contextlib import ExitStack
from pathlib import Path

import click

from sealedge.cli.options import broker_url, config, event_log, logging_options, serve


@click.command("agent")
@config("agent.toml")
@broker_url
@logging_options
def command(config: Path, broker: str | None, log: str, quiet: bool) -> int:
    """Run an agent: a courier without keys, and its enclave as a child process.

    The enclave attests, fetches its models and answers sensors. A crashed enclave is started anew. SIGTERM and
    SIGINT end both in order.

    \b
    Example:
      sealedge agent --config plant/agents/east/agent.toml
    """
    from sealedge.operations.parties.agent import build_agent  # noqa: PLC0415 - not for --help
    from sealedge.operations.settings import AgentSettings  # noqa: PLC0415

    settings = AgentSettings.load(config).with_broker(broker)
    with ExitStack() as closing:
        party = build_agent(settings, closing, now=time.time())
        return serve(party, settings.connection, event_log(settings.name, log, quiet=quiet))
