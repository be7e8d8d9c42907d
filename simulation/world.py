"""A fleet in motion: hosts over the in-memory broker, acts at their times, then peace, then two last readings each.

Whatever an act does, the world goes on: a machine that fails starts again, as a supervisor would start it.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from random import Random
from typing import Any, Final

from broker.faults import FAULTLESS
from broker.memory import MemoryBroker
from protocol.errors import SealedgeError, StoreError, TransportError
from protocol.party import Event, Publication
from publisher.publisher import Publisher
from schemas.kinds import Role
from sealedge.client.sensor import SensorParty
from simulation.cast import agent_of, consumer_of, publisher_of, sensor_of, verifier_of
from simulation.disks import Disk, DiskStore, PowerCutError
from simulation.fleet import MODEL, START, Fleet, Holder
from simulation.hosts import Host, HostDownError, host_of
from simulation.ledger import ENDS, Ledger, Reading
from simulation.module import READING_BYTES, TRAP
from simulation.plan import TROUBLE_SECONDS, Act, Plan
from simulation.witness import Witness

RESTART_SECONDS: Final = 2.0
"""After so long a supervisor starts what ended by itself."""

RECOVERY_SECONDS: Final = 90.0
"""Within this time after the end of all trouble, everybody who may be served is served again."""

LAST_SECONDS: Final = 35.0
"""For the readings after that."""

MAX_STEPS: Final = 20_000
"""Deliveries in one moment, before the parties count as talking for ever."""

Interceptor = Callable[[Publication], Iterable[Publication]]


class World:
    """One run of a plan. `ledger` knows it all afterwards."""

    def __init__(self, plan: Plan, acts: dict[str, Callable[["World", Act], None]]) -> None:
        self.plan, self.shape, self._acts = plan, plan.shape, acts
        self.fleet, self.ledger = Fleet(plan.seed, plan.shape), Ledger()
        self.broker = MemoryBroker(plan.seed, now=START, intercept=self._intercept, most_together=plan.shape.burst)
        self._witness = Witness(self)
        self.broker.tap = self._witness.heard
        self.hosts: dict[str, Host] = {}
        self.clocks: Counter[str] = Counter()
        self.interceptors: list[Interceptor] = []
        self.runs: Counter[str] = Counter()
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._order = 0
        self._readings = Random(f"{plan.seed} readings").randbytes
        self.doomed: set[str] = set()
        """Parties that will not survive their next delivery."""
        self.clients: dict[str, str] = {}
        """Names by client identifier."""
        self._stores: dict[str, DiskStore] = {}

    # The run

    def run(self) -> None:
        """From the first start to the end of the last reading. What no party may raise ends up in the ledger."""
        try:
            self._begin()
            for act in self.plan.acts:
                self.at(START + act.at, partial(self._do, act))
            self._pass_until(START + TROUBLE_SECONDS)
            self._heal()
            self._pass_until(self.broker.now + RECOVERY_SECONDS)
            self._last_readings()
            self._pass_until(self.broker.now + LAST_SECONDS)
        except Exception as error:
            self.ledger.escaped.append(_described(error))
        noted = self.broker.noted
        self.ledger.told = [(self.clients[client], each) for client, each in noted if isinstance(each, ENDS)]

    @property
    def names(self) -> list[str]:
        """All parties that there ever are."""
        shape = self.shape
        numbered = (("agent", shape.agents), ("sensor", shape.sensors), ("consumer", shape.consumers))
        return ["verifier", "publisher", *(f"{role}-{each + 1}" for role, count in numbered for each in range(count))]

    def at(self, due: float, act: Callable[[], None]) -> None:
        """Let something happen at a time of the true clock."""
        self._order += 1
        heapq.heappush(self._later, (due, self._order, act))

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """Let something happen later."""
        self.at(self.broker.now + seconds, act)

    def _begin(self) -> None:
        store = self._disk("publisher").mount()
        self.fleet.package(START, store)
        for name in self.names:
            if name not in self.shape.late:
                self.start(name)

    def _do(self, act: Act) -> None:
        self.ledger.injected[act.kind] += 1
        self._acts[act.kind](self, act)

    def _pass_until(self, end: float) -> None:
        while self._later and self._later[0][0] <= end:
            due, _, act = heapq.heappop(self._later)
            self._advance(due)
            self.guarded(act)
        self._advance(end)

    def _advance(self, end: float) -> None:
        while True:
            try:
                self.broker.run(MAX_STEPS)
                if end > self.broker.now:
                    self.broker.advance(end - self.broker.now)
            except HostDownError as down:
                self._fell(down)
                continue
            return

    def guarded(self, act: Callable[[], None]) -> None:
        """Do something to the world; a machine that fails in it is restarted later."""
        try:
            act()
        except HostDownError as down:
            self._fell(down)

    # Parties come and go

    def start(self, name: str) -> None:
        """Start a party with the disk that it had. One that runs is crashed first."""
        if name in self.hosts:
            self.crash(name)
        self.runs[name] += 1
        self.doomed.discard(name)
        role = name.split("-", maxsplit=1)[0]
        try:
            party = self._made(role, name)
        except (StoreError, PowerCutError):
            self.after(RESTART_SECONDS, lambda: self.start_if_down(name))
            return
        host = self.hosts[name] = host_of(party, role, name, self.clocks[name], self._witness)
        self.clients[host.client_id] = name
        self.guarded(lambda: self.broker.start(host))

    def running(self, name: str) -> Host | None:
        """The party of this name, if it runs."""
        host = self.hosts.get(name)
        return host if host is not None and self.broker.runs(host.client_id) else None

    def start_if_down(self, name: str) -> None:
        """Start a party unless somebody did."""
        if self.running(name) is None:
            self.start(name)

    def crash(self, name: str) -> None:
        """End a party without a word."""
        host = self.hosts.pop(name, None)
        if host is None:
            return
        self.ledger.repeatable[name] |= host.fragile
        self.broker.crash(host.client_id)

    def _fell(self, down: HostDownError) -> None:
        name = self.clients[down.client_id]
        self.ledger.injected[f"died: {down.why}"] += 1
        self.crash(name)
        self.after(RESTART_SECONDS, lambda: self.start_if_down(name))

    def holder(self, name: str) -> Holder:
        """Keys and disk of a party."""
        return self.fleet.holder(Role(name.split("-", maxsplit=1)[0]), name)

    def _disk(self, name: str) -> Disk:
        return self.holder(name).disk

    def _made(self, role: str, name: str) -> Any:
        store = self._stores[name] = self._disk(name).mount()
        if role == "agent":
            return agent_of(self.fleet, name, self.ledger.boots, self._witness.computed)
        if role == "verifier":
            return verifier_of(self.fleet, store)
        if role == "publisher":
            return publisher_of(self.fleet, store)
        return sensor_of(self.fleet, name, store) if role == "sensor" else consumer_of(self.fleet, name, store)

    # What people ask of parties

    def ask(self, sensor: str, *, trap: bool = False, probe: bool = False) -> None:
        """A new reading for a sensor, if it runs and takes it."""
        host = self.running(sensor)
        if host is None:
            return
        data = self._readings(READING_BYTES)
        data = TRAP + data[len(TRAP) :] if trap else data
        self.fleet.taint.note("a reading", data)
        request = self._readings(16)
        self.ledger.doubtful.add(request)

        def ask(party: SensorParty, now: float) -> Sequence[Event]:
            _, events = party.request(data, now, request, LAST_SECONDS - 5 if probe else None)
            return events

        try:
            self.broker.submit(host, lambda asked, now: asked.act(ask, now))
        except SealedgeError:
            return
        self.ledger.doubtful.discard(request)
        self.ledger.readings[request] = Reading(sensor, data, trap, probe)

    def publish_version(self) -> None:
        """The model's owner packages the next version; the publisher tells of it, now or when it starts."""
        host = self.running("publisher")
        if host is None:
            return

        def act(party: Publisher, now: float) -> Sequence[Event]:
            self.fleet.package(now, self._stores["publisher"])
            return party.publish(MODEL, now)

        self.broker.submit(host, lambda asked, now: asked.act(act, now))

    # Peace

    def _heal(self) -> None:
        """Every fault ends. All machines run on true clocks, everybody connects anew, and the newest list is there."""
        self._later.clear()
        self.interceptors.clear()
        self.broker.faults = FAULTLESS
        for name in self.names:
            disk = self._disk(name)
            disk.full = False
            disk.unarm()
        wrong = {name for name, host in self.hosts.items() if host.offset} | self.doomed
        self.clocks.clear()
        for host in self.hosts.values():
            host.deaf_to.clear()
            host.hurry()
        for name in [name for name in self.names if self.running(name) is None or name in wrong]:
            self.start(name)
        self.broker.publish(Publication(self.fleet.topics.revocations, self.fleet.lists[-1], retain=True))
        for name in self.names:
            self.guarded(partial(self.reconnect, name))
        if self.holder("publisher").signing.public.thumbprint != self.fleet.packaged_by:
            # Its owner sees that nobody believes the version that the retired key signed.
            self.guarded(self.publish_version)
        self.ledger.healed_at = self.broker.now

    def reconnect(self, name: str) -> None:
        """Cut and mend the network of a party; its subscriptions are renewed, as `broker.stepping` does."""
        host = self.running(name)
        if host is not None:
            self.broker.cut(host)
            self.broker.mend(host)

    def _last_readings(self) -> None:
        for number in range(self.shape.sensors):
            name = f"sensor-{number + 1}"
            self.guarded(partial(self.ask, name, probe=True))
            self.guarded(partial(self.ask, name, probe=True, trap=True))

    # Inside

    def _intercept(self, publication: Publication) -> Iterable[Publication]:
        found = [publication]
        for interceptor in tuple(self.interceptors):
            found = [changed for each in found for changed in interceptor(each)]
        return found


def _described(error: Exception) -> str:
    """Type and place, and of the broker's own faults the text: others may quote a secret."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = "" if trace is None else f" in {trace.tb_frame.f_code.co_qualname} line {trace.tb_lineno}"
    text = f": {error}" if isinstance(error, TransportError) else ""
    return f"{type(error).__name__}{place}{text}"
