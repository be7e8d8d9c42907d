"""What was sent, and how each request ended at its sensor and at the consumer. Pure: it is told, and it counts.

A reading is known by its sensor and its row until the sensor names the request; from then on by the request. What is
expected is the model's output, computed in the clear, or None for a reading that the model does not take.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

Output = tuple[float, ...]
Line = Mapping[str, Any]

REFUSED_READING: Final = "input-invalid"
"""How an enclave refuses what its model does not take."""

EXAMPLES: Final = 20
"""Faults of each kind that are kept word for word."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A reading that was given to a sensor at this time (seconds, monotonic)."""

    expected: Output | None
    at: float


@dataclass(slots=True)
class Ledger:
    """`doubled`, `wrong` and `lost` are what must not be; their `faults` are kept to be looked at."""

    sent: int = 0
    answered: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    timed_out: Counter[str] = field(default_factory=Counter)
    doubled: int = 0
    wrong: int = 0
    received: int = 0
    faults: list[str] = field(default_factory=list)
    _open: dict[tuple[str, int], Sent] = field(default_factory=dict)
    _ended: set[bytes] = field(default_factory=set)
    _answered: dict[bytes, Output | None] = field(default_factory=dict)
    _received: dict[bytes, Output] = field(default_factory=dict)
    _both: set[bytes] = field(default_factory=set)

    def send(self, sensor: str, row: int, sent: Sent) -> None:
        """A reading is about to be given to a sensor: the sensor's row of that number."""
        self.sent += 1
        self._open[sensor, row] = sent

    def end(self, sensor: str, line: Line) -> Sent | None:
        """A line of `sealedge sensor send`. Returns the reading that it ends, or None where it ends none."""
        request = bytes.fromhex(line["request"])
        sent = self._open.pop((sensor, line["row"] or 0), None)
        if sent is None or request in self._ended:
            self.doubled += 1
            self._keep(f"doubled at {sensor}: {dict(line)}")
            return None
        self._ended.add(request)
        if line["status"] == "answered":
            self._take_answer(sensor, request, sent, line)
        else:
            self._take_other_end(sent, line)
        return sent

    def receive(self, line: Line) -> None:
        """A line of `sealedge consumer`."""
        request = bytes.fromhex(line["request"])
        if request in self._received or request in self._both:
            self.doubled += 1
            self._keep(f"doubled at the consumer: {dict(line)}")
            return
        self.received += 1
        self._received[request] = output_of(line)
        self._compare(request)

    @property
    def lost(self) -> int:
        """Readings that have no end: once all sensors have ended in order, those that are lost in silence."""
        return len(self._open)

    @property
    def not_received(self) -> int:
        """Answered requests whose result the consumer does not have."""
        return len(self._answered)

    @property
    def unasked(self) -> int:
        """Results that the consumer has and the sensor does not: it gave up before."""
        return len(self._received)

    def close(self) -> None:
        """Nothing more comes: what is open is kept among the faults."""
        for (sensor, row), sent in list(self._open.items())[:EXAMPLES]:
            self._keep(f"lost: row {row} of {sensor}, sent at {sent.at:.3f}")

    def _take_answer(self, sensor: str, request: bytes, sent: Sent, line: Line) -> None:
        self.answered += 1
        if sent.expected is None or output_of(line) != sent.expected:
            self.wrong += 1
            self._keep(f"wrong at {sensor}: {dict(line)}, expected {sent.expected}")
        self._answered[request] = sent.expected
        self._compare(request)

    def _take_other_end(self, sent: Sent, line: Line) -> None:
        reason = str(line["reason"])
        if line["status"] == "timed-out":
            self.timed_out[reason] += 1
            return
        as_expected = sent.expected is None and reason == REFUSED_READING
        self.refused[reason if as_expected or reason != REFUSED_READING else f"{reason}, of a good reading"] += 1

    def _compare(self, request: bytes) -> None:
        """Both ends of one result, once both are there."""
        if request not in self._answered or request not in self._received:
            return
        expected, received = self._answered.pop(request), self._received.pop(request)
        self._both.add(request)
        if received != expected:
            self.wrong += 1
            self._keep(f"wrong at the consumer: {request.hex()}: {received}, expected {expected}")

    def _keep(self, fault: str) -> None:
        if len(self.faults) < 3 * EXAMPLES:
            self.faults.append(fault)


def output_of(line: Line) -> Output:
    """The numbers of the only output in a line; () where there is none to compare."""
    found = line.get("output")
    if not isinstance(found, Mapping) or len(found) != 1:
        return ()
    [values] = found.values()
    return tuple(map(float, values)) if isinstance(values, Sequence) else ()
