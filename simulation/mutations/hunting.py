"""Looks for a seed that shows a planted bug: which invariant breaks first, and under which seed."""

import json
import multiprocessing
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from simulation.drawing import drawn
from simulation.mutations.catalogue import MUTATIONS
from simulation.mutations.rewriting import Mutation, RewritingError, planted
from simulation.running import run

MOST_SEEDS: Final = 400
"""After so many seeds a bug counts as not caught."""

SHOWING: Final = Path(__file__).with_name("seeds.json")
"""Seeds that showed the bugs once, which are tried first: it saves the search, and decides nothing."""


@dataclass(frozen=True, slots=True)
class Catch:
    """What came of a planted bug. `invariants` are those that broke under `seed`, "" and -1 where none did."""

    mutation: str
    against: str
    seed: int = -1
    tried: int = 0
    invariants: tuple[str, ...] = ()
    example: str = ""

    @property
    def is_caught(self) -> bool:
        """Whether an invariant noticed."""
        return bool(self.invariants)


def hunt(name: str) -> Catch:
    """Run seeds with this bug until an invariant breaks. A bug whose words are not there any more is not caught."""
    mutation = MUTATIONS[name]
    try:
        return _hunted(mutation)
    except RewritingError as error:
        return Catch(name, mutation.against, example=str(error))


def _hunted(mutation: Mutation) -> Catch:
    name, tried = mutation.name, 0
    with planted(mutation):
        for seed in (*_shown(name), *range(MOST_SEEDS)):
            tried += 1
            broken = run(drawn(seed)).broken
            if broken:
                example = next(iter(broken.values()))[0]
                return Catch(name, mutation.against, seed, tried, tuple(broken), example)
    return Catch(name, mutation.against, tried=tried)


def remember(catches: Iterable[Catch]) -> None:
    """Keep the seeds under which bugs were caught."""
    found = {each.mutation: each.seed for each in catches if each.is_caught}
    SHOWING.write_text(json.dumps(found, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _shown(name: str) -> list[int]:
    if not SHOWING.exists():
        return []
    known = json.loads(SHOWING.read_text(encoding="utf-8"))
    return [known[name]] if name in known else []


def hunt_all(names: Iterable[str] = tuple(MUTATIONS), jobs: int | None = None) -> Iterator[Catch]:
    """Every bug, on all cores, as they are caught."""
    jobs = jobs or os.cpu_count() or 1
    if jobs == 1:
        yield from map(hunt, names)
        return
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        for each in as_completed([pool.submit(hunt, name) for name in names]):
            yield each.result()
