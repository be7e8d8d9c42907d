"""The soak from the first process to the last: readings at a steady rate, kills in whole rounds, then peace."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from protocol.errors import TransportError
from soak.fleet import SENSORS, Fleet
from soak.ledger import Sent
from soak.processes import Given, Processes
from soak.readings import Reading
from soak.watch import Outcome, Watch
from soak.wounds import VICTIMS, Wound

START_SECONDS: Final = 120.0
RECOVERY_SECONDS: Final = 120.0
"""A kill that is felt for longer is told as one that was not recovered from."""

LATE_SECONDS: Final = 100.0
"""How long the consumer is waited for at the end: agents say their last results again, and it tells what is missing."""

HEARD_SECONDS: Final = 30.0
"""How long it may take until all that sensors said before they ended is taken in."""

AFTERWARDS_SECONDS: Final = 2.0
"""When all has ended: what comes now is doubled."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Kills for `kill_seconds`, one every `interval` at most, then peace for `quiet_seconds`.

    `rates` are readings a second, by sensor. A victim is started again `down_seconds` after it was killed; the enclave
    by its agent.
    """

    kill_seconds: float
    quiet_seconds: float
    interval: float
    rates: Mapping[str, float]
    request_seconds: float
    down_seconds: float = 1.0
    sample_seconds: float = 5.0


class Soak:
    """`run` plays it once over a fleet that was created. `readings` are each sensor's own."""

    def __init__(
        self, fleet: Fleet, plan: Plan, readings: Mapping[str, Sequence[Reading]], say: Callable[[str], None]
    ) -> None:
        self._fleet, self._plan, self._readings, self._say = fleet, plan, readings, say
        self._processes = Processes(fleet.programs())
        self._watch = Watch(self._processes, plan.sample_seconds)
        self._feeders: dict[str, threading.Thread] = {}
        self._is_over = threading.Event()

    def run(self) -> Outcome:
        """Play it. Raises `TransportError` where the fleet does not come up, or answers nothing."""
        outcome = self._watch.outcome
        with self._processes:
            self._start_service()
            outcome.began = time.monotonic()
            self._start_load()
            self._kill_in_rounds()
            outcome.quiet_from = time.monotonic()
            self._watch.listen(self._plan.quiet_seconds)
            outcome.fed_until = time.monotonic()
            self._let_all_end()
            outcome.left_running = self._processes.end()
        outcome.ledger.close()
        return outcome

    def _start_service(self) -> None:
        self._start_broker()
        for name in ("verifier", "publisher", "agent", "consumer"):
            self._processes.start(name)
        if not self._watch.listen(START_SECONDS, lambda: self._watch.attested):
            raise TransportError(f"the fleet does not come up; told: {dict(self._watch.outcome.told)}")

    def _start_broker(self) -> None:
        self._processes.start("broker")
        if not self._watch.listen(START_SECONDS, self._fleet.broker_listens):
            raise TransportError("mosquitto does not listen")

    def _start_load(self) -> None:
        for sensor in SENSORS:
            self._processes.start(sensor)
            feeder = threading.Thread(target=self._feed, args=(sensor, self._readings[sensor]))
            feeder.daemon = True
            feeder.start()
            self._feeders[sensor] = feeder
        if not self._watch.listen(START_SECONDS, lambda: self._watch.answered >= set(SENSORS)):
            raise TransportError("not every sensor is answered")

    def _feed(self, sensor: str, readings: Iterable[Reading]) -> None:
        """In a thread of its own: readings at the sensor's rate, fewer where it takes no more."""
        pause, due = 1 / self._plan.rates[sensor], time.monotonic()
        for row, (line, expected) in enumerate(readings, start=1):
            due = max(due + pause, time.monotonic())
            if self._is_over.wait(due - time.monotonic()):
                return
            # First into the queue: that it was sent is known before its end is.
            self._processes.heard.put(Given(sensor, row, Sent(expected, time.monotonic())))
            if not self._processes.feed(sensor, line):
                return

    def _kill_in_rounds(self) -> None:
        """Each as often as the others: whole rounds, one at least."""
        until = time.monotonic() + self._plan.kill_seconds
        while True:
            for victim in VICTIMS:
                self._kill(victim)
            if time.monotonic() >= until:
                return

    def _kill(self, victim: str) -> None:
        wound = Wound(victim, time.monotonic(), set(SENSORS))
        self._watch.killed(wound)
        self._processes.kill(victim)
        if victim != "enclave":
            self._watch.listen(self._plan.down_seconds)
            self._start_again(victim, wound)
        self._watch.revived()
        self._watch.listen(RECOVERY_SECONDS, lambda: wound.is_healed)
        self._say(str(wound))
        self._watch.listen(self._plan.interval - (time.monotonic() - wound.at))

    def _start_again(self, victim: str, wound: Wound) -> None:
        if victim == "broker":
            self._start_broker()
            wound.back = time.monotonic() - wound.at
        else:
            self._processes.start(victim)

    def _let_all_end(self) -> None:
        """No more readings. Each request that was sent gets its time to end, and the consumer what it is owed."""
        listen, ledger = self._watch.listen, self._watch.outcome.ledger
        self._is_over.set()
        for sensor, feeder in self._feeders.items():
            listen(self._plan.request_seconds, partial(_has_ended, feeder))
            self._processes.end_of_feed(sensor)
        listen(self._plan.request_seconds + 30, lambda: not any(map(self._processes.is_running, SENSORS)))
        listen(HEARD_SECONDS, lambda: not ledger.lost)
        listen(LATE_SECONDS, lambda: ledger.not_received <= self._watch.outcome.told_missing)
        listen(AFTERWARDS_SECONDS)


def _has_ended(thread: threading.Thread) -> bool:
    return not thread.is_alive()
