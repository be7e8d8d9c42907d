"""Play scenarios one after the other, and count."""

import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from protocol.errors import SealedgeError
from sealedge.operations.attacks.scenario import Attack, Outcome, Scenario, Tried, Verdict
from sealedge.operations.attacks.stage import Stage


@dataclass(frozen=True, slots=True)
class Report:
    """All that was tried, on which broker, in how many seconds."""

    tried: Sequence[Tried]
    broker: str
    seconds: float

    @property
    def applicable(self) -> int:
        """How many attacks had something to attack before."""
        return sum(each.before.outcome is not Outcome.NOT_APPLICABLE for each in self.tried)

    @property
    def succeeded_before(self) -> int:
        """How many got what they wanted before."""
        return sum(each.before.outcome is Outcome.SUCCEEDED for each in self.tried)

    @property
    def held_now(self) -> int:
        """How many are blocked or detected now."""
        return sum(each.now.held for each in self.tried)

    @property
    def failures(self) -> list[str]:
        """The attacks that are not held now, and those whose verdict is unclear on either side."""
        found = [each for each in self.tried if not each.now.held or each.before.outcome is Outcome.UNCLEAR]
        return [each.scenario.name for each in found]

    def to_json(self) -> dict[str, Any]:
        """As `sealedge attack --json` has it."""
        return {
            "broker": self.broker,
            "seconds": round(self.seconds, 1),
            "scenarios": [each.to_json() for each in self.tried],
            "before": {"succeeded": self.succeeded_before, "applicable": self.applicable, "all": len(self.tried)},
            "now": {"held": self.held_now, "all": len(self.tried)},
            "failures": self.failures,
        }


def play(scenarios: Sequence[Scenario], broker: str | None, tell: Callable[[Tried], None]) -> Report:
    """Play them on one stage; `tell` hears each as it ends. Raises `SealedgeError` where the stage does not stand."""
    started, tried = time.monotonic(), list[Tried]()
    with Stage(broker) as stage:
        for scenario in scenarios:
            began = time.monotonic()
            before, now = attempt(scenario.before, stage), attempt(scenario.now, stage)
            tried.append(Tried(scenario, before, now, time.monotonic() - began))
            tell(tried[-1])
        kind = stage.broker.kind
    return Report(tried, kind, time.monotonic() - started)


def attempt(attack: Attack, stage: Stage) -> Verdict:
    """What came of an attack. One that breaks down proves nothing: unclear."""
    try:
        return attack(stage)
    except (SealedgeError, OSError, ValueError, LookupError, subprocess.SubprocessError) as error:
        return Verdict(Outcome.UNCLEAR, "", f"the scenario broke down: {type(error).__name__}: {error}"[:200])
