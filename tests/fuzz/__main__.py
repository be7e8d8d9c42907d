"""`python -m tests.fuzz`: each target for some seconds under a coverage-guided fuzzer.

    python -m tests.fuzz [--seconds 30] [--only WORD] [--jobs 2] [--json]
    python -m tests.fuzz --replay .fuzz/found/TARGET/crash-...
    python -m tests.fuzz --keep

Faults on purpose come first, and must be found: what cannot fail says nothing. Exit 1: an input raised anything but
a RemoteError or took more than it may, and lies in `.fuzz/found`; or a fault on purpose was not found.
"""

import argparse
import faulthandler
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

from tests.fuzz.running import fuzzed, instrumented

PLANTED_SECONDS = 300
"""At most: a fault on purpose ends its run as soon as it is found."""

HANGING_SECONDS = 30


def main(arguments: Sequence[str]) -> int:
    """Do as the arguments say. Returns the exit status."""
    asked = _parser().parse_args(arguments)
    if asked.replay:
        return _replay(asked.replay)
    try:
        instrumented()
    except ModuleNotFoundError as error:
        print(f"{error.name} is missing: `make fuzz` installs it", file=sys.stderr)
        return 2
    if asked.keep:
        from tests.fuzz.keeping import keep  # noqa: PLC0415

        return keep(asked.only)
    return _fuzz(asked)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m tests.fuzz", description="Fuzz what reads bytes from the network.")
    parser.add_argument("--seconds", type=int, default=30, help="for each target")
    parser.add_argument("--only", default="", help="targets whose name contains this")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="targets at a time")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--replay", type=Path, nargs="+", help="inputs: each through the target of its folder, once")
    parser.add_argument("--keep", action="store_true", help="write the committed corpus anew from what was found")
    return parser


def _fuzz(asked: argparse.Namespace) -> int:
    from tests.fuzz.targets import names  # noqa: PLC0415

    begun, told = time.monotonic(), sys.stderr if asked.json else sys.stdout
    planted = _find_planted(asked, told)
    outcomes = []
    for each in fuzzed([name for name in names() if asked.only in name], asked.seconds, asked.jobs):
        outcomes.append(each)
        print(each.line, file=told, flush=True)
    faults = sum(not each.is_clean for each in outcomes)
    shown = {
        "targets": len(outcomes),
        "runs": sum(each.runs for each in outcomes),
        "faults": faults,
        "planted": len(planted),
        "planted_found": sum(planted.values()),
        "seconds": round(time.monotonic() - begun, 1),
    }
    print("  ".join(f"{count} {what}" for what, count in shown.items()), file=told)
    if asked.json:
        print(json.dumps({**shown, "outcomes": [asdict(each) for each in outcomes]}, indent=1))
    return 0 if (outcomes or planted) and not faults and all(planted.values()) else 1


def _find_planted(asked: argparse.Namespace, told: TextIO) -> dict[str, bool]:
    """Whether each fault on purpose was found, under the word that is said of it."""
    from tests.fuzz.planted import planted  # noqa: PLC0415

    wanted = {name: each.found for name, each in planted().items() if asked.only in name}
    found = {}
    for each in fuzzed(list(wanted), PLANTED_SECONDS, asked.jobs):
        found[each.target] = each.found == wanted[each.target]
        word = "found" if found[each.target] else "MISSED"
        print(f"{word} {wanted[each.target]} in {each.runs} runs  {each.target}", file=told, flush=True)
    return found


def _replay(inputs: Sequence[Path]) -> int:
    """Raises whatever a target raises. A loop in C is ended, and told where it stands."""
    from tests.fuzz.registry import target_of  # noqa: PLC0415

    for each in inputs:
        faulthandler.dump_traceback_later(HANGING_SECONDS, exit=True)
        target_of(each.parent.name).run(each.read_bytes())
        faulthandler.cancel_dump_traceback_later()
        print(f"ok {each}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
