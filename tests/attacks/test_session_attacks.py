"""What a hostile broker, another sensor or a hostile sensor tries with session openings (P2, P3, P6, P7, P9)."""

from dataclasses import replace
from typing import Any

import pytest

from edge_agent.enclave.configuration import EnclaveLimits
from protocol.cose import parse_sign1_untrusted, sign1
from protocol.envelope import Address, seal_message
from protocol.messages import digest
from schemas.kinds import Kind, Role, Tier
from schemas.session import SessionOpen
from tests.support.raw_sensor import RawSensor
from tests.support.world import World


@pytest.fixture
def world() -> World:
    return World().start_all()


@pytest.fixture
def sensor(world: World) -> RawSensor:
    return RawSensor(world)


def test_an_honest_session_works(sensor: RawSensor) -> None:
    accepted = sensor.open()
    assert accepted.session == sensor.session
    assert sensor.result(sensor.request(sensor.reading(b"abc"))).output == b"cba"


def test_the_same_opening_is_answered_with_the_same_bytes(sensor: RawSensor) -> None:
    opening = sensor.opening()
    assert sensor.say(opening) == sensor.say(opening)


def test_another_opening_under_a_known_session_id_is_refused(sensor: RawSensor) -> None:
    sensor.open()
    assert sensor.refusal(sensor.opening()) == "replayed"


def test_a_recorded_opening_does_not_open_at_a_new_enclave(world: World, sensor: RawSensor) -> None:
    recorded = sensor.opening()
    world.restart_agent()
    assert sensor.refusal(recorded) == "decryption-failed"


def test_an_opening_for_another_agent_is_refused(world: World, sensor: RawSensor) -> None:
    world.start_agent("agent-2")
    world.settle()
    moved = replace(sensor.opening(), topic=world.topics.session("agent-2"))
    other = RawSensor(world, agent="agent-2")
    assert other.refusal(moved) == "signature-invalid"


@pytest.mark.parametrize("correlation", [b"", bytes(16), None])
def test_an_opening_in_another_exchange_is_refused(sensor: RawSensor, correlation: bytes | None) -> None:
    moved = replace(sensor.opening(), correlation=correlation)
    assert sensor.refusal(moved) == "signature-invalid"


def test_a_ciphertext_signed_again_by_another_sensor_is_refused(world: World, sensor: RawSensor) -> None:
    """The thief's own credential is good, and the inner ciphertext is genuine: it still does not open."""
    thief = world.holder(Role.SENSOR, "thief")
    opening = sensor.opening()
    address = Address(opening.topic, sensor.agent, sensor.session)
    stolen = sign1(
        thief.signing,
        parse_sign1_untrusted(opening.payload).payload,
        typ=str(Kind.SESSION_OPEN),
        external_aad=address.aad(Kind.SESSION_OPEN, thief.signing.public.thumbprint),
        credential=thief.credential,
    )
    assert sensor.refusal(replace(opening, payload=stolen)) == "decryption-failed"


def test_a_consumer_may_not_open_sessions(world: World, sensor: RawSensor) -> None:
    sensor.holder = world.holder(Role.CONSUMER, "consumer-1")
    assert sensor.refusal(sensor.opening()) == "role-not-allowed"


