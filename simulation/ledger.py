"""What really happened in a run: all that the broker saw, all that parties did and said, all that was computed.

Nobody in the world can see all of this. The invariants can.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from protocol.party import Delivery, Event, Publication
from sealedge.client.events import Answered, RequestRefused, ResultReceived, TimedOut
from simulation.cast import Boot

Ended = Answered | RequestRefused | ResultReceived | TimedOut
ENDS = (Answered, RequestRefused, ResultReceived, TimedOut)
"""How a request ends, for a sensor or a consumer."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A request that a sensor accepted. `trap`: the module traps on it; `probe`: it was made in peace, at the end."""

    sensor: str
    data: bytes = field(repr=False)
    trap: bool = False
    probe: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """A party was called at its own time `own`, at the true time `at`; `lists` is the revocation list it then held.

    `run` counts the starts of that party. `deliveries` are what it was handed: one, or a burst. `events` are what it
    wanted done, whether or not it lived to see it.
    """

    at: float
    own: float
    role: str
    name: str
    run: int
    lists: int
    deliveries: tuple[Delivery, ...]
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Computation:
    """An enclave ran a module, by its own clock at `own`; `lists` is the revocation list it held."""

    at: float
    own: float
    boot: Boot
    lists: int
    module: bytes
    data: bytes = field(repr=False)
    output: bytes | None = field(repr=False)


@dataclass(slots=True)
class Ledger:
    """`forbidden` are readings that must not be computed, `moved` payloads where they must not be believed.

    `signers` are keys that no party has any more, by the readings for which an insider used them.
    `exclusive` are pairs of which at most one may be computed; `insiders` whose readings the attacker's own are.
    `told` are the ends of which a program heard: what a party wanted to tell when its machine failed is not among them.
    `repeatable` are requests whose end may be told again, by client; `doubtful` ones whose acceptance was cut off.
    """

    steps: list[Step] = field(default_factory=list)
    computations: list[Computation] = field(default_factory=list)
    readings: dict[bytes, Reading] = field(default_factory=dict)
    said: list[tuple[float, str | None, Publication]] = field(default_factory=list)
    forbidden: dict[bytes, str] = field(default_factory=dict)
    exclusive: list[tuple[bytes, bytes]] = field(default_factory=list)
    insiders: dict[bytes, str] = field(default_factory=dict)
    signers: dict[bytes, bytes] = field(default_factory=dict)
    moved: dict[tuple[str, bytes, bytes], str] = field(default_factory=dict)
    repeatable: defaultdict[str, set[bytes]] = field(default_factory=lambda: defaultdict(set))
    doubtful: set[bytes] = field(default_factory=set)
    told: list[tuple[str, Ended]] = field(default_factory=list)
    boots: list[Boot] = field(default_factory=list)
    foreign_keys: set[bytes] = field(default_factory=set)
    escaped: list[str] = field(default_factory=list)
    injected: Counter[str] = field(default_factory=Counter)
    deliveries: int = 0
    healed_at: float = float("inf")

    def moves(self, publication: Publication, why: str) -> None:
        """An authentic message was put where it does not belong: whoever is handed it there must refuse it."""
        name = named(publication)
        if not any(name == named(each) for _, _, each in self.said):
            self.moved[name] = why

    def honest_boot(self, key: bytes) -> Boot | None:
        """The enclave with this signing key, if it is one of the fleet's own."""
        return next((boot for boot in self.boots if boot.key == key), None)


def named(publication: Publication | Delivery) -> tuple[str, bytes, bytes]:
    """What a bound message is bound to, and itself."""
    return publication.topic, publication.payload, publication.correlation or b""
