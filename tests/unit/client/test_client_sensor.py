"""A sensor in a whole fleet: what it sends, to whom, and how each request ends."""

from collections.abc import Sequence
from typing import Any, cast

import pytest

from protocol.errors import EnclaveError, ProtocolMisuseError
from protocol.messages import decode_message_untrusted
from protocol.party import Event, Publication
from protocol.receipts import check_commitment, open_receipt_untrusted
from schemas.kinds import Role, Tier
from schemas.reason import Reason
from schemas.session import ReceiptBundle
from sealedge.client.events import Answered, RequestRefused, TimedOut
from sealedge.client.outbox import MAX_INPUT, OutboxFullError
from sealedge.client.sensor import SensorParty
from tests.support.world import MODEL, World

SECRET = b"systolic 147 of patient 7"


@pytest.fixture
def world() -> World:
    return World().start_all()


def requests_sent(world: World, agent: str = "agent-1") -> list[Publication]:
    return world.said_on(world.topics.request(agent))


def openings_sent(world: World, agent: str = "agent-1") -> list[Publication]:
    return world.said_on(world.topics.session(agent))


def test_a_reading_is_answered_with_a_receipt_that_anyone_can_check(world: World) -> None:
    sensor = world.start_sensor()
    request = world.infer(sensor, SECRET)
    world.settle()
    [answered] = world.events(Answered)
    assert (answered.request, answered.output) == (request, SECRET[::-1])
    assert (answered.agent, answered.model, answered.version) == ("agent-1", MODEL, 1)
    bundle = decode_message_untrusted(ReceiptBundle, answered.bundle)
    passport = sensor._agents.live("agent-1", world.broker.now)
    receipt = open_receipt_untrusted(bundle.receipt, passport)
    check_commitment("input", bundle.salt or b"", SECRET, receipt.input_commitment)


def test_nothing_of_a_reading_or_result_is_published_or_printed(world: World) -> None:
    sensor = world.start_sensor()
    world.infer(sensor, SECRET)
    world.broker.advance(2)
    said = b"".join(each.payload for each in world.published)
    told = repr(world.broker.noted) + repr(sensor._sessions.all) + str(sensor.board.details)
    told += repr(sensor._outbox) + repr(list(sensor._dispatch._flights.values()))
    assert b"simulated" in said
    for secret in (SECRET, SECRET[::-1]):
        assert secret not in said
        assert secret.decode() not in told
    [answered] = world.events(Answered)
    salt = decode_message_untrusted(ReceiptBundle, answered.bundle).salt
    assert salt is not None
    assert repr(salt) not in told


def test_only_the_receipt_comes_back_where_the_result_is_for_others(world: World) -> None:
    consumer = world.holder(Role.CONSUMER, "consumer-1")
    sensor = world.start_sensor(
        recipients=(consumer.credential,), deliver_to=world.topics.results(MODEL), return_result=False
    )
    world.infer(sensor, SECRET)
    world.settle()
    [answered] = world.events(Answered)
    assert answered.output is None


def test_a_request_leaves_the_disk_one_step_after_its_end_was_told(world: World) -> None:
    sensor = world.start_sensor()
    request = world.infer(sensor, SECRET)
    store = world.holders[next(key for key in world.holders if key[1] == "sensor-1")].store
    assert store.read(f"outbox:{MODEL}", request) is not None
    world.settle()
    assert sensor.pending == ()
    world.broker.advance(0)
    assert list(store.items(f"outbox:{MODEL}")) == []


def test_without_a_live_passport_nothing_is_sent_and_the_reason_is_told() -> None:
    world = World()
    world.package()
    world.start_verifier()
    world.start_publisher()
    sensor = world.start_sensor(request_seconds=20)
    request = world.infer(sensor, SECRET)
    world.broker.advance(30)
    assert world.events(TimedOut) == [TimedOut(request, Reason.NOT_ATTESTED)]
    assert not openings_sent(world)


def test_what_waits_is_sent_as_soon_as_an_agent_is_attested() -> None:
    world = World()
    world.package()
    world.start_verifier()
    world.start_publisher()
    sensor = world.start_sensor()
    world.infer(sensor, SECRET)
    world.broker.advance(5)
    world.start_agent()
    world.settle()
    assert [event.output for event in world.events(Answered)] == [SECRET[::-1]]


