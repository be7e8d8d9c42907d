"""What is tried with state that is carried between requests: other sessions, senders, versions, repetitions, order."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.enclave import carrying
from edge_agent.enclave.configuration import EnclaveLimits
from edge_agent.enclave.sessions import Session
from edge_agent.enclave.workers import ThreadedWorkers
from protocol.attestation import open_past_attestation_result_untrusted
from protocol.carried import MAX_STATE_BYTES
from protocol.errors import EnclaveError
from protocol.messages import decode_message_untrusted
from protocol.party import Delivery, Publication
from protocol.receipts import check_commitment, open_receipt_untrusted
from schemas.kinds import Kind, Role
from schemas.model import CarriedTensor, OpenAxis, TensorSpec
from schemas.session import CarriedState, InferenceResult
from sealedge.client.events import Answered, ResultReceived
from tests.support.examples import examples
from tests.support.raw_sensor import RawSensor
from tests.support.world import World

TOTAL: dict[str, Any] = {
    "inputs": (TensorSpec(name="in", dtype="uint8", shape=()), TensorSpec(name="sum", dtype="uint64", shape=())),
    "outputs": (TensorSpec(name="out", dtype="uint8", shape=()), TensorSpec(name="sum2", dtype="uint64", shape=())),
    "state": (CarriedTensor(before="sum", after="sum2"),),
}
"""A model that answers with the sum of all it was ever sent, and keeps it thirteen times."""

TRAP, SHORT = 255, 254


def total(data: bytes) -> bytes:
    reading, before = data[0], int.from_bytes(data[1:], "little") // 13
    if reading == TRAP:
        raise EnclaveError("the module trapped")
    after = (before + reading) % 256
    return bytes([after]) + state_of(after)[: 7 if reading == SHORT else 8]


def state_of(value: int) -> bytes:
    return (value * 13).to_bytes(8, "little")


def started(**settings: Any) -> World:
    world = World(**{"compute": total, **settings})
    world.package(**TOTAL)
    world.start_verifier()
    world.start_publisher()
    world.start_agent()
    world.settle()
    return world


@pytest.fixture
def world() -> World:
    return started()


def opened(world: World, name: str = "sensor-1", **terms: Any) -> RawSensor:
    sensor = RawSensor(world, name)
    sensor.open(**terms)
    return sensor


@pytest.fixture
def sensor(world: World) -> RawSensor:
    return opened(world)


def request(sensor: RawSensor, value: int, **changes: Any) -> Delivery:
    return sensor.request(sensor.reading(bytes([value]), **changes))


def carried(sensor: RawSensor, result: InferenceResult) -> CarriedState:
    """What the receipt says that the request started from."""
    trust = sensor.world.trust(sensor.holder.store)
    passport = open_past_attestation_result_untrusted(result.attestation_result, trust, sensor.now)
    found = open_receipt_untrusted(result.receipt, passport).carried
    assert found is not None
    return found


def told(sensor: RawSensor, value: int) -> tuple[int, int]:
    """The sum after this value, and the step that it was made at."""
    result = sensor.result(request(sensor, value))
    assert result.output is not None
    assert len(result.output) == 1
    return result.output[0], carried(sensor, result).step


def session_of(sensor: RawSensor) -> Session | None:
    agent = sensor.world.parties["sealedge-clinic-agent-agent-1"]
    found = agent._enclave._sessions._open.get(sensor.session)
    assert found is None or isinstance(found, Session)
    return found


def handed_together(sensor: RawSensor, deliveries: Sequence[Delivery]) -> list[Publication]:
    """All that came of what was handed over in one call, and in the calls that are due at once after it."""
    agent = sensor.world.parties["sealedge-clinic-agent-agent-1"]
    events = list(agent.receive_many(deliveries, sensor.now))
    while agent.deadline is not None and agent.deadline <= sensor.now:
        events += agent.expire(sensor.now)
    return [each for each in events if isinstance(each, Publication) and each.topic == sensor.inbox]


def outputs(sensor: RawSensor, replies: Sequence[Publication]) -> list[bytes | None]:
    plain = [sensor.opened(each, Kind.REPLY) for each in replies]
    return [decode_message_untrusted(InferenceResult, each).output for each in plain]


def test_state_is_carried_and_stays_inside(world: World, sensor: RawSensor) -> None:
    assert [told(sensor, value) for value in (1, 2, 3)] == [(1, 0), (3, 1), (6, 2)]


def test_a_receipt_proves_what_the_request_started_from(sensor: RawSensor) -> None:
    told(sensor, 7)
    result = sensor.result(request(sensor, 1))
    found = carried(sensor, result)
    assert found.step == 1
    check_commitment("state", result.salt, state_of(7), found.commitment)
    with pytest.raises(Exception, match="another state"):
        check_commitment("state", result.salt, state_of(8), found.commitment)


def test_a_model_without_state_has_none_in_its_receipts() -> None:
    sensor = opened(World().start_all())
    result = sensor.result(sensor.request(sensor.reading()))
    trust = sensor.world.trust(sensor.holder.store)
    passport = open_past_attestation_result_untrusted(result.attestation_result, trust, sensor.now)
    assert open_receipt_untrusted(result.receipt, passport).carried is None
    held = session_of(sensor)
    assert held is not None
    assert held.carried is None


def test_no_state_crosses_senders_or_sessions(world: World) -> None:
    sensors = [opened(world, "sensor-1"), opened(world, "sensor-1"), opened(world, "sensor-2")]
    for value in (1, 2, 3):
        assert {told(sensor, value) for sensor in sensors} == {(sum(range(value + 1)), value - 1)}
    assert told(opened(world, "sensor-1"), 9) == (9, 0)


def test_a_one_shot_starts_from_zeros_and_leaves_nothing(world: World, sensor: RawSensor) -> None:
    told(sensor, 5)
    for _ in range(2):
        other = RawSensor(world)
        reading = other.reading(b"\2")
        result = other.result(other.opening(Kind.ONE_SHOT, request=reading, expires=reading.expires))
        assert (result.output, carried(other, result).step) == (b"\2", 0)
    enclave = world.parties["sealedge-clinic-agent-agent-1"]._enclave
    assert [each.carried for each in enclave._one_shots._open.values()] == [None, None]
    assert told(sensor, 5) == (10, 1)


def test_a_repetition_gets_the_same_bytes_and_does_not_advance(sensor: RawSensor) -> None:
    told(sensor, 1)
    reading = sensor.reading(b"\2")
    first = sensor.request(reading)
    said = sensor.say(first)
    assert said == sensor.say(first) == sensor.say(sensor.request(reading))
    assert told(sensor, 3) == (6, 2)


def test_a_repetition_whose_answer_is_forgotten_does_not_advance() -> None:
    sensor = opened(started(limits=EnclaveLimits(cached_replies=1)))
    reading = sensor.reading(b"\2")
    sensor.result(sensor.request(reading))
    told(sensor, 1)
    assert sensor.refusal(sensor.request(reading)) == "replayed"
    assert told(sensor, 1) == (4, 2)


@pytest.mark.parametrize("value", [TRAP, SHORT])
def test_a_failed_inference_leaves_the_state_as_it_was(sensor: RawSensor, value: int) -> None:
    told(sensor, 4)
    assert sensor.refusal(request(sensor, value)) == "guest-trap"
    assert told(sensor, 1) == (5, 1)


def test_an_answer_that_cannot_be_sent_leaves_the_state_as_it_was() -> None:
    world = World(compute=lambda data: bytes([data[0]]) * data[0] * 2**14 + data[1:])
    open_output = TensorSpec(name="out", dtype="uint8", shape=(2**22,), open=OpenAxis(axis=0, each=1, minimum=1))
    world.package(**{**TOTAL, "outputs": (open_output, TOTAL["outputs"][1])})
    world.start_verifier()
    world.start_publisher()
    world.start_agent()
    world.settle()
    sensor = opened(world)
    assert sensor.refusal(request(sensor, 64)) == "output-too-large"
    assert carried(sensor, sensor.result(request(sensor, 1))).step == 0


@pytest.mark.parametrize("data", [b"", b"\1\0", b"\1" + state_of(3), bytes(9)])
def test_an_input_of_another_length_never_reaches_the_module(sensor: RawSensor, data: bytes) -> None:
    """A sensor that sends a state of its own would be answered from it."""
    told(sensor, 4)
    assert sensor.refusal(sensor.request(sensor.reading(data))) == "input-invalid"
    assert told(sensor, 1) == (5, 1)


def test_an_expired_request_is_not_carried(sensor: RawSensor) -> None:
    late = request(sensor, 9, expires=int(sensor.now) + 1)
    sensor.world.broker.advance(100)
    assert sensor.refusal(late) == "expired"
    assert told(sensor, 1) == (1, 0)


def test_what_waits_is_carried_in_the_order_in_which_it_was_asked(sensor: RawSensor) -> None:
    deliveries = [request(sensor, value) for value in range(1, 9)]
    replies = handed_together(sensor, deliveries[::-1])
    assert outputs(sensor, replies) == [bytes([sum(range(value + 1))]) for value in range(1, 9)]


def test_a_request_that_the_broker_held_back_is_not_carried_out_of_order(sensor: RawSensor) -> None:
    held = sensor.reading(b"\1")
    late = sensor.request(held)
    assert told(sensor, 2) == (2, 0)
    assert sensor.refusal(late) == "replayed"
    assert sensor.result(sensor.request(held)).output == b"\3"


def test_requests_of_one_session_are_never_computed_at_the_same_time() -> None:
    world = started(workers=ThreadedWorkers(4, 2**19))
    sensors = [opened(world, f"sensor-{number}") for number in range(3)]
    for sensor in sensors:
        replies = handed_together(sensor, [request(sensor, 1) for _ in range(20)])
        assert outputs(sensor, replies) == [bytes([value]) for value in range(1, 21)]


def test_a_new_version_starts_from_zeros(world: World, sensor: RawSensor) -> None:
    told(sensor, 4)
    world.package(b"\0asm" + b"another", **TOTAL)
    world.broker.advance(1)
    world.start_publisher()
    world.broker.advance(10)
    held = session_of(sensor)
    assert held is not None
    assert held.carried is None
    assert told(sensor, 1) == (1, 0)


def test_state_that_another_loading_of_the_model_made_is_not_read(sensor: RawSensor) -> None:
    """Were it still there: it is erased when its module is."""
    told(sensor, 4)
    held = session_of(sensor)
    assert held is not None
    assert held.carried is not None
    held.carried = replace(held.carried, by=replace(held.carried.by))
    assert told(sensor, 1) == (1, 0)


def test_a_revoked_model_takes_its_state_with_it(world: World, sensor: RawSensor) -> None:
    told(sensor, 4)
    held = session_of(sensor)
    assert held is not None
    assert held.carried is not None
    world.revoke("model", held.carried.by.manifest.digest)
    world.settle()
    assert held.carried is None


def test_a_revoked_sensor_takes_its_state_with_it(world: World, sensor: RawSensor) -> None:
    told(sensor, 4)
    held = session_of(sensor)
    assert held is not None
    world.revoke("key", sensor.holder.signing.public.thumbprint)
    world.settle()
    assert session_of(sensor) is None
    assert held.carried is None


def test_state_ends_with_its_session(world: World) -> None:
    sensor = opened(world, expires=int(world.broker.now) + 20)
    told(sensor, 4)
    held = session_of(sensor)
    assert held is not None
    world.broker.advance(30)
    told(opened(world), 1)
    assert session_of(sensor) is None
    assert held.carried is None


def test_state_of_all_sessions_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carrying, "MAX_CARRIED_BYTES", 20)
    first, second, third = (opened(world, f"sensor-{number}") for number in range(3))
    assert told(first, 1) == told(second, 1) == (1, 0)
    waiting = third.reading(b"\1")
    assert third.refusal(third.request(waiting)) == "session-limit"
    assert told(first, 1) == (2, 1)
    world.revoke("key", first.holder.signing.public.thumbprint)
    world.settle()
    assert third.result(third.request(waiting)).output == b"\1"


def test_a_model_with_too_much_state_is_not_published() -> None:
    world = World()
    large: dict[str, Any] = {"dtype": "uint8", "shape": (MAX_STATE_BYTES + 1,)}
    told_of = {
        "inputs": (TOTAL["inputs"][0], TensorSpec(name="sum", **large)),
        "outputs": (TOTAL["outputs"][0], TensorSpec(name="sum2", **large)),
    }
    with pytest.raises(ValueError, match=r"state\.bytes"):
        world.package(**{**TOTAL, **told_of})


def test_a_consumer_is_shown_what_the_sensor_is(world: World) -> None:
    consumer = world.start_consumer()
    world.settle()
    inbox = world.topics.inbox(Role.CONSUMER, "consumer-1")
    credential = world.holder(Role.CONSUMER, "consumer-1").credential
    sensor = opened(world, deliver_to=inbox, recipients=(credential,))
    for value in (1, 2):
        for each in sensor.say(request(sensor, value)):
            world.broker.publish(each)
    world.settle()
    received = [(each.output, each.step) for each in world.events(ResultReceived)]
    assert consumer.manifest("scan") is not None
    assert received == [(b"\1", 0), (b"\3", 1)]


def test_a_sensor_that_has_seen_no_manifest_has_one_request_outstanding(world: World) -> None:
    world.broker.publish(Publication(world.topics.manifest("scan"), b"", retain=True))
    world.settle()
    sensor = world.start_sensor()
    world.settle()
    for value in (1, 2, 3):
        world.infer(sensor, bytes([value]))
    world.broker.advance(5)
    assert sensor.manifest is None
    topics = world.topics.request("agent-1"), world.topics.inbox(Role.SENSOR, "sensor-1")
    on_the_way = [topics.index(each.topic) for each in world.published if each.topic in topics]
    # The accept, then request and reply in turn.
    assert on_the_way == [1, 0, 1, 0, 1, 0, 1]


def test_a_sensor_has_one_request_outstanding_and_is_told_when_the_state_began_anew(world: World) -> None:
    sensor = world.start_sensor()
    world.settle()
    agent = world.parties["sealedge-clinic-agent-agent-1"]
    asked = [world.infer(sensor, bytes([value])) for value in (1, 2, 3)]
    on_the_way = [each for each in world.said_on(world.topics.request("agent-1")) if each.correlation in asked]
    assert len(on_the_way) <= 1
    world.settle()
    world.restart_agent()
    assert agent is not world.parties["sealedge-clinic-agent-agent-1"]
    world.infer(sensor, b"\5")
    world.broker.advance(30)
    told_of = [(each.output, each.step) for each in world.events(Answered)]
    assert told_of == [(b"\1", 0), (b"\3", 1), (b"\6", 2), (b"\5", 0)]


ACTIONS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["ask", "repeat", "trap", "reopen", "one-shot"]), st.integers(0, 20)),
    max_size=25,
)


@settings(deadline=None, max_examples=examples(8))
@given(ACTIONS)
def test_every_session_sums_what_it_was_asked_itself(actions: list[tuple[int, str, int]]) -> None:
    world = started()
    sensors = [opened(world, f"sensor-{number}") for number in range(3)]
    sums, steps = [0, 0, 0], [0, 0, 0]
    last: list[Any] = [None, None, None]
    for number, action, value in actions:
        sensor = sensors[number]
        if action == "ask":
            last[number] = sensor.reading(bytes([value]))
            result = sensor.result(sensor.request(last[number]))
            sums[number] += value
            assert (result.output, carried(sensor, result).step) == (bytes([sums[number] % 256]), steps[number])
            steps[number] += 1
        elif action == "repeat" and last[number] is not None:
            assert sensor.result(sensor.request(last[number])).output == bytes([sums[number] % 256])
        elif action == "trap":
            assert sensor.refusal(request(sensor, TRAP)) == "guest-trap"
        elif action == "one-shot":
            other = RawSensor(world, f"sensor-{number}")
            reading = other.reading(bytes([value]))
            assert other.result(other.opening(Kind.ONE_SHOT, request=reading, expires=reading.expires)).output == bytes(
                [value]
            )
        elif action == "reopen":
            sensors[number], sums[number], steps[number], last[number] = opened(world, f"sensor-{number}"), 0, 0, None
