"""From a plan to an outcome, and from seeds to outcomes on all cores."""

import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice

from protocol.party import Event, Noted, Publication
from sealedge.client.events import RequestRefused, TimedOut
from simulation.acts import ACTS
from simulation.attacks.catalogue import ATTACKS
from simulation.drawing import drawn
from simulation.fleet import START
from simulation.invariants.case import Case
from simulation.invariants.catalogue import violations
from simulation.plan import Plan
from simulation.wire import envelope, typ_of
from simulation.world import World

EVERYTHING = {**ACTS, **ATTACKS}
"""All acts by name."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one plan: what does not hold, by invariant, and how much happened."""

    seed: int
    broken: dict[str, list[str]]
    injected: Counter[str] = field(default_factory=Counter)
    deliveries: int = 0
    readings: int = 0
    virtual_seconds: float = 0.0
    history: tuple[str, ...] = ()


def run(plan: Plan, *, history: bool = False) -> Outcome:
    """Run a plan and judge it. `history` is one line a step, for whoever looks for the reason."""
    envelope.cache_clear()
    world = World(plan, EVERYTHING)
    world.run()
    ledger = world.ledger
    return Outcome(
        plan.seed,
        violations(Case(world.fleet, ledger)),
        ledger.injected,
        ledger.deliveries,
        len(ledger.readings),
        world.broker.now - START,
        tuple(_lines(world)) if history else (),
    )


def run_seed(seed: int) -> Outcome:
    """Draw the plan of a seed, run and judge it."""
    return run(drawn(seed))


def run_seeds(seeds: Iterable[int], *, until: float = float("inf"), jobs: int | None = None) -> Iterator[Outcome]:
    """Run seeds on all cores, in no order, until they or the time (monotonic clock) run out."""
    jobs = jobs or os.cpu_count() or 1
    following = iter(seeds)
    if jobs == 1:
        for seed in following:
            if time.monotonic() >= until:
                return
            yield run_seed(seed)
        return
    # A process that begins anew: nothing of this one's state can reach a run.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        pending = {pool.submit(run_seed, seed) for seed in islice(following, 4 * jobs)}
        while pending:
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            more = islice(following, len(done) if time.monotonic() < until else 0)
            pending |= {pool.submit(run_seed, seed) for seed in more}
            yield from (each.result() for each in done)


def _lines(world: World) -> Iterator[str]:
    """A step a line: when, who, what came and what it led to; no bytes, which differ from run to run."""
    for step in world.ledger.steps:
        came = [f" <- {_place(each.topic)} {typ_of(each.payload)[:60]}" for each in step.deliveries]
        yield f"{step.at - START:9.3f} {step.name}{''.join(came)}"
        for event in step.events:
            yield f"{'':10}{_shown(event)}"


def _place(topic: str) -> str:
    """A topic without what is random in it: the digest of a chunk."""
    levels = topic.split("/")[3:]
    return "/".join("..." if len(each) == 64 else each for each in levels)


def _shown(event: Event) -> str:
    if isinstance(event, Publication):
        return f"-> {_place(event.topic)} {typ_of(event.payload)[:60] or ('empty' if not event.payload else 'text')}"
    if isinstance(event, Noted):
        reason = event.detail.get("reason", "")
        return f"* {event.what} {reason}"
    if isinstance(event, RequestRefused):
        return f"* {type(event).__name__} {event.refusal.reason}"
    if isinstance(event, TimedOut):
        return f"* {type(event).__name__} {event.because}"
    return f"* {type(event).__name__}"
