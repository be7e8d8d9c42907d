"""Over any broker, with crashes on both sides: every request ends once, rightly, and is handed over once (P7, P12)."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker.faults import FAULTLESS, Faults
from schemas.kinds import Role
from sealedge.client.events import Answered, RequestRefused, ResultReceived, TimedOut
from sealedge.client.sensor import SensorParty
from tests.support.world import World

AGENT = "sealedge-clinic-agent-agent-1"
SENSOR, CONSUMER = "sealedge-clinic-sensor-sensor-1", "sealedge-clinic-consumer-consumer-1"
PROBABILITY = st.sampled_from([0.0, 0.05, 0.2])
FAULTS = st.builds(Faults, drop=PROBABILITY, duplicate=PROBABILITY, reorder=PROBABILITY, delay=PROBABILITY)
ACTS = st.sampled_from(
    ["send", "send", "send", "wait", "crash-sensor", "crash-consumer", "restart-agent", "cut-sensor"]
)


class Simulation:
    """A fleet on a bad day. `sent` is what the program knows it has asked for."""

    def __init__(self, seed: int, one_shot: bool) -> None:
        self.one_shot = one_shot
        self.world = World(seed=seed).start_all()
        self.world.start_consumer()
        self.sensor = self.start_sensor()
        self.sent: dict[bytes, bytes] = {}

    def start_sensor(self) -> SensorParty:
        credential = self.world.holder(Role.CONSUMER, "consumer-1").credential
        return self.world.start_sensor(
            recipients=(credential,),
            deliver_to=self.world.topics.inbox(Role.CONSUMER, "consumer-1"),
            one_shot=self.one_shot,
            retry_seconds=2,
            request_seconds=3600,
        )

    def do(self, act: str) -> None:
        world = self.world
        match act:
            case "send":
                reading = b"reading %d" % len(self.sent)
                self.sent[world.infer(self.sensor, reading)] = reading
            case "wait":
                world.broker.advance(3)
            case "crash-sensor":
                world.broker.crash(SENSOR)
                self.revive(Role.SENSOR, "sensor-1")
                self.sensor = self.start_sensor()
            case "crash-consumer":
                world.broker.crash(CONSUMER)
                self.revive(Role.CONSUMER, "consumer-1")
                world.start_consumer()
            case "restart-agent":
                world.restart_agent()
            case "cut-sensor":
                world.broker.cut(SENSOR)
                world.broker.advance(1)
                world.broker.mend(SENSOR)

    def revive(self, role: Role, name: str) -> None:
        holder = self.world.holders[role, name]
        holder.store = holder.store.crash()

    def calm_down(self) -> None:
        """The broker is honest again. A retained message that it had dropped is seen by connecting anew."""
        self.world.broker.faults = FAULTLESS
        for party in (AGENT, SENSOR, CONSUMER):
            self.world.broker.cut(party)
            self.world.broker.mend(party)
        self.world.broker.advance(600)


@pytest.mark.slow
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**32), FAULTS, st.lists(ACTS, min_size=3, max_size=12), st.booleans())
def test_every_request_ends_once_and_rightly(seed: int, faults: Faults, acts: list[str], one_shot: bool) -> None:
    simulation = Simulation(seed, one_shot)
    world = simulation.world
    world.broker.faults = faults
    for act in acts:
        simulation.do(act)
    simulation.calm_down()
    answers = {event.request: event.output for event in world.events(Answered)}
    assert answers == {request: reading[::-1] for request, reading in simulation.sent.items()}
    assert world.events(TimedOut) == []
    assert world.events(RequestRefused) == []
    received = [event.output for event in world.events(ResultReceived)]
    if faults.drop == 0.0:
        # A dropped result is lost to the consumer: the sensor has its receipt and does not ask again.
        assert sorted(set(received)) == sorted(reading[::-1] for reading in simulation.sent.values())
    told = [event.request for event in world.events(Answered)]
    if "crash-sensor" not in acts:
        assert len(told) == len(set(told))
    if "crash-consumer" not in acts:
        assert len(received) == len(set(received))
