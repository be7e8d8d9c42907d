"""What a hostile broker, another party or a stranger tries on a sensor: forge, move, repeat, roll back (P2, P7, P8)."""

from collections.abc import Callable
from dataclasses import replace
from itertools import count

import pytest

from protocol.attestation import sign_attestation_result
from protocol.channel import Channel
from protocol.cose import parse_encrypt0_untrusted, parse_sign1_untrusted
from protocol.envelope import Address, open_document_untrusted, sign_message
from protocol.keys import SigningKey
from protocol.messages import decode_message_untrusted, encode_message
from protocol.party import Delivery, Publication
from schemas.attestation import AttestationResult
from schemas.kinds import Kind, Role
from schemas.reason import Reason
from schemas.session import InferenceResult, SessionAccept
from schemas.status import Refusal
from sealedge.client.events import Answered, RequestRefused
from sealedge.client.sensor import SensorParty
from tests.support.world import World

SEQUENCES = count(100)
"""Numbers that the enclaves of these tests never reach: a key seals under rising numbers only."""

AGENT = "sealedge-clinic-agent-agent-1"


@pytest.fixture
def world() -> World:
    return World().start_all()


@pytest.fixture
def sensor(world: World) -> SensorParty:
    """A sensor with an open session and one request that the agent does not see."""
    sensor = world.start_sensor(request_seconds=600)
    world.infer(sensor, b"first")
    world.settle()
    world.broker.intercept = lambda each: [] if each.topic == world.topics.request("agent-1") else [each]
    world.infer(sensor, b"abc")
    world.settle()
    return sensor


def inside(sensor: SensorParty) -> Channel:
    """The enclave's side of the sensor's session, as only the enclave could have it."""
    channel = sensor._sessions.all[-1].channel
    return Channel(channel.session, inward=channel.outward, outward=channel.inward, next_sequence=next(SEQUENCES))


def genuine(world: World, sensor: SensorParty) -> InferenceResult:
    """What the enclave would answer to the waiting request."""
    [waiting] = sensor.pending
    world.broker.intercept = None
    request = next(each for each in reversed(world.published) if each.correlation == waiting)
    enclave = world.parties[AGENT]._enclave
    delivery = Delivery(request.topic, request.payload, request.response_topic, waiting)
    [reply] = [e for e in enclave.receive(delivery, world.broker.now) if isinstance(e, Publication)]
    session = sensor._sessions.all[-1]
    message = parse_encrypt0_untrusted(reply.payload)
    plaintext = session.channel.open_untrusted(message, Kind.REPLY, sensor._inbox_topic, sensor.name, waiting)
    return decode_message_untrusted(InferenceResult, plaintext)


def say(world: World, sensor: SensorParty, kind: Kind, plaintext: bytes, correlation: bytes) -> list[str]:
    """Let the enclave of the session say this. Returns the reasons of the refusals that follow."""
    before = len(world.refusals())
    payload = inside(sensor).seal(kind, plaintext, sensor._inbox_topic, sensor.name, correlation)
    world.broker.deliver(sensor, Delivery(sensor._inbox_topic, payload, correlation=correlation))
    world.settle()
    return world.refusals()[before:]


def test_a_genuine_reply_is_taken(world: World, sensor: SensorParty) -> None:
    """The attacks below fail for what they change, and for nothing else."""
    [waiting] = sensor.pending
    assert say(world, sensor, Kind.REPLY, encode_message(genuine(world, sensor)), waiting) == []
    assert world.events(Answered)[-1].output == b"cba"


