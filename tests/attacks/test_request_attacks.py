"""What is tried with requests inside a session: replays, moves, forgeries, floods, hostile input (P1, P2, P7, P11)."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.enclave.configuration import EnclaveLimits
from protocol.attestation import open_past_attestation_result_untrusted
from protocol.channel import WINDOW
from protocol.party import Delivery
from protocol.receipts import check_commitment, open_receipt_untrusted
from tests.support.examples import examples
from tests.support.raw_sensor import RawSensor
from tests.support.world import World


@pytest.fixture
def world() -> World:
    world = World().start_all()
    world.computed = []  # type: ignore[attr-defined]  # a test's own notebook
    world.compute = lambda data: (world.computed.append(data), data[::-1])[1]  # type: ignore[attr-defined]
    return world


@pytest.fixture
def sensor(world: World) -> RawSensor:
    sensor = RawSensor(world)
    sensor.open()
    return sensor


def test_a_redelivered_request_is_computed_once_and_answered_with_the_same_bytes(
    world: World, sensor: RawSensor
) -> None:
    request = sensor.request(sensor.reading(b"once"))
    assert sensor.say(request) == sensor.say(request)
    assert world.computed == [b"once"]  # type: ignore[attr-defined]


def test_a_resent_request_under_a_new_sequence_is_answered_with_the_same_bytes(world: World, sensor: RawSensor) -> None:
    reading = sensor.reading(b"once")
    first, second = sensor.request(reading), sensor.request(reading)
    assert first.payload != second.payload
    assert sensor.say(first) == sensor.say(second)
    assert world.computed == [b"once"]  # type: ignore[attr-defined]


def test_a_replay_after_its_answer_is_forgotten_is_refused_and_not_computed() -> None:
    world = World(limits=EnclaveLimits(cached_replies=2)).start_all()
    computed: list[bytes] = []
    world.compute = lambda data: (computed.append(data), data)[1]
    sensor = RawSensor(world)
    sensor.open()
    recorded = sensor.request(sensor.reading(b"first"))
    sensor.say(recorded)
    for number in range(4):
        sensor.say(sensor.request(sensor.reading(bytes([number]))))
    assert sensor.refusal(recorded) == "replayed"
    assert computed.count(b"first") == 1


def test_a_request_older_than_the_window_is_refused(sensor: RawSensor) -> None:
    late = sensor.request(sensor.reading(b"late"))
    for _ in range(WINDOW):
        sensor.say(sensor.request(sensor.reading()))
    assert sensor.refusal(late) == "replayed"


def test_requests_may_come_out_of_order_within_the_window(sensor: RawSensor) -> None:
    requests = [sensor.request(sensor.reading(bytes([number]))) for number in range(WINDOW)]
    assert [sensor.result(each).output for each in reversed(requests)] == [
        bytes([number]) for number in reversed(range(WINDOW))
    ]


def test_every_flipped_byte_is_refused(world: World, sensor: RawSensor) -> None:
    request = sensor.request(sensor.reading())
    for place in range(len(request.payload)):
        flipped = bytearray(request.payload)
        flipped[place] ^= 1
        replies = sensor.say(replace(request, payload=bytes(flipped)))
        assert not any(each.payload[0] == 0xD0 for each in replies), f"byte {place}"
    assert world.computed == []  # type: ignore[attr-defined]


def test_a_request_of_another_session_is_refused(world: World, sensor: RawSensor) -> None:
    other = RawSensor(world, "sensor-2")
    other.open()
    foreign = other.request(other.reading())
    moved = foreign.payload.replace(other.session, sensor.session)
    assert sensor.refusal(replace(foreign, payload=moved, response_topic=sensor.inbox)) == "decryption-failed"


def test_a_request_in_another_exchange_is_refused(sensor: RawSensor) -> None:
    request = sensor.request(sensor.reading())
    assert sensor.refusal(replace(request, correlation=bytes(16))) == "decryption-failed"
    assert sensor.refusal(sensor.request(sensor.reading(), correlation=bytes(16))) == "misaddressed"


def test_a_reply_sent_back_as_a_request_is_refused(sensor: RawSensor) -> None:
    request = sensor.request(sensor.reading())
    [reply] = sensor.say(request)
    assert sensor.refusal(replace(request, payload=reply.payload)) == "unexpected"


def test_an_expired_request_is_not_computed(world: World, sensor: RawSensor) -> None:
    request = sensor.request(sensor.reading(expires=int(world.broker.now) + 5))
    world.broker.advance(6)
    assert sensor.refusal(request) == "expired"
    assert world.computed == []  # type: ignore[attr-defined]


def test_a_trap_ends_one_request_and_no_more(sensor: RawSensor) -> None:
    assert sensor.refusal(sensor.request(sensor.reading(b"trap"))) == "guest-trap"
    assert sensor.result(sensor.request(sensor.reading(b"abc"))).output == b"cba"


def test_a_trap_is_answered_again_with_the_same_bytes(sensor: RawSensor) -> None:
    request = sensor.request(sensor.reading(b"trap"))
    assert sensor.say(request) == sensor.say(request)


def test_unknown_sessions_are_told_so_by_signature(world: World, sensor: RawSensor) -> None:
    """A sensor that outlived its enclave learns it from the new one, and can believe it."""
    recorded = sensor.request(sensor.reading())
    world.restart_agent()
    assert sensor.refusal(recorded) == "session-unknown"


def test_nobody_is_made_to_write_to_others(world: World, sensor: RawSensor) -> None:
    """A forged response topic draws no message out of the enclave."""
    garbage = Delivery(world.topics.request("agent-1"), b"garbage")
    for topic in ("victim", "sealedge/v1/clinic/consumer/victim/inbox", "sealedge/v1/other/sensor/a/inbox", "$SYS/x"):
        assert sensor.say(replace(garbage, response_topic=topic)) == []


def test_a_receipt_proves_the_result_offline(world: World, sensor: RawSensor) -> None:
    result = sensor.result(sensor.request(sensor.reading(b"abc")))
    trust = world.trust(sensor.holder.store)
    passport = open_past_attestation_result_untrusted(result.attestation_result, trust, world.broker.now)
    receipt = open_receipt_untrusted(result.receipt, passport)
    check_commitment("input", result.salt, b"abc", receipt.input_commitment)
    check_commitment("output", result.salt, b"cba", receipt.output_commitment)
    assert (receipt.tier, receipt.agent, receipt.model) == ("simulated", "agent-1", "scan")


def test_the_broker_sees_no_plaintext(world: World, sensor: RawSensor) -> None:
    secret = b"systolic 180, diastolic 120"
    agent = "sealedge-clinic-agent-agent-1"
    for each in sensor.say(sensor.request(sensor.reading(secret))):
        world.broker.publish(each)
    seen = b"".join(each.payload for each in world.published)
    assert agent.encode()[9:15] in seen, "the search itself must be able to find something"
    for forbidden in (secret, secret[::-1], secret[:8], sensor.secret, sensor.holder.signing.pem()):
        assert forbidden not in seen


def test_a_flood_of_garbage_changes_nothing_for_others(world: World, sensor: RawSensor) -> None:
    for number in range(300):
        sensor.say(Delivery(world.topics.request("agent-1"), bytes([number % 256]) * number))
    assert sensor.result(sensor.request(sensor.reading(b"abc"))).output == b"cba"
    assert len(world.refusals()) == 300


@settings(max_examples=examples(300), deadline=None)
@given(payload=st.binary(max_size=300), topic=st.sampled_from(["request", "session", "challenge", "result", "inbox"]))
def test_garbage_is_refused_and_never_raises(payload: bytes, topic: str) -> None:
    world, sensor = _shared()
    before = len(world.refusals())
    sensor.say(Delivery(f"sealedge/v1/clinic/agent/agent-1/{topic}", payload, "x", b"y"))
    assert len(world.refusals()) == before + (1 if payload or topic != "result" else 0)


_world: list[tuple[World, RawSensor]] = []


def _shared() -> tuple[World, RawSensor]:
    if not _world:
        world = World().start_all()
        _world.append((world, RawSensor(world)))
    return _world[0]
