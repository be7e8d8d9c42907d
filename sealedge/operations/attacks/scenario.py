"""A scenario: one known attack, tried on both targets; and verdicts on how it went, from what was seen alone."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sealedge.operations.attacks.stage import Stage


class Outcome(StrEnum):
    """How an attack went."""

    SUCCEEDED = "succeeded"
    BLOCKED = "blocked"
    DETECTED = "detected"
    NOT_APPLICABLE = "not-applicable"
    UNCLEAR = "unclear"
    """Neither what the attacker wanted nor what stopped it was seen: never counted as safe."""


class Attacker(StrEnum):
    """Who tries, in the words of THREAT_MODEL.md."""

    BROKER = "broker"
    CLIENT = "client of the broker"
    OWNER = "owner of the device"
    MACHINE = "another machine"
    SENSOR = "genuine sensor"
    CONSUMER = "genuine consumer"
    PUBLISHER = "publisher"
    TENANT = "another fleet"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`by` is what stopped or showed it: a reason code where a party refused. `evidence` is what was seen, in words."""

    outcome: Outcome
    by: str = ""
    evidence: str = ""

    @property
    def held(self) -> bool:
        """Whether the attack got nothing, or was noticed."""
        return self.outcome in {Outcome.BLOCKED, Outcome.DETECTED}


Attack = Callable[["Stage"], Verdict]


@dataclass(frozen=True, slots=True)
class Scenario:
    """An attack by name. `before` and `now` try it on the stage's targets and return what came of it."""

    name: str
    family: str
    properties: tuple[str, ...]
    attacker: Attacker
    goal: str
    before: Attack
    now: Attack

    def to_json(self) -> dict[str, Any]:
        """What is known of it before it is run."""
        return {
            "name": self.name,
            "family": self.family,
            "property": list(self.properties),
            "attacker": str(self.attacker),
            "goal": self.goal,
        }


@dataclass(frozen=True, slots=True)
class Tried:
    """A scenario, and how it went on both targets."""

    scenario: Scenario
    before: Verdict
    now: Verdict
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """As `sealedge attack --json` has it."""
        return {
            **self.scenario.to_json(),
            "before": str(self.before.outcome),
            "before_evidence": self.before.evidence,
            "before_by": self.before.by,
            "now": str(self.now.outcome),
            "now_by": self.now.by,
            "now_evidence": self.now.evidence,
            "seconds": round(self.seconds, 2),
        }


def succeeded(evidence: str) -> Verdict:
    """The attacker has what it wanted, or the victim took what it must not."""
    return Verdict(Outcome.SUCCEEDED, "", evidence)


def blocked(by: str, evidence: str = "") -> Verdict:
    """Something stopped it."""
    return Verdict(Outcome.BLOCKED, by, evidence)


def not_applicable(why: str) -> Verdict:
    """There is nothing of the kind to attack."""
    return Verdict(Outcome.NOT_APPLICABLE, "", why)


def judged(won: bool, evidence: str, by: str | None, stopped: str = "", *, detected: bool = False) -> Verdict:
    """Succeeded if the attacker won; else blocked (or detected) by what stopped it; unclear where nothing did."""
    if won:
        return succeeded(evidence)
    if not by:
        return Verdict(Outcome.UNCLEAR, "", "neither success nor what stopped it was seen")
    return Verdict(Outcome.DETECTED if detected else Outcome.BLOCKED, by, stopped)