CHANGES: dict[str, tuple[Callable[[InferenceResult], dict[str, object]], str]] = {
    "another output": (lambda _: {"output": b"xyz"}, "binding-mismatch"),
    "another salt": (lambda _: {"salt": bytes(32)}, "binding-mismatch"),
    "no output": (lambda _: {"output": None}, "unexpected"),
    "another request": (lambda _: {"request": bytes(16)}, "misaddressed"),
    "a garbled receipt": (lambda r: {"receipt": r.receipt[:-1] + bytes([r.receipt[-1] ^ 1])}, "signature-invalid"),
    "a receipt that is none": (lambda _: {"receipt": b"\xf6"}, "malformed"),
    "a garbled passport": (
        lambda r: {"attestation_result": r.attestation_result[:-1] + bytes([r.attestation_result[-1] ^ 1])},
        "signature-invalid",
    ),
    "a passport that is none": (lambda _: {"attestation_result": b"\xf6"}, "malformed"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_result_is_refused_even_under_the_sessions_key(world: World, sensor: SensorParty, name: str) -> None:
    [waiting] = sensor.pending
    change, reason = CHANGES[name]
    result = genuine(world, sensor)
    forged = result.model_copy(update=change(result))
    assert say(world, sensor, Kind.REPLY, encode_message(forged), waiting) == [reason]
    assert sensor.pending == (waiting,)


def test_a_result_for_another_request_of_the_same_session_is_refused(world: World, sensor: SensorParty) -> None:
    result = genuine(world, sensor)
    world.infer(sensor, b"abc")
    [_, other] = sensor.pending
    moved = result.model_copy(update={"request": other})
    assert "misaddressed" in say(world, sensor, Kind.REPLY, encode_message(moved), other)


def test_the_result_of_another_sensors_request_is_refused(world: World, sensor: SensorParty) -> None:
    """The other sensor named the same request id and the same reading: the receipt names that sensor."""
    [waiting] = sensor.pending
    world.broker.intercept = None
    other = world.start_sensor("sensor-2")
    world.broker.submit(other, lambda party, now: party.request(b"abc", now, request_id=waiting)[1])
    world.settle()
    reply = world.said_on(other._inbox_topic)[-1]
    session = other._sessions.all[-1]
    message = parse_encrypt0_untrusted(reply.payload)
    plaintext = session.channel.open_untrusted(message, Kind.REPLY, other._inbox_topic, other.name, waiting)
    assert say(world, sensor, Kind.REPLY, plaintext, waiting) == ["binding-mismatch"]


def test_an_answer_under_another_sessions_key_is_refused(world: World, sensor: SensorParty) -> None:
    [waiting] = sensor.pending
    channel = Channel.of_enclave(inside(sensor).session, bytes(32))
    payload = channel.seal(Kind.REPLY, encode_message(genuine(world, sensor)), sensor._inbox_topic, "sensor-1", waiting)
    world.redeliver(sensor, Publication(sensor._inbox_topic, payload, correlation=waiting))
    assert world.refusals()[-1] == "decryption-failed"
    channel = Channel.of_enclave(bytes(16), bytes(32))
    payload = channel.seal(Kind.REPLY, b"", sensor._inbox_topic, "sensor-1", waiting)
    world.redeliver(sensor, Publication(sensor._inbox_topic, payload, correlation=waiting))
    assert world.refusals()[-1] == "session-unknown"
    assert sensor.pending == (waiting,)


def test_a_reply_moved_to_another_correlation_or_topic_is_refused(world: World, sensor: SensorParty) -> None:
    [waiting] = sensor.pending
    first = next(each for each in world.said_on(sensor._inbox_topic) if each.correlation != waiting)
    world.redeliver(sensor, first, correlation=waiting)
    assert world.refusals()[-1] == "decryption-failed"
    for correlation in (None, b"", bytes(15)):
        world.redeliver(sensor, first, correlation=correlation)
        assert world.refusals()[-1] == "unexpected"
    world.redeliver(sensor, first, topic="sealedge/v1/clinic/sensor/sensor-2/inbox")
    assert world.refusals()[-1] == "unexpected"
    assert sensor.pending == (waiting,)


def test_the_sensors_own_request_sent_back_to_it_is_refused(world: World, sensor: SensorParty) -> None:
    [waiting] = sensor.pending
    sent = world.said_on(world.topics.request("agent-1"))[-1]
    world.redeliver(sensor, replace(sent, topic=sensor._inbox_topic))
    assert world.refusals()[-1] == "unexpected"
    assert sensor.pending == (waiting,)


def test_recorded_answers_again_change_nothing(world: World, sensor: SensorParty) -> None:
    before = len(world.broker.noted)
    for each in world.said_on(sensor._inbox_topic):
        world.redeliver(sensor, each)
    assert world.broker.noted[before:] == []
    assert sensor.board.counts["repeated"] == 2


def test_a_refusal_by_a_stranger_is_not_believed(world: World, sensor: SensorParty) -> None:
    [waiting] = sensor.pending
    refusal = Refusal(reason=Reason.INPUT_INVALID, time=int(world.broker.now))
    for key in (SigningKey.generate(world.randomness), world.holder(Role.SENSOR, "sensor-2").signing):
        payload = sign_message(Kind.REFUSAL, refusal, key, Address(sensor._inbox_topic, "", waiting))
        world.redeliver(sensor, Publication(sensor._inbox_topic, payload, correlation=waiting))
        assert world.refusals()[-1] == "unknown-signer"
    assert world.events(RequestRefused) == []


def test_an_enclaves_refusal_of_something_else_is_not_believed(world: World, sensor: SensorParty) -> None:
    [waiting] = sensor.pending
    key = world.parties[AGENT]._enclave.key
    refusal = Refusal(reason=Reason.INPUT_INVALID, time=int(world.broker.now))
    elsewhere = (
        Address(sensor._inbox_topic, "", bytes(16)),
        Address("sealedge/v1/clinic/sensor/sensor-2/inbox", "", waiting),
        Address(sensor._inbox_topic, "sensor-1", waiting),
    )
    for address in elsewhere:
        payload = sign_message(Kind.REFUSAL, refusal, key, address)
        world.redeliver(sensor, Publication(sensor._inbox_topic, payload, correlation=waiting))
        assert world.refusals()[-1] == "signature-invalid"
    assert sensor.pending == (waiting,)


def test_a_signed_refusal_repeated_for_ever_does_not_keep_the_sensor_busy(world: World, sensor: SensorParty) -> None:
    """A broker may end any session by dropping messages. It may not make the sensor work at its pace."""
    [waiting] = sensor.pending
    key = world.parties[AGENT]._enclave.key
    refusal = Refusal(reason=Reason.SESSION_UNKNOWN, time=int(world.broker.now))
    payload = sign_message(Kind.REFUSAL, refusal, key, Address(sensor._inbox_topic, "", waiting))
    before = len(world.said_on(world.topics.session("agent-1")))
    for _ in range(200):
        world.redeliver(sensor, Publication(sensor._inbox_topic, payload, correlation=waiting))
        world.broker.advance(0.05)
    assert len(world.said_on(world.topics.session("agent-1"))) - before < 10


def test_an_older_passport_again_is_noticed_and_named(world: World, sensor: SensorParty) -> None:
    first, *_, last = world.said_on(world.topics.result("agent-1"))
    assert first.payload != last.payload
    world.redeliver(sensor, first)
    assert world.refusals()[-1] == "stale"
    assert sensor._agents.live("agent-1", world.broker.now).document == last.payload


def test_an_older_passport_is_noticed_after_a_restart_too(world: World, sensor: SensorParty) -> None:
    first, *_ = world.said_on(world.topics.result("agent-1"))
    again = SensorParty(
        world.trust(world.holders[Role.SENSOR, "sensor-1"].store),
        "sensor-1",
        sensor.key,
        b"",
        "scan",
        world.holders[Role.SENSOR, "sensor-1"].store,
        world.randomness,
        tiers=sensor._terms.tiers,
    )
    [noted, *_] = again.receive(Delivery(first.topic, first.payload), world.broker.now)
    assert getattr(noted, "detail", {})["reason"] == "stale"


def forged_passport(world: World, key: SigningKey, credential: bytes, **changes: object) -> bytes:
    """The newest passport of agent-1, changed and signed anew."""
    newest = world.said_on(world.topics.result("agent-1"))[-1].payload
    verifier = world.holder(Role.VERIFIER, "verifier").signing.public
    result = open_document_untrusted(AttestationResult, newest, Kind.ATTESTATION_RESULT, verifier)
    changes = {"sequence": result.sequence + 1, **changes}
    return sign_attestation_result(result.model_copy(update=changes), key, credential)


def test_a_passport_by_anyone_but_a_verifier_is_refused(world: World, sensor: SensorParty) -> None:
    for role, reason in ((Role.SENSOR, "role-not-allowed"), (Role.PUBLISHER, "role-not-allowed")):
        holder = world.holder(role, "mallory")
        forged = forged_passport(world, holder.signing, holder.credential)
        world.redeliver(sensor, Publication(world.topics.result("agent-1"), forged))
        assert world.refusals()[-1] == reason
    stolen = world.holder(Role.VERIFIER, "verifier").credential
    forged = forged_passport(world, world.holder(Role.SENSOR, "mallory").signing, stolen)
    world.redeliver(sensor, Publication(world.topics.result("agent-1"), forged))
    assert world.refusals()[-1] == "unknown-signer"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"fleet": "other"}, "misaddressed"),
        ({"agent": "agent-2"}, "misaddressed"),
        ({"verifier": "other"}, "misaddressed"),
        ({"status": 32}, "evidence-invalid"),
        ({"status": 96}, "evidence-invalid"),
        ({"expires": 1_799_999_999}, "lease-expired"),
        ({"issued": 1_900_000_000, "expires": 1_900_000_300}, "not-yet-valid"),
    ],
)
def test_a_verifiers_passport_that_does_not_hold_is_refused(
    world: World, sensor: SensorParty, changes: dict[str, object], reason: str
) -> None:
    verifier = world.holder(Role.VERIFIER, "verifier")
    forged = forged_passport(world, verifier.signing, verifier.credential, **changes)
    world.redeliver(sensor, Publication(world.topics.result("agent-1"), forged))
    assert world.refusals()[-1] == reason


