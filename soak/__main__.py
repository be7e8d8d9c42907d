"""`python -m soak`: run everything for a bounded time, write docs/soak.md and docs/soak.json, and say what was found.

    python -m soak --seconds 900                    half of it with kills, half in peace
    python -m soak --seconds 40 --folder made       write the report elsewhere
    python -m soak --again                          write soak.md anew, from the soak.json that is there

Exit status 1: something was doubled, lost in silence or answered wrongly, or somebody did not come back from a kill.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice
from os import getloadavg
from pathlib import Path
from typing import Any, Final

from bench.machine import broker_version, machine_of
from sealedge.operations.demo.display import Display
from sealedge.operations.demo.kept import demo_folder
from soak.fleet import ROOT, SINGLE, STEADY, Fleet, sealedge
from soak.readings import Reading, drawn, in_the_clear
from soak.report import found, holds, page
from soak.run import Plan, Soak

PACKAGES: Final = ("wasmtime", "cryptography", "cbor2", "pydantic", "paho-mqtt")

MARGIN: Final = 1.5
MARGIN_SECONDS: Final = 120.0
"""Readings are drawn for longer than planned: a busy machine takes longer for its kills."""


def main(arguments: Sequence[str]) -> int:
    """Do as the arguments say. Returns the exit status."""
    asked = _parser().parse_args(arguments)
    if asked.again:
        _write(json.loads((asked.folder / "soak.json").read_text("utf-8")), asked.folder)
        return 0
    plan = _plan(asked)
    begun, load = datetime.now(UTC), getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="sealedge-soak-") as folder:
        fleet, readings = _made(Path(folder), plan, asked.seed)
        outcome = Soak(fleet, plan, readings, _say).run()
    about = {
        "command": _command(asked),
        "begun": f"{begun:%Y-%m-%d %H:%M} UTC",
        "note": asked.note,
        "machine": {**machine_of(load, PACKAGES), "broker": broker_version("mosquitto")},
    }
    shown = found(outcome, plan, about)
    _write(shown, asked.folder)
    print(json.dumps({name: shown[name] for name in ("seconds", "requests", "consumer", "kills", "faults")}, indent=1))
    return 0 if holds(shown) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m soak", description="Real processes under load, killed in turn.")
    parser.add_argument("--seconds", type=float, default=900.0, help="how long readings are sent (default: 900)")
    parser.add_argument("--quiet", type=float, help="how much of it at its end is without kills (default: half)")
    parser.add_argument("--interval", type=float, default=15.0, help="seconds from one kill to the next, at least")
    parser.add_argument("--rate", type=float, default=30.0, help="readings a second, of all sensors together")
    parser.add_argument("--wait", type=float, default=60.0, help="seconds that a request may take")
    parser.add_argument("--seed", type=int, default=1, help="of the readings")
    parser.add_argument("--note", default="", help="what the report says of the machine besides")
    parser.add_argument("--folder", type=Path, default=ROOT / "docs", help="where the report goes (default: docs)")
    parser.add_argument("--again", action="store_true", help="measure nothing; write soak.md from soak.json")
    return parser


def _plan(asked: argparse.Namespace) -> Plan:
    quiet = asked.seconds / 2 if asked.quiet is None else asked.quiet
    rates = {STEADY: asked.rate * 2 / 3, SINGLE: asked.rate / 3}
    return Plan(max(0.0, asked.seconds - quiet), quiet, asked.interval, rates, asked.wait)


def _command(asked: argparse.Namespace) -> str:
    """What to type for such a run again."""
    usual = _parser()
    told = {name: getattr(asked, name) for name in ("quiet", "interval", "rate", "wait", "seed")}
    other = [f"--{name} {value:g}" for name, value in told.items() if value != usual.get_default(name)]
    return f"make soak SECONDS={asked.seconds:g}" + (f' ARGS="{" ".join(other)}"' if other else "")


def _made(folder: Path, plan: Plan, seed: int) -> tuple[Fleet, dict[str, list[Reading]]]:
    """A fleet that can be started, and each sensor's readings."""
    with Display(quiet=True) as display:
        model = display.build(demo_folder())
    fleet = Fleet(folder / "fleet", model, plan.request_seconds)
    fleet.create()
    run = in_the_clear(sealedge, model.path, fleet.description, folder)
    seconds = MARGIN * (plan.kill_seconds + plan.quiet_seconds) + MARGIN_SECONDS
    counts = {sensor: int(rate * seconds) for sensor, rate in plan.rates.items()}
    readings = iter(drawn(model.patients(), run, sum(counts.values()), seed))
    return fleet, {sensor: list(islice(readings, count)) for sensor, count in counts.items()}


def _write(shown: dict[str, Any], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "soak.json").write_text(json.dumps(shown, ensure_ascii=False) + "\n", "utf-8")
    (folder / "soak.md").write_text(page(shown), "utf-8")


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
