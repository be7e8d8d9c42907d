"""`sealedge demo`."""

import os
import time
from typing import TYPE_CHECKING, Any, Final

import click

from protocol.errors import ConfigurationError, Finding
from sealedge.cli.options import as_json, print_json

if TYPE_CHECKING:
    from schemas.kinds import Tier


SHOWN_ATTACKS: Final = ("eavesdrop-readings", "forge-result", "relayed-evidence")


@click.command("demo")
@click.option("--attack", is_flag=True, help="Then try three attacks, on the usual way and on sealedge.")
@as_json
def command(attack: bool, as_json: bool) -> int:
    """Show everything at once on this machine, with all parties as processes over a broker on loopback.

    171 patients that the network never saw are sent as encrypted readings to an attested (simulated) enclave; the
    results go encrypted to a consumer. An eavesdropper on the broker looks for plaintext, every receipt is checked
    offline, and at last the model is revoked. Exit status 1: something that is claimed did not hold.

    With SEALEDGE_TEE=tpm the agent attests with a TPM 2.0 in software (swtpm, on loopback); with SEALEDGE_TPM__TCTI
    set too, with the TPM that this leads to. Needs tpm2-tools.

    \b
    Example:
      sealedge demo
      sealedge demo --json
      sealedge demo --attack
      SEALEDGE_TEE=tpm sealedge demo
    """
    from sealedge.operations.demo.display import Display  # noqa: PLC0415 - not for --help
    from sealedge.operations.demo.kept import demo_folder  # noqa: PLC0415
    from sealedge.operations.demo.run import Demo  # noqa: PLC0415

    started = time.perf_counter()
    tee = _tee()
    display = Display(quiet=as_json)
    with display:
        model = display.build(demo_folder())
        report = Demo(model, display.tell, display.progress, tee).run(started)
    found: dict[str, Any] = report.to_json()
    if not as_json:
        display.show(report)
    failures = [*found["failures"]]
    if attack:
        found["attacks"] = _attacks(quiet=as_json)
        failures += found["attacks"]["failures"]
    if as_json:
        print_json(found)
    return 1 if failures else 0


def _attacks(*, quiet: bool) -> dict[str, Any]:
    """What `sealedge attack` says of three attacks."""
    from sealedge.operations.attacks.catalogue import chosen  # noqa: PLC0415 - not for --help
    from sealedge.operations.attacks.display import played  # noqa: PLC0415

    return played(chosen(SHOWN_ATTACKS), None, quiet=quiet).to_json()


def _tee() -> "Tier":
    """What SEALEDGE_TEE says. A TEE that is missing is an error, never a reason to take a lesser one (P6)."""
    from schemas.kinds import Tier  # noqa: PLC0415 - not for --help

    name = os.environ.get("SEALEDGE_TEE", Tier.SIMULATED)
    if name not in (Tier.SIMULATED, Tier.TPM):
        finding = Finding("SEALEDGE_TEE", "simulated or tpm", repr(name)[:40])
        raise ConfigurationError("the demo knows no such TEE", finding=finding)
    return Tier(name)
