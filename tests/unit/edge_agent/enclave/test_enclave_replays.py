"""What was said once is computed once: over answers that were let go, sessions that were erased, lists that change."""

from collections.abc import Callable

import pytest

from edge_agent.enclave.configuration import EnclaveLimits
from protocol.party import Publication
from schemas.kinds import Kind, Role
from tests.support.raw_sensor import RawSensor
from tests.support.world import World


class Notebook:
    """A world whose module writes down what it computes."""

    def __init__(self, **settings: object) -> None:
        self.world = World(**settings)  # type: ignore[arg-type]  # handed on as they are
        self.computed: list[bytes] = []
        self.world.compute = lambda data: (self.computed.append(data), data)[1]
        self.world.start_all()

    def unrevoke(self) -> None:
        """The authority takes all revocations back, with a list of a higher count."""
        world = self.world
        world.revocations = world.authority.revoke(len(world.revoked) + 9, [], now=world.broker.now)
        world.broker.publish(Publication(world.topics.revocations, world.revocations, retain=True))
        world.settle()


def test_a_request_sealed_twice_is_computed_once_though_its_answer_is_let_go() -> None:
    """The second seal of a request is answered from memory; replayed after that, it must not count as new."""
    notebook = Notebook(limits=EnclaveLimits(cached_replies=2))
    sensor = RawSensor(notebook.world)
    sensor.open()
    reading = sensor.reading(b"once")
    first, again = sensor.request(reading), sensor.request(reading)
    assert sensor.say(first) == sensor.say(again)
    for number in range(4):
        sensor.say(sensor.request(sensor.reading(bytes([number]))))
    assert sensor.refusal(again) == "replayed"
    assert notebook.computed.count(b"once") == 1


def revoke_sensor(world: World) -> None:
    trust, holder = world.trust(world.holder(Role.SENSOR, "sensor-1").store), world.holder(Role.SENSOR, "sensor-1")
    identity = trust.identify_untrusted(holder.credential, world.broker.now, Role.SENSOR)
    world.revoke("credential", identity.identifier)


def revoke_chip(world: World) -> None:
    world.revoke("chip", world.chips["agent-1"].public.thumbprint)


@pytest.mark.parametrize("revoke", [revoke_sensor, revoke_chip])
@pytest.mark.parametrize("kind", [Kind.SESSION_OPEN, Kind.ONE_SHOT])
def test_an_erased_session_does_not_open_again(kind: Kind, revoke: Callable[[World], None]) -> None:
    """Opened again from a recording, its counters would start anew: nonces repeat, and requests are computed twice."""
    notebook = Notebook()
    world = notebook.world
    sensor = RawSensor(world)
    one_shot = {"request": sensor.reading(b"once")} if kind is Kind.ONE_SHOT else {}
    recorded = sensor.opening(kind, **one_shot)
    assert sensor.say(recorded)
    revoke(world)
    world.settle()
    notebook.unrevoke()
    world.broker.advance(10)
    assert RawSensor(world, "sensor-2").open()
    assert sensor.refusal(recorded) in {"replayed", "decryption-failed"}
    assert len(notebook.computed) == len(one_shot)
