"""`sealedge agent`."""

import time
from contextlib import ExitStack
from pathlib import Path

import click

from sealedge.cli.options import broker_url, config, event_log, logging_options


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
    from edge_agent.measuring import Measuring  # noqa: PLC0415 - not for --help

    measuring = Measuring()
    from sealedge.operations.agent_settings import AgentSettings  # noqa: PLC0415
    from sealedge.operations.parties.enclave import begin_enclave  # noqa: PLC0415

    settings = AgentSettings.load(config).with_broker(broker)
    with ExitStack() as closing:
        begun = begin_enclave(settings, closing, now=time.time(), measurement=measuring.digest)
        # Imported while the enclave comes up.
        from broker.link import Link  # noqa: PLC0415
        from broker.process import run  # noqa: PLC0415
        from sealedge.operations.parties.agent import completed_agent  # noqa: PLC0415

        listener = event_log(settings.name, log, quiet=quiet)
        return run(Link(completed_agent(settings, begun), settings.connection, listener=listener))
