"""Kills, and how long each was felt.

Two things are waited for: the party itself (or the agent's enclave) being there again, and an answer at every sensor
to a reading that was sent after the kill. Times in seconds from the kill.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

VICTIMS: Final = ("agent", "enclave", "verifier", "publisher", "broker")
"""In turn."""

BACK: Final = {
    "agent": ("agent", "connected"),
    "enclave": ("agent", "enclave-restarted"),
    "verifier": ("verifier", "connected"),
    "publisher": ("publisher", "connected"),
}
"""By what event of whom a victim is known to be there again. The broker: by its port."""


@dataclass(slots=True)
class Wound:
    """One kill, at this time (monotonic); `waiting` are the sensors that have had no answer since."""

    victim: str
    at: float
    waiting: set[str]
    back: float | None = None
    answered: float | None = None

    def hear(self, party: str, event: str, at: float) -> None:
        """A party told of an event."""
        if self.back is None and BACK.get(self.victim) == (party, event):
            self.back = at - self.at

    def see_answer(self, sensor: str, sent_at: float, at: float) -> None:
        """A sensor was answered."""
        if sent_at < self.at:
            return
        self.waiting.discard(sensor)
        if not self.waiting and self.answered is None:
            self.answered = at - self.at

    def __str__(self) -> str:
        back, answered = (f"{each:.2f} s" if each is not None else "never" for each in (self.back, self.answered))
        return f"{self.victim} killed: there again after {back}, answers after {answered}"

    @property
    def is_healed(self) -> bool:
        """Whether there is nothing to wait for."""
        return self.back is not None and self.answered is not None


def shown(wounds: Sequence[Wound]) -> list[dict[str, Any]]:
    """By victim, for JSON: how many kills, and median and longest times."""
    return [_row(victim, [each for each in wounds if each.victim == victim]) for victim in VICTIMS]


def _row(victim: str, wounds: Sequence[Wound]) -> dict[str, Any]:
    return {
        "victim": victim,
        "kills": len(wounds),
        "not_recovered": sum(not each.is_healed for each in wounds),
        "answered_again": times([each.answered for each in wounds]),
        "back": times([each.back for each in wounds]),
    }


def times(found: Sequence[float | None]) -> dict[str, float | None]:
    """Median and longest of those that are known."""
    known = [each for each in found if each is not None]
    return {
        "median_seconds": round(median(known), 3) if known else None,
        "longest_seconds": round(max(known), 3) if known else None,
    }
