"""`sealedge attack`."""

import click

from sealedge.cli.options import as_json, print_json


@click.command("attack")
@click.option("--only", multiple=True, metavar="NAME", help="An attack, or a family of attacks; may be given again.")
@click.option("--list", "listing", is_flag=True, help="Say which attacks there are, and run none.")
@click.option("--broker", metavar="URL", help="A broker without TLS that runs already; otherwise one is started.")
@as_json
def command(only: tuple[str, ...], listing: bool, broker: str | None, as_json: bool) -> int:
    """Try every known attack, on the usual way and on sealedge.

    The usual way is TLS to the broker, an account for each client, and the same module in the same wasmtime. Both run
    for real on this machine, over one broker that is in the attacker's hands; what an attacker got is looked at, never
    assumed. Exit status 1: an attack on sealedge succeeded, or it is not clear how one went.

    \b
    Example:
      sealedge attack
      sealedge attack --list
      sealedge attack --only replay --only eavesdropping
    """
    from sealedge.operations.attacks.catalogue import chosen  # noqa: PLC0415 - not for --help
    from sealedge.operations.attacks.display import played, show_list  # noqa: PLC0415

    scenarios = chosen(only)
    if listing:
        print_json([each.to_json() for each in scenarios]) if as_json else show_list(scenarios)
        return 0
    report = played(scenarios, broker, quiet=as_json)
    if as_json:
        print_json(report.to_json())
    return 1 if report.failures else 0
