"""What came of many seeds, and of planted bugs, for people and as JSON."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from simulation.mutations.hunting import Catch
from simulation.running import Outcome


@dataclass(slots=True)
class Tally:
    """All outcomes together. `failing` has what broke, by seed."""

    seeds: int = 0
    deliveries: int = 0
    readings: int = 0
    virtual_seconds: float = 0.0
    injected: Counter[str] = field(default_factory=Counter)
    failing: dict[int, dict[str, list[str]]] = field(default_factory=dict)

    def add(self, outcome: Outcome) -> None:
        """Count one."""
        self.seeds += 1
        self.deliveries += outcome.deliveries
        self.readings += outcome.readings
        self.virtual_seconds += outcome.virtual_seconds
        self.injected += outcome.injected
        if outcome.broken:
            self.failing[outcome.seed] = outcome.broken

    def shown(self, first: int, seconds: float) -> dict[str, Any]:
        """For JSON: `seconds` is how long it took, `first` the first seed."""
        return {
            "seeds": self.seeds,
            "first_seed": first,
            "simulated_hours": round(self.virtual_seconds / 3600, 1),
            "steps": self.deliveries,
            "readings": self.readings,
            "injected": sum(self.injected.values()) - self.injected["reading"],
            "injected_by_kind": {kind: count for kind, count in self.injected.most_common() if kind != "reading"},
            "failing": {str(seed): broken for seed, broken in sorted(self.failing.items())},
            "seconds": round(seconds, 1),
        }


def lines(shown: dict[str, Any]) -> Iterable[str]:
    """The same for people."""
    yield (
        f"{shown['seeds']} seeds from {shown['first_seed']}: {shown['simulated_hours']} simulated hours,"
        f" {shown['steps']} steps, {shown['readings']} readings, {shown['injected']} faults and attacks,"
        f" in {shown['seconds']} s"
    )
    yield "  ".join(f"{kind} {count}" for kind, count in shown["injected_by_kind"].items())
    for seed, broken in shown["failing"].items():
        for invariant, found in broken.items():
            yield f"seed {seed} breaks {invariant}: {found[0]}"
        yield f"  replay and shrink: {replay_command(int(seed))}"
    yield "every invariant held" if not shown["failing"] else f"{len(shown['failing'])} seeds broke an invariant"


def replay_command(seed: int, kept: Sequence[int] = (), mutation: str = "") -> str:
    """The one command that runs a seed again: all of its acts, or those alone that are left of it."""
    command = f".venv/bin/python -m simulation --seed {seed}"
    command += f" --acts {','.join(map(str, kept))}" if kept else ""
    return command + (f" --plant {mutation}" if mutation else "")


def caught_lines(catches: Sequence[Catch]) -> Iterable[str]:
    """Planted bugs: which were caught, by which invariant, under which seed."""
    for each in catches:
        if each.is_caught:
            yield f"caught  {each.mutation} ({each.against}): {' '.join(each.invariants)}, seed {each.seed}"
        else:
            yield f"MISSED  {each.mutation} ({each.against}): not in {each.tried} seeds {each.example}".rstrip()
    yield f"{sum(each.is_caught for each in catches)} of {len(catches)} planted bugs caught"


def caught_shown(catches: Sequence[Catch], seconds: float) -> dict[str, Any]:
    """The same for JSON."""
    return {
        "planted": len(catches),
        "caught": sum(each.is_caught for each in catches),
        "mutations": [asdict(each) for each in catches],
        "seconds": round(seconds, 1),
    }
