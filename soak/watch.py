"""Everything that is seen during a soak, taken in by one thread: what processes say, what they hold, and who ends."""

import os
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from queue import Empty
from typing import Final

from soak.fleet import SENSORS
from soak.growth import Sample, sampled
from soak.ledger import Ledger
from soak.processes import Given, Heard, Processes
from soak.wounds import Wound

PARTIES: Final = ("agent", "enclave", "verifier", "publisher", "broker", "consumer", *SENSORS)
LOOK_SECONDS: Final = 0.05


@dataclass(slots=True)
class Outcome:
    """All that was seen. Times monotonic, in seconds.

    `waits` is how long each request took to end; `told` counts the events that parties told of, by party.
    """

    ledger: Ledger = field(default_factory=Ledger)
    waits: list[float] = field(default_factory=list)
    wounds: list[Wound] = field(default_factory=list)
    samples: dict[str, list[Sample]] = field(default_factory=lambda: defaultdict(list))
    told: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    told_missing: int = 0
    ended_by_themselves: Counter[str] = field(default_factory=Counter)
    left_running: Sequence[str] = ()
    loads: list[float] = field(default_factory=list)
    began: float = 0.0
    quiet_from: float = 0.0
    fed_until: float = 0.0


class Watch:
    """Takes in what `processes` say.

    `attested`: the agent was attested with a model, once. `answered`: the sensors that were answered, once.
    """

    def __init__(self, processes: Processes, sample_seconds: float) -> None:
        self.outcome = Outcome()
        self.attested = False
        self.answered: set[str] = set()
        self._processes, self._sample_seconds = processes, sample_seconds
        self._sample_at = 0.0
        self._down: str | None = None

    def listen(self, seconds: float, done: Callable[[], bool] = lambda: False) -> bool:
        """Take in what comes until `done`, or for so many seconds. Whether it was done."""
        until = time.monotonic() + seconds
        while not done():
            now = time.monotonic()
            if now >= until:
                return False
            self._look(now)
            try:
                said = self._processes.heard.get(timeout=min(LOOK_SECONDS, until - now))
            except Empty:
                continue
            self._take(said)
        return True

    def killed(self, wound: Wound) -> None:
        """From now on this is waited for to heal; until `revived`, its victim is down on purpose."""
        self.outcome.wounds.append(wound)
        self._down = wound.victim

    def revived(self) -> None:
        """Whoever was killed last was started again."""
        self._down = None

    def _take(self, said: Heard | Given) -> None:
        if isinstance(said, Given):
            self.outcome.ledger.send(said.sensor, said.row, said.sent)
        elif said.event:
            self._take_event(said)
        elif said.party == "consumer":
            self.outcome.ledger.receive(said.line)
        else:
            self._take_end(said)

    def _take_event(self, said: Heard) -> None:
        reason = said.line.get("reason")
        self.outcome.told[said.party][said.event if reason is None else f"{said.event}: {reason}"] += 1
        if said.event == "results-missing":
            self.outcome.told_missing += int(said.line["count"])
        if (said.party, said.event) == ("agent", "attested") and said.line["models"]:
            self.attested = True
        for wound in self.outcome.wounds[-1:]:
            wound.hear(said.party, said.event, said.at)

    def _take_end(self, said: Heard) -> None:
        sent = self.outcome.ledger.end(said.party, said.line)
        if sent is None:
            return
        self.outcome.waits.append(said.at - sent.at)
        if said.line["status"] == "answered":
            self.answered.add(said.party)
            for wound in self.outcome.wounds[-1:]:
                wound.see_answer(said.party, sent.at, said.at)

    def _look(self, now: float) -> None:
        """What processes hold, when it is time; who ended without being asked to is told, and started again."""
        for name in self._processes.ended_by_themselves():
            if name != self._down:
                self.outcome.ended_by_themselves[name] += 1
                self._processes.revive(name)
        if now < self._sample_at:
            return
        self._sample_at = now + self._sample_seconds
        self.outcome.loads.append(os.getloadavg()[0])
        for name in PARTIES:
            found = sampled(self._processes.pids(name), now)
            if found is not None:
                self.outcome.samples[name].append(found)
