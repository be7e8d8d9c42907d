"""A genuine sensor, or somebody else's credentials, in sessions: more than is theirs (P2, P7, P12, P14)."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from protocol.channel import Channel
from schemas.kinds import Role
from sealedge.operations.attacks.families.replaying import duplicates_before
from sealedge.operations.attacks.insiders.session import HostileSession, Insider
from sealedge.operations.attacks.scenario import Attack, Attacker, Scenario, Verdict, judged
from sealedge.operations.attacks.stage import MASK, Stage
from sealedge.operations.attacks.targets.actors import Attacker as Client
from sealedge.operations.attacks.targets.modules import expected
from sealedge.operations.attacks.targets.names import CONSUMER, MALLORY, SENSOR, TRUDY
from sealedge.operations.attacks.targets.usual_agent import REPLY
from storage.files import read_bytes

FAMILY: Final = "sessions"
TAKEN: Final = "the enclave took it"
DAY: Final = 86_400


def _asked_by_anybody_before(stage: Stage) -> Verdict:
    """A client that is no sensor asks, and is answered."""
    reading = stage.reading()
    with Client(stage.broker.account("no-sensor"), "no-sensor/inbox") as client:
        client.say(replace(stage.usual.request(reading), response_topic="no-sensor/inbox"))
        told = client.hear(lambda each: expected(reading, MASK).hex().encode() in each.payload, seconds=3.0)
    return judged(told is not None, "whoever asks is answered", "check")


def _written_to_victim_before(stage: Stage) -> Verdict:
    """A client has the agent write to another sensor's topic."""
    usual, request = stage.usual, stage.usual.request(stage.reading())
    mark = usual.sensor.mark()
    with Client(stage.broker.account("some-client")) as client:
        client.say(replace(request, response_topic=REPLY))
        told = usual.answer(request.correlation or b"", mark, 3.0)
    return judged(told is not None, "the agent wrote to a sensor that had not asked", "check")


def _times_before(stage: Stage) -> Verdict:
    """Nothing says how old a request is: one of yesterday is answered as one of now."""
    usual, reading = stage.usual, stage.reading()
    mark, request = usual.sensor.mark(), usual.request(reading)
    said = {**json.loads(request.payload), "issued": int(stage.sealed.clock()) - DAY}
    usual.sensor.say(replace(request, payload=json.dumps(said).encode()))
    told = usual.answer(request.correlation or b"", mark, 3.0)
    return judged(told is not None, "a request of yesterday was answered", "check")


def bent(stage: Stage, act: Callable[[Insider, HostileSession], str | None]) -> Verdict:
    """What the enclave makes of something that a genuine sensor bent; an honest sensor is served all the same."""
    with Insider(stage.sealed, Role.SENSOR, MALLORY) as mallory:
        by = act(mallory, mallory.session())
    return judged(by is None, TAKEN, by)


def _written_to_victim(stage: Stage) -> Verdict:
    inbox = stage.sealed.topics.inbox(Role.SENSOR, SENSOR)
    return bent(stage, lambda _mallory, session: session.open(reply_to=inbox))


def _delivered_to_victim(stage: Stage) -> Verdict:
    """The result of Mallory's reading shall arrive at a consumer that is not its recipient."""
    fleet = stage.sealed
    trudy = read_bytes(fleet.folder.party(Role.CONSUMER, TRUDY) / "credential.cwt")
    victim = fleet.topics.inbox(Role.CONSUMER, CONSUMER)
    return bent(stage, lambda _mallory, session: session.open(recipients=(trudy,), deliver_to=victim))


def _borrowed_credential(stage: Stage) -> Verdict:
    fleet = stage.sealed
    theirs = read_bytes(fleet.folder.party(Role.SENSOR, SENSOR) / "credential.cwt")
    reply = fleet.topics.inbox(Role.SENSOR, SENSOR)
    return bent(stage, lambda _mallory, session: session.say(session.opening(credential=theirs, reply_to=reply)))


def _opened_by_consumer(stage: Stage) -> Verdict:
    with Insider(stage.sealed, Role.CONSUMER, TRUDY) as trudy:
        by = trudy.session().open()
    return judged(by is None, TAKEN, by)


def _yesterday(stage: Stage) -> Verdict:
    def act(_mallory: Insider, session: HostileSession) -> str | None:
        session.open()
        now = session.insider.now
        return session.say(session.request(session.reading(stage.reading(), issued=now - DAY, expires=now - DAY + 60)))

    return bent(stage, act)


def _tomorrow(stage: Stage) -> Verdict:
    def act(_mallory: Insider, session: HostileSession) -> str | None:
        session.open()
        now = session.insider.now
        return session.say(session.request(session.reading(stage.reading(), issued=now + DAY, expires=now + DAY + 60)))

    return bent(stage, act)


def _same_number(stage: Stage) -> Verdict:
    """Two readings under one sequence number, each rightly sealed."""

    def act(_mallory: Insider, session: HostileSession) -> str | None:
        session.open()
        session.say(session.request(session.reading(stage.reading())))
        session.channel = Channel.of_sensor(session.terms["session"], session.terms["secret"])
        return session.say(session.request(session.reading(stage.reading())))

    return bent(stage, act)


def _scenario(name: str, properties: tuple[str, ...], goal: str, before: Attack, now: Attack) -> Scenario:
    return Scenario(name, FAMILY, properties, Attacker.SENSOR, goal, before, now)


SCENARIOS: Final = (
    _scenario(
        "write-to-another-sensor",
        ("P2",),
        "have the enclave write to a sensor that did not ask",
        _written_to_victim_before,
        _written_to_victim,
    ),
    _scenario(
        "write-to-another-consumer",
        ("P2",),
        "have the enclave write to a consumer of others",
        _written_to_victim_before,
        _delivered_to_victim,
    ),
    _scenario(
        "borrowed-credential", ("P2",), "ask in another sensor's name", _asked_by_anybody_before, _borrowed_credential
    ),
    _scenario("ask-as-consumer", ("P2",), "ask without being a sensor", _asked_by_anybody_before, _opened_by_consumer),
    _scenario("request-of-yesterday", ("P2",), "have an old request computed", _times_before, _yesterday),
    _scenario("request-of-tomorrow", ("P2",), "keep a request for later", _times_before, _tomorrow),
    _scenario("same-number", ("P7",), "have two readings computed as one", duplicates_before, _same_number),
)
