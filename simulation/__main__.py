"""`python -m simulation`: run seeds, replay and shrink one, or plant bugs and see that they are caught.

    python -m simulation --seeds 2000 --first 0         so many seeds
    python -m simulation --seconds 28800                as many as there is time for; the first is drawn
    python -m simulation --seed 17 [--acts 0,3]         one, step by step; a failing one is shrunk
    python -m simulation --mutations                    every planted bug

Exit status 1: an invariant broke, or a planted bug was not caught.
"""

import argparse
import json
import secrets
import sys
import time
from collections.abc import Sequence
from itertools import count, islice

from simulation.drawing import drawn
from simulation.mutations.catalogue import MUTATIONS
from simulation.mutations.hunting import hunt_all, remember
from simulation.mutations.rewriting import planted
from simulation.report import Tally, caught_lines, caught_shown, lines, replay_command
from simulation.running import run, run_seeds
from simulation.shrinking import shrunk


def main(arguments: Sequence[str]) -> int:
    """Do as the arguments say. Returns the exit status."""
    asked = _parser().parse_args(arguments)
    if asked.seed is not None:
        return _replay(asked)
    return _mutations(asked) if asked.mutations else _seeds(asked)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m simulation", description="A hostile world from a seed.")
    parser.add_argument("--seeds", type=int, help="how many")
    parser.add_argument("--first", type=int, help="the first seed; drawn where only a time is given")
    parser.add_argument("--seconds", type=float, help="for how long seeds are begun")
    parser.add_argument("--seed", type=int, help="run this one alone, and shrink it if it fails")
    parser.add_argument("--acts", help="with --seed: leave out all acts but these, 0,3,8")
    parser.add_argument("--plant", choices=sorted(MUTATIONS), help="with --seed: plant this bug")
    parser.add_argument("--mutations", action="store_true", help="plant every bug in turn")
    parser.add_argument("--remember", action="store_true", help="with --mutations: keep the seeds that show them")
    parser.add_argument("--jobs", type=int, help="processes at a time; as many as there are cores")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _seeds(asked: argparse.Namespace) -> int:
    begun = time.monotonic()
    until = float("inf") if asked.seconds is None else begun + asked.seconds
    bounded = asked.seeds is not None or asked.seconds is None
    first = asked.first if asked.first is not None else 0 if bounded else secrets.randbelow(2**40)
    seeds = islice(count(first), asked.seeds or 200) if bounded else count(first)
    tally = Tally()
    for outcome in run_seeds(seeds, until=until, jobs=asked.jobs):
        tally.add(outcome)
    shown = tally.shown(first, time.monotonic() - begun)
    print(json.dumps(shown, indent=2) if asked.json else "\n".join(lines(shown)))
    return 1 if tally.failing else 0


def _replay(asked: argparse.Namespace) -> int:
    whole = drawn(asked.seed)
    plan = whole if asked.acts is None else whole.only([int(each) for each in asked.acts.split(",") if each])
    with planted(MUTATIONS.get(asked.plant or "")):
        outcome = run(plan, history=True)
        if asked.json:
            print(json.dumps({"plan": plan.shown(), "broken": outcome.broken, "history": outcome.history}, indent=2))
        else:
            print(plan.shape, *plan.acts, *outcome.history, sep="\n")
        for invariant, found in outcome.broken.items():
            print(f"breaks {invariant}: {found[0]}", file=sys.stderr)
            if asked.acts is None:
                kept = shrunk(whole, invariant)
                command = replay_command(asked.seed, kept, asked.plant or "")
                print(f"  {len(kept)} of {len(whole.acts)} acts are enough: {command}", file=sys.stderr)
    return 1 if outcome.broken else 0


def _mutations(asked: argparse.Namespace) -> int:
    begun = time.monotonic()
    catches = sorted(hunt_all(jobs=asked.jobs), key=lambda each: each.mutation)
    if asked.remember:
        remember(catches)
    shown = caught_shown(catches, time.monotonic() - begun)
    print(json.dumps(shown, indent=2) if asked.json else "\n".join(caught_lines(catches)))
    return 0 if shown["caught"] == shown["planted"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