def test_an_accept_for_something_else_is_refused(world: World) -> None:
    sensor = world.start_sensor()
    world.broker.intercept = lambda each: [] if each.topic == world.topics.session("agent-1") else [each]
    world.infer(sensor, b"abc")
    world.settle()
    [session] = sensor._sessions.all
    [(manifest, name)] = sensor._manifests
    good = SessionAccept(
        session=session.identifier,
        model=manifest.model,
        version=manifest.version,
        manifest=name,
        attestation_result=session.passport.digest,
        expires=int(world.broker.now) + 100,
        window=64,
    )
    for changes, reason in (
        ({"session": bytes(16)}, "binding-mismatch"),
        ({"model": "other"}, "binding-mismatch"),
        ({"manifest": bytes(32)}, "binding-mismatch"),
    ):
        bad = encode_message(good.model_copy(update=changes))
        assert say(world, sensor, Kind.SESSION_ACCEPT, bad, session.identifier) == [reason]
        assert world.said_on(world.topics.request("agent-1")) == []
    say(world, sensor, Kind.SESSION_ACCEPT, encode_message(good), session.identifier)
    assert len(world.said_on(world.topics.request("agent-1"))) == 1


def test_a_status_cannot_be_forged_and_a_death_is_not_undone(world: World, sensor: SensorParty) -> None:
    topic = world.topics.status(Role.AGENT, "agent-1")
    birth = world.said_on(topic)[-1]
    world.redeliver(sensor, Publication(topic, b'{"state": "lost", "proof": "AAAA"}'))
    assert world.refusals()[-1] == "malformed"
    assert sensor._agents.choose(0, world.broker.now).agent == "agent-1"
    world.broker.cut(AGENT)
    world.settle()
    world.redeliver(sensor, birth)
    with pytest.raises(Exception, match="away"):
        sensor._agents.choose(0, world.broker.now)


def test_a_sensor_does_not_go_back_to_an_older_version(world: World) -> None:
    sensor = world.start_sensor()
    world.package(b"\0asm" + b"second" * 100)
    world.broker.submit(world.parties["sealedge-clinic-publisher-publisher"], lambda p, now: p.publish("scan", now))
    world.broker.advance(10)
    world.infer(sensor, b"abc")
    world.settle()
    assert world.events(Answered)[-1].version == 2
    assert sensor._sessions.minimum_version == 2
    world.broker.crash("sealedge-clinic-sensor-sensor-1")
    assert world.start_sensor()._sessions.minimum_version == 2
    kid = parse_sign1_untrusted(world.said_on(world.topics.session("agent-1"))[-1].payload).kid
    assert kid == sensor.key.public.thumbprint