def test_a_credential_of_another_authority_is_refused(sensor: RawSensor) -> None:
    sensor.holder = World(seed=9).holder(Role.SENSOR, "sensor-1")
    assert sensor.refusal(sensor.opening()) == "unknown-signer"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"fleet": "other"}, "misaddressed"),
        ({"agent": "agent-2"}, "misaddressed"),
        ({"reply_to": "sealedge/v1/clinic/sensor/victim/inbox"}, "misaddressed"),
        ({"model": "other"}, "model-unknown"),
        ({"minimum_version": 2}, "stale"),
        ({"attestation_result": bytes(32)}, "stale"),
        ({"return_result": False}, "malformed"),
        ({"deliver_to": "sealedge/v1/clinic/model/scan/results"}, "malformed"),
        ({"issued": 1_700_000_000, "expires": 1_700_000_100}, "expired"),
        ({"issued": 1_800_000_100}, "not-yet-valid"),
        ({"expires": 1_800_000_000 + 86_401}, "malformed"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_terms_that_do_not_hold_are_refused(sensor: RawSensor, changes: dict[str, Any], reason: str) -> None:
    assert sensor.refusal(sensor.opening(**changes)) == reason


def test_results_go_to_no_topic_but_the_recipients(world: World, sensor: RawSensor) -> None:
    consumer = world.holder(Role.CONSUMER, "consumer-1")
    victim = world.topics.inbox(Role.CONSUMER, "victim")
    opening = sensor.opening(recipients=(consumer.credential,), deliver_to=victim)
    assert sensor.refusal(opening) == "misaddressed"


def test_a_sensor_cannot_name_a_sensor_as_recipient(world: World, sensor: RawSensor) -> None:
    other = world.holder(Role.SENSOR, "sensor-2")
    opening = sensor.opening(recipients=(other.credential,), deliver_to=world.topics.results("scan"))
    assert sensor.refusal(opening) == "role-not-allowed"


def test_a_one_shot_without_a_request_and_a_session_with_one_are_refused(sensor: RawSensor) -> None:
    assert sensor.refusal(sensor.opening(Kind.ONE_SHOT)) == "unexpected"
    assert sensor.refusal(sensor.opening(request=sensor.reading())) == "unexpected"


def test_a_one_shot_is_answered_once_and_repeated_with_the_same_bytes(world: World, sensor: RawSensor) -> None:
    computed: list[bytes] = []
    world.compute = lambda data: (computed.append(data), data)[1]
    one_shot = sensor.opening(Kind.ONE_SHOT, request=sensor.reading(b"once"))
    first, second = sensor.say(one_shot), sensor.say(one_shot)
    assert first == second
    assert computed == [b"once"]


def test_an_opening_is_not_a_one_shot(sensor: RawSensor) -> None:
    """The same fields under another kind: the typ is authenticated."""
    terms = sensor.terms(request=sensor.reading())
    topic = sensor.topics.session(sensor.agent)
    address = Address(topic, sensor.agent, terms.session)
    payload = seal_message(
        Kind.RECEIPT, terms, sensor.holder.signing, sensor.passport.kem_key, address, sensor.world.randomness,
        sensor.holder.credential,
    )  # fmt: skip
    assert sensor.refusal(replace(sensor.opening(), payload=payload)) == "unexpected"


def test_one_sender_cannot_take_all_sessions(world: World) -> None:
    modest = RawSensor(world, "modest")
    modest.open()
    for _ in range(20):
        RawSensor(world, "greedy").open()
    assert modest.result(modest.request(modest.reading(b"abc"))).output == b"cba"


def test_a_sensor_that_starts_again_and_again_replaces_its_own_oldest_session(world: World) -> None:
    first = RawSensor(world)
    opening = first.opening()
    first.say(opening)
    recorded = first.request(first.reading())
    for _ in range(8):
        RawSensor(world).open()
    assert first.refusal(recorded) == "session-unknown"
    assert first.refusal(opening) == "replayed", "a replaced session never opens again: its nonces would repeat"


def test_replacing_sessions_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each replaced id is remembered, so nobody may replace without end."""
    monkeypatch.setattr("edge_agent.enclave.sessions.MAX_REPLACED", 3)
    for _ in range(8 + 3):
        RawSensor(world, "greedy").open()
    greedy = RawSensor(world, "greedy")
    assert greedy.refusal(greedy.opening()) == "session-limit"
    assert RawSensor(world, "modest").open()
    world.broker.advance(201)
    assert RawSensor(world, "greedy").open(), "what has ended is forgotten"


def test_sessions_end_and_make_room(world: World) -> None:
    for _ in range(8):
        RawSensor(world).open(expires=int(world.broker.now) + 20)
    world.broker.advance(21)
    assert RawSensor(world).open()


def test_the_limit_of_all_sessions_holds() -> None:
    world = World(limits=EnclaveLimits(sessions=3)).start_all()
    for number in range(3):
        RawSensor(world, f"sensor-{number}").open()
    late = RawSensor(world, "sensor-9")
    assert late.refusal(late.opening()) == "session-limit"


def test_no_session_before_attestation(world: World, sensor: RawSensor) -> None:
    """A passport of the enclave before; the new one is not attested, since the verifier is gone (P3)."""
    world.broker.crash(world.parties["sealedge-clinic-verifier-verifier"])
    opening = sensor.opening()
    world.start_agent()
    world.settle()
    replies = sensor.say(opening)
    assert [each.payload[0] for each in replies] == [0xD2], "a refusal in the clear and nothing else"
    assert world.refusals()[-1] == "decryption-failed"


def test_no_session_and_no_result_after_the_lease(world: World, sensor: RawSensor) -> None:
    sensor.open(expires=int(world.broker.now) + 4000)
    request = sensor.request(sensor.reading(expires=int(world.broker.now) + 4000))
    world.broker.crash(world.parties["sealedge-clinic-verifier-verifier"])
    world.broker.advance(301)
    assert sensor.refusal(request) in {"session-unknown", "lease-expired"}
    assert sensor.refusal(RawSensor(world).opening()) in {"not-attested", "lease-expired", "decryption-failed"}
    assert world.noted("model-erased")


def test_a_tier_that_the_sensor_does_not_name_is_refused(world: World, sensor: RawSensor) -> None:
    """There is only one tier yet, so the field is bent by hand: the enclave must look at it (P6)."""
    terms = sensor.terms()
    bent = SessionOpen.model_construct(**{**terms.__dict__, "tiers": ("sev-snp",)})
    assert Tier.SIMULATED not in bent.tiers
    topic = sensor.topics.session(sensor.agent)
    payload = seal_message(
        Kind.SESSION_OPEN, bent, sensor.holder.signing, sensor.passport.kem_key,
        Address(topic, sensor.agent, terms.session), world.randomness, sensor.holder.credential,
    )  # fmt: skip
    assert sensor.refusal(replace(sensor.opening(), payload=payload)) in {"malformed", "tier-not-accepted"}


def test_a_revoked_sensor_is_refused_and_its_session_erased(world: World, sensor: RawSensor) -> None:
    sensor.open()
    trust = world.trust(sensor.holder.store)
    identity = trust.identify_untrusted(sensor.holder.credential, world.broker.now, Role.SENSOR)
    world.revoke("credential", identity.identifier)
    world.settle()
    assert world.noted("sessions-erased")
    assert sensor.refusal(sensor.request(sensor.reading())) == "session-unknown"
    again = RawSensor(world)
    assert again.refusal(again.opening()) == "revoked"


def test_a_revoked_model_is_erased(world: World, sensor: RawSensor) -> None:
    sensor.open()
    world.revoke("model", digest(b"\0asm" + b"module" * 30_000))
    world.settle()
    assert world.noted("model-erased") == [{"model": "scan", "version": 1, "why": "revoked"}]
    assert sensor.refusal(sensor.request(sensor.reading())) == "model-unknown"


def test_a_revoked_chip_ends_the_enclave(world: World, sensor: RawSensor) -> None:
    sensor.open()
    request = sensor.request(sensor.reading())
    world.revoke("chip", world.chips["agent-1"].public.thumbprint)
    world.settle()
    assert world.noted("model-erased")
    replies = sensor.say(request)
    assert [each.payload[0] for each in replies] == [0xD2], "a refusal in the clear and nothing else"
    assert world.refusals()[-1] == "session-unknown"
