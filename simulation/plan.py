"""What a seed stands for: the shape of a fleet, and the acts that befall it, each with its time.

Every act is complete in itself (a crash includes the restart), so that leaving any of them out leaves a plan that
makes sense: that is what shrinking does.
"""

from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from typing import Any

TROUBLE_SECONDS = 90
"""For how long acts begin. Afterwards everything is mended, and must recover."""


@dataclass(frozen=True, slots=True)
class Act:
    """Something that happens `at` seconds after the start. `kind` is a name in `simulation.acts.ACTS`.

    `who` is a party or a topic; `seconds` how long it lasts; `number` seeds what the act itself has to choose, so
    that acts do not change one another's choices.
    """

    at: float
    kind: str
    who: str = ""
    seconds: float = 0.0
    number: int = 0


@dataclass(frozen=True, slots=True)
class Shape:
    """A fleet and the settings of its parties. Times in seconds, sizes in bytes.

    `strict` names one party whose policy leaves the simulated tier out: "" for none. `one_shot`, `padded` and
    `stateful` are what sensors and model do; `keeps_models` lets enclaves seal models for their next start; `burst`
    is how many deliveries an agent is handed at once, at most.
    """

    agents: int = 1
    sensors: int = 1
    consumers: int = 1
    late: tuple[str, ...] = ()
    strict: str = ""
    one_shot: bool = False
    padded: bool = False
    stateful: bool = False
    keeps_models: bool = False
    return_result: bool = True
    lease_seconds: int = 60
    key_lease_seconds: int = 60
    challenge_seconds: int = 20
    key_request_seconds: int = 20
    request_seconds: int = 30
    session_seconds: int = 60
    retry_seconds: float = 3.0
    in_flight: int = 4
    cached_replies: int = 64
    list_seconds: int = 86_400
    burst: int = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """All that happens in one run: the same plan gives the same run."""

    seed: int
    shape: Shape
    acts: tuple[Act, ...]

    def only(self, kept: Collection[int]) -> "Plan":
        """The same plan with these acts alone, by their number."""
        return replace(self, acts=tuple(act for index, act in enumerate(self.acts) if index in kept))

    def shown(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)
