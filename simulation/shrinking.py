"""Fewer acts that break the same invariant: delta debugging (Zeller and Hildebrandt, 2002) over the acts of a plan."""

from collections.abc import Callable, Sequence

from simulation.plan import Plan
from simulation.running import run

Fails = Callable[[Sequence[int]], bool]


def shrunk(plan: Plan, invariant: str) -> list[int]:
    """The numbers of acts of which none can be left out, and which still break this invariant.

    Raises `ValueError` where the plan does not break it.
    """
    everything = list(range(len(plan.acts)))
    if not _breaks(plan, invariant, everything):
        raise ValueError(f"seed {plan.seed} does not break {invariant}")
    return smallest(everything, lambda kept: _breaks(plan, invariant, kept))


def _breaks(plan: Plan, invariant: str, kept: Sequence[int]) -> bool:
    return invariant in run(plan.only(frozenset(kept))).broken


def smallest(items: Sequence[int], fails: Fails) -> list[int]:
    """A part of `items` that fails and fails no more without any one of them. `items` itself must fail."""
    kept, parts = list(items), 2
    while kept:
        size = -(-len(kept) // parts)
        chunks = [kept[start : start + size] for start in range(0, len(kept), size)]
        without = ([each for each in kept if each not in chunk] for chunk in chunks)
        smaller = next((each for each in without if fails(each)), None)
        if smaller is not None:
            kept, parts = smaller, max(parts - 1, 2)
        elif size == 1:
            return kept
        else:
            parts = min(2 * parts, len(kept))
    return kept
