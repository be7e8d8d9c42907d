"""How an enclave gets, keeps and loses its passport."""

import pytest

from protocol.party import Delivery
from schemas.kinds import Role
from schemas.policy import ReferenceValues
from tests.support.raw_sensor import RawSensor
from tests.support.world import World


@pytest.fixture
def world() -> World:
    return World(lease_seconds=60).start_all()


def newest(world: World, topic: str) -> Delivery:
    said = world.said_on(topic)[-1]
    return Delivery(said.topic, said.payload, said.response_topic, said.correlation)


def test_a_challenge_that_comes_again_is_answered_with_the_same_bytes() -> None:
    world = World()
    evidence = world.topics.evidence("agent-1")
    world.broker.intercept = lambda said: [] if said.topic == evidence else [said]
    world.start_verifier()
    world.start_agent()
    world.settle()
    sensor = RawSensor(world)
    challenge = newest(world, world.topics.challenge("agent-1"))
    again, once_more = sensor.say(challenge), sensor.say(challenge)
    assert [each.topic for each in again] == [evidence]
    assert again == once_more


def test_an_unanswered_enclave_asks_again() -> None:
    world = World()
    world.start_agent()
    world.broker.advance(30)
    assert len(world.said_on(world.topics.attest("agent-1"))) >= 5


def test_an_enclave_that_starts_again_within_a_second_asks_again_when_the_verifier_is_free() -> None:
    """It is challenged once a second for its birth; an answer that never comes is waited for five times as long."""
    world = World().start_all()
    before = len(world.noted("attested"))
    world.start_agent()
    world.broker.advance(0.5)
    assert "busy" in {each.get("reason") for each in world.noted("refused-by")}
    assert len(world.noted("attested")) == before
    world.broker.advance(1.5)
    assert len(world.noted("attested")) > before


def test_the_kem_key_changes_at_every_attestation(world: World) -> None:
    sensor = RawSensor(world)
    first = sensor.passport
    world.broker.advance(40)
    second = sensor.passport
    assert first.signing_key == second.signing_key
    assert first.kem_key != second.kem_key


def test_a_session_opened_under_a_renewed_passport_still_opens_while_the_old_one_lives(world: World) -> None:
    sensor = RawSensor(world)
    opening = sensor.opening()
    world.broker.advance(35)
    assert len(world.noted("attested")) > 2
    assert sensor.say(opening), "the KEM key of a passport that lives is kept"


def test_a_session_opened_under_a_dead_passport_is_refused(world: World) -> None:
    sensor = RawSensor(world)
    opening = sensor.opening()
    world.broker.advance(61)
    assert sensor.refusal(opening) == "decryption-failed"


def test_an_attestation_result_that_answers_nothing_is_refused(world: World) -> None:
    old = newest(world, world.topics.result("agent-1"))
    world.broker.advance(70)
    assert RawSensor(world).say(old) == []
    assert world.refusals()[-1] in {"lease-expired", "stale"}


def test_the_host_cannot_turn_back_time(world: World) -> None:
    """After the lease, a host that claims it is still running gets nothing: the enclave's clock only goes forward."""
    sensor = RawSensor(world)
    sensor.open(expires=int(world.broker.now) + 3000)
    request = sensor.request(sensor.reading(expires=int(world.broker.now) + 3000))
    world.broker.crash("sealedge-clinic-verifier-verifier")
    world.broker.advance(61)
    agent = world.parties["sealedge-clinic-agent-agent-1"]
    events = agent.receive(request, world.broker.now - 61)
    assert world.noted("model-erased")
    assert all(getattr(event, "payload", b"\xd2")[0] == 0xD2 for event in events)