def test_after_the_lease_has_ended_nothing_is_sent_in_an_open_session(world: World) -> None:
    sensor = world.start_sensor(request_seconds=20)
    world.infer(sensor, b"first")
    world.settle()
    world.broker.crash("sealedge-clinic-verifier-verifier")
    world.broker.advance(world.lease_seconds)
    before = len(requests_sent(world)), len(openings_sent(world))
    request = world.infer(sensor, SECRET)
    world.broker.advance(25)
    assert (len(requests_sent(world)), len(openings_sent(world))) == before
    assert world.events(TimedOut) == [TimedOut(request, Reason.LEASE_EXPIRED)]


def test_a_tier_that_is_not_named_is_not_used(world: World) -> None:
    sensor = world.start_sensor(tiers=(cast(Tier, "sev-snp"),), request_seconds=20)
    request = world.infer(sensor, SECRET)
    world.broker.advance(25)
    assert world.events(TimedOut) == [TimedOut(request, Reason.TIER_NOT_ACCEPTED)]
    assert not openings_sent(world)


def test_another_agent_than_the_named_one_is_not_used(world: World) -> None:
    sensor = world.start_sensor(agent="agent-9", request_seconds=20)
    request = world.infer(sensor, SECRET)
    world.broker.advance(25)
    assert world.events(TimedOut) == [TimedOut(request, Reason.NOT_ATTESTED)]
    assert not openings_sent(world)


def test_an_older_version_than_asked_for_is_not_used(world: World) -> None:
    sensor = world.start_sensor(minimum_version=2, request_seconds=20)
    request = world.infer(sensor, SECRET)
    world.broker.advance(25)
    assert world.events(TimedOut) == [TimedOut(request, Reason.STALE)]
    assert not openings_sent(world)


def test_without_a_current_revocation_list_nothing_is_sent(world: World) -> None:
    world.revocations = world.authority.revoke(2, [], now=world.broker.now - 86_400, days=1)
    world.broker.publish(Publication(world.topics.revocations, world.revocations, retain=True))
    sensor = world.start_sensor(request_seconds=20)
    world.settle()
    request = world.infer(sensor, SECRET)
    world.broker.advance(25)
    assert world.events(TimedOut) == [TimedOut(request, Reason.STALE)]
    assert not openings_sent(world)


def test_a_revoked_chip_is_used_no_more_from_that_moment_on(world: World) -> None:
    sensor = world.start_sensor(request_seconds=20)
    world.infer(sensor, b"first")
    world.settle()
    world.broker.crash("sealedge-clinic-verifier-verifier")
    world.revoke("chip", world.chips["agent-1"].public.thumbprint)
    world.settle()
    before = len(requests_sent(world)), len(openings_sent(world))
    world.infer(sensor, SECRET)
    world.settle()
    assert (len(requests_sent(world)), len(openings_sent(world))) == before
    assert [event["why"] for event in world.noted("session-lost")] == [Reason.REVOKED]


def test_a_refusal_that_is_final_ends_the_request(world: World) -> None:
    sensor = world.start_sensor()
    request = world.infer(sensor, b"trap")
    world.settle()
    [refused] = world.events(RequestRefused)
    assert (refused.request, refused.agent, refused.refusal.reason) == (request, "agent-1", Reason.GUEST_TRAP)
    assert sensor.pending == ()
    world.broker.advance(120)
    assert world.events(TimedOut) == []


@pytest.mark.parametrize(
    "reason",
    [
        Reason.INPUT_INVALID,
        Reason.MODEL_INVALID,
        Reason.DEADLINE_EXCEEDED,
        Reason.MEMORY_LIMIT,
        Reason.OUTPUT_TOO_LARGE,
    ],
)
def test_no_reason_of_the_module_is_tried_again(reason: Reason) -> None:
    def fail(_data: bytes) -> bytes:
        raise EnclaveError("the module would not", reason=reason)

    world = World(compute=fail).start_all()
    sensor = world.start_sensor()
    world.infer(sensor, SECRET)
    world.broker.advance(60)
    assert [event.refusal.reason for event in world.events(RequestRefused)] == [reason]
    assert len(requests_sent(world)) == 1


