"""`sealedge demo`."""

import time
from typing import Any

import click

from sealedge.cli.options import as_json, print_json


@click.command("demo")
@as_json
def command(as_json: bool) -> int:
    """Show everything at once on this machine, with all parties as processes over a broker on loopback.

    171 patients that the network never saw are sent as encrypted readings to an attested (simulated) enclave; the
    results go encrypted to a consumer. An eavesdropper on the broker looks for plaintext, every receipt is checked
    offline, and at last the model is revoked. Exit status 1: something that is claimed did not hold.

    \b
    Example:
      sealedge demo
      sealedge demo --json
    """
    from sealedge.operations.demo.display import Display  # noqa: PLC0415 - not for --help
    from sealedge.operations.demo.run import Demo, demo_folder  # noqa: PLC0415

    started = time.perf_counter()
    display = Display(quiet=as_json)
    with display:
        model = display.build(demo_folder())
        report = Demo(model, display.tell, display.progress).run(started)
    found: dict[str, Any] = report.to_json()
    if as_json:
        print_json(found)
    else:
        display.show(report)
    return 1 if found["failures"] else 0
