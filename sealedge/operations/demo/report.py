"""What the demo claims, and whether it holds."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

MINIMUM_ACCURACY = 0.93
"""Of a network that is right for 163 of 171 held-out patients (95.3 %) where it was first measured."""


@dataclass(frozen=True, slots=True)
class DemoReport:
    """The demo in figures. Times in milliseconds where the name says so, otherwise in seconds."""

    accuracy: float
    sent: int
    answered: int
    refused: int
    lost: int
    doubled: int
    p50_ms: float
    p99_ms: float
    tier: str
    broker: str
    plaintext_seen_by_eavesdropper: int
    seconds: float
    receipts_verified: int
    messages_seen_by_eavesdropper: int
    bytes_seen_by_eavesdropper: int
    searched_for: int
    search_control: int
    refused_after_revocation: bool
    agent_memory_mb: float | None
    left_running: Sequence[str] = field(default=())
    tier_means: str = "proves nothing about hardware"

    def failures(self) -> list[str]:
        """Every claim that did not hold, in words; empty when all hold."""
        claims: Mapping[str, bool] = {
            f"accuracy {self.accuracy:.3f} is below {MINIMUM_ACCURACY}": self.accuracy >= MINIMUM_ACCURACY,
            f"{self.answered} of {self.sent} readings were answered": self.answered == self.sent > 0,
            f"{self.refused} readings were refused": self.refused == 0,
            f"{self.lost} readings were lost": self.lost == 0,
            f"{self.doubled} results came twice": self.doubled == 0,
            f"{self.plaintext_seen_by_eavesdropper} secrets were seen": self.plaintext_seen_by_eavesdropper == 0,
            "the eavesdropper's search finds nothing at all, so it proves nothing": self.search_control > 0,
            f"{self.receipts_verified} of {self.sent} receipts were verified": self.receipts_verified == self.sent,
            "a revoked model still answered": self.refused_after_revocation,
            f"left running: {', '.join(self.left_running)}": not self.left_running,
        }
        return [claim for claim, holds in claims.items() if not holds]

    def to_json(self) -> dict[str, Any]:
        """The report as one object, with `failures`."""
        return {**dataclasses.asdict(self), "failures": self.failures()}


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile of at least one value."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