def test_a_challenge_by_somebody_who_is_no_verifier_is_refused(world: World) -> None:
    """The forger has a good credential of the fleet, but not of that role."""
    from protocol.envelope import Address, sign_message  # noqa: PLC0415
    from schemas.attestation import Challenge  # noqa: PLC0415
    from schemas.kinds import Kind  # noqa: PLC0415

    forger = world.holder(Role.PUBLISHER, "publisher")
    nonce, topic = bytes(32), world.topics.challenge("agent-1")
    now = int(world.broker.now)
    challenge = Challenge(
        fleet="clinic", agent="agent-1", verifier="publisher", nonce=nonce, issued=now, expires=now + 60,
        purpose="birth", algorithms=(-65801, -19, -9), formats=("x",),
    )  # fmt: skip
    address = Address(topic, "agent-1", nonce)
    payload = sign_message(Kind.CHALLENGE, challenge, forger.signing, address, forger.credential)
    RawSensor(world).say(Delivery(topic, payload, correlation=nonce))
    assert world.refusals()[-1] == "role-not-allowed"


def test_a_verifier_that_refuses_does_not_hurt_where_another_affirms() -> None:
    world = World(lease_seconds=60)
    world.package()
    world.start_verifier()
    world.start_verifier("strict", reference_values=ReferenceValues(measurements=("ab" * 32,)))
    world.start_publisher()
    world.start_agent()
    world.settle()
    assert {each["by"] for each in world.noted("refused-by")} >= {"strict"}
    sensor = RawSensor(world)
    sensor.open()
    world.broker.advance(100)
    assert sensor.result(sensor.request(sensor.reading(b"abc"))).output == b"cba"


def test_two_verifiers_are_each_answered_for_their_own_nonce() -> None:
    world = World(lease_seconds=60)
    world.package()
    for name in ("verifier", "second"):
        world.start_verifier(name)
    world.start_publisher()
    world.start_agent()
    world.settle()
    challenges = {each.correlation for each in world.said_on(world.topics.challenge("agent-1"))}
    answers = [each.correlation for each in world.said_on(world.topics.evidence("agent-1"))]
    assert set(answers) == challenges
    assert len(answers) == len(challenges)
    world.broker.crash("sealedge-clinic-verifier-verifier")
    world.broker.advance(130)
    sensor = RawSensor(world)
    sensor.open()
    assert sensor.result(sensor.request(sensor.reading(b"abc"))).output == b"cba"


def test_the_end_of_the_newest_passport_is_not_the_end_of_an_older_one() -> None:
    """One verifier lends trust for a minute, the other for an hour; the short one comes last, and falls silent."""
    world = World(lease_seconds=3600).start_all()
    world.broker.crash("sealedge-clinic-verifier-verifier")
    world.start_verifier("short", lease_seconds=60)
    world.broker.advance(1)
    agent = world.parties["sealedge-clinic-agent-agent-1"]
    world.broker.publish(agent._enclave._attesting.ask("again", world.broker.now))
    world.settle()
    assert {each["lease_seconds"] for each in world.noted("attested")} >= {60, 3600}
    world.broker.crash("sealedge-clinic-verifier-short")
    held = agent._enclave._attesting
    assert len(held._held) > 1
    assert held.live(world.broker.now + 3000).result.verifier == "verifier"


def test_a_host_whose_clock_runs_ahead_ends_everything_and_opens_nothing(world: World) -> None:
    sensor = RawSensor(world)
    opening, agent = sensor.opening(), world.parties["sealedge-clinic-agent-agent-1"]
    agent.expire(world.broker.now + 3600)
    assert agent._enclave._models.loaded == ()
    assert sensor.refusal(opening) == "decryption-failed"


def test_a_host_that_stops_the_clock_does_not_hold_the_enclave_behind_its_verifier(world: World) -> None:
    """What the verifier has signed since is later: the enclave's clock goes on with it."""
    agent, stopped = world.parties["sealedge-clinic-agent-agent-1"], world.broker.now
    plain = agent._enclave.receive
    agent._enclave.receive = lambda delivery, _now: plain(delivery, stopped)
    agent._enclave.expire = lambda _now: []
    world.broker.now += 45
    world.broker.publish(agent._enclave._attesting.ask("again", world.broker.now))
    world.settle()
    assert RawSensor(world).passport.result.issued == int(stopped) + 45
    assert agent._enclave._time(stopped) == int(stopped) + 45