def test_every_request_ends_once_also_when_nobody_answers(world: World) -> None:
    sensor = world.start_sensor(request_seconds=20)
    world.settle()
    world.broker.cut("sealedge-clinic-agent-agent-1")
    sent = [world.infer(sensor, SECRET) for _ in range(5)]
    world.broker.advance(100)
    assert sorted(event.request for event in world.events(TimedOut)) == sorted(sent)
    assert sensor.pending == ()
    assert sensor.deadline is None or sensor.deadline > world.broker.now - 5


def test_no_more_are_in_flight_than_allowed(world: World) -> None:
    sensor = world.start_sensor(in_flight=4)
    world.infer(sensor, b"first")
    world.settle()
    world.broker.cut("sealedge-clinic-agent-agent-1")
    for number in range(20):
        world.infer(sensor, bytes([number]))
    assert len(requests_sent(world)) == 1 + 4
    world.broker.mend("sealedge-clinic-agent-agent-1")
    world.settle()
    assert len(world.events(Answered)) == 21


def test_requests_are_sent_in_the_order_in_which_they_came(world: World) -> None:
    sensor = world.start_sensor(in_flight=3)
    sent = [world.infer(sensor, bytes([number])) for number in range(10)]
    world.settle()
    assert [each.correlation for each in requests_sent(world)] == sent


def test_the_same_request_id_is_accepted_once(world: World) -> None:
    sensor = world.start_sensor()

    def twice(party: SensorParty, now: float) -> Sequence[Event]:
        first, events = party.request(SECRET, now, request_id=bytes(16))
        second, more = party.request(SECRET, now, request_id=bytes(16))
        assert first == second == bytes(16)
        assert list(more) == []
        return events

    world.broker.submit(sensor, twice)
    world.settle()
    assert len(world.events(Answered)) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"reading": SECRET, "request_id": b"short"}, "16 bytes"),
        ({"reading": SECRET, "seconds": 0}, "16 bytes"),
        ({"reading": bytes(MAX_INPUT + 1)}, "too large"),
        ({"reading": b"other", "request_id": b"p" * 16}, "another reading"),
    ],
)
def test_requests_that_make_no_sense_are_not_accepted(world: World, arguments: dict[str, Any], said: str) -> None:
    sensor = world.start_sensor(agent="agent-9")
    sensor.request(SECRET, world.broker.now, request_id=b"p" * 16)
    with pytest.raises(ProtocolMisuseError, match=said):
        sensor.request(now=world.broker.now, **arguments)
    assert sensor.pending == (b"p" * 16,)


def test_a_full_outbox_says_so_and_drops_nothing(world: World) -> None:
    sensor = world.start_sensor(agent="agent-9")
    for number in range(1024):
        sensor.request(number.to_bytes(2, "big"), world.broker.now)
    with pytest.raises(OutboxFullError, match="full"):
        sensor.request(b"one more", world.broker.now)
    assert len(sensor.pending) == 1024


@pytest.mark.parametrize(
    "settings",
    [
        {"tiers": ()},
        {"recipients": (b"x",)},
        {"deliver_to": "somewhere"},
        {"return_result": False},
        {"session_seconds": 0},
        {"session_seconds": 86_401},
        {"in_flight": 0},
        {"retry_seconds": 0},
        {"pad_to": -1},
        {"pad_to": 100_000},
    ],
)
def test_settings_that_make_no_sense_are_refused(world: World, settings: dict[str, Any]) -> None:
    with pytest.raises(ProtocolMisuseError):
        world.start_sensor(**settings)


def test_padding_hides_the_length_of_readings(world: World) -> None:
    sensor = world.start_sensor(pad_to=512)
    for size in (0, 1, 23, 24, 100, 255, 256, 300):
        world.infer(sensor, bytes(size))
        world.settle()
    assert len({len(each.payload) for each in requests_sent(world)}) == 1
    assert len(world.events(Answered)) == 8


def test_sensors_spread_over_the_agents(world: World) -> None:
    passports = []
    for name in ("agent-2", "agent-3"):
        world.start_agent(name)
        world.settle()
    for number in range(24):
        sensor = world.start_sensor(f"sensor-{number}")
        world.settle()
        passports.append(sensor._agents.choose(0, world.broker.now).agent)
    assert set(passports) == {"agent-1", "agent-2", "agent-3"}
