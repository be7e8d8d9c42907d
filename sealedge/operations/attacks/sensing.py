"""A genuine sensor, or somebody else's credentials, in sessions: more than is theirs (P2, P7, P12, P14)."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from broker.notes import Note
from protocol.channel import Channel
from protocol.party import Publication
from schemas.kinds import Role
from sealedge.operations.attacks.actors import Attacker as Client
from sealedge.operations.attacks.actors import is_noted
from sealedge.operations.attacks.insiders import HostileSession, Insider
from sealedge.operations.attacks.modules import expected
from sealedge.operations.attacks.replaying import duplicates_before
from sealedge.operations.attacks.scenario import Attack, Attacker, Scenario, Verdict, judged, not_applicable
from sealedge.operations.attacks.sealed import AGENT, CONSUMER, MALLORY, SENSOR, TRUDY
from sealedge.operations.attacks.stage import MASK, Stage
from sealedge.operations.attacks.usual_agent import REPLY, REQUEST
from storage.files import read_bytes

FAMILY: Final = "sessions"
TAKEN: Final = "the enclave took it"
DAY: Final = 86_400
FLOOD: Final = 400
MANY_SESSIONS: Final = 20
NESTED: Final = 5000
JUMP: Final = 2**39
OVERSIZED: Final = 3 * 2**19


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


def _bent(stage: Stage, act: Callable[[Insider, HostileSession], str | None]) -> Verdict:
    """What the enclave makes of something that a genuine sensor bent; an honest sensor is served all the same."""
    with Insider(stage.sealed, Role.SENSOR, MALLORY) as mallory:
        by = act(mallory, mallory.session())
    return judged(by is None, TAKEN, by)


def _written_to_victim(stage: Stage) -> Verdict:
    inbox = stage.sealed.topics.inbox(Role.SENSOR, SENSOR)
    return _bent(stage, lambda _mallory, session: session.open(reply_to=inbox))


def _delivered_to_victim(stage: Stage) -> Verdict:
    """The result of Mallory's reading shall arrive at a consumer that is not its recipient."""
    fleet = stage.sealed
    trudy = read_bytes(fleet.folder.party(Role.CONSUMER, TRUDY) / "credential.cwt")
    victim = fleet.topics.inbox(Role.CONSUMER, CONSUMER)
    return _bent(stage, lambda _mallory, session: session.open(recipients=(trudy,), deliver_to=victim))


def _borrowed_credential(stage: Stage) -> Verdict:
    fleet = stage.sealed
    theirs = read_bytes(fleet.folder.party(Role.SENSOR, SENSOR) / "credential.cwt")
    reply = fleet.topics.inbox(Role.SENSOR, SENSOR)
    return _bent(stage, lambda _mallory, session: session.say(session.opening(credential=theirs, reply_to=reply)))


def _opened_by_consumer(stage: Stage) -> Verdict:
    with Insider(stage.sealed, Role.CONSUMER, TRUDY) as trudy:
        by = trudy.session().open()
    return judged(by is None, TAKEN, by)


def _yesterday(stage: Stage) -> Verdict:
    def act(_mallory: Insider, session: HostileSession) -> str | None:
        session.open()
        now = session.insider.now
        return session.say(session.request(session.reading(stage.reading(), issued=now - DAY, expires=now - DAY + 60)))

    return _bent(stage, act)


def _tomorrow(stage: Stage) -> Verdict:
    def act(_mallory: Insider, session: HostileSession) -> str | None:
        session.open()
        now = session.insider.now
        return session.say(session.request(session.reading(stage.reading(), issued=now + DAY, expires=now + DAY + 60)))

    return _bent(stage, act)


def _same_number(stage: Stage) -> Verdict:
    """Two readings under one sequence number, each rightly sealed."""

    def act(_mallory: Insider, session: HostileSession) -> str | None:
        session.open()
        session.say(session.request(session.reading(stage.reading())))
        session.channel = Channel.of_sensor(session.terms["session"], session.terms["secret"])
        return session.say(session.request(session.reading(stage.reading())))

    return _bent(stage, act)


def _many_sessions(stage: Stage) -> Verdict:
    """Mallory opens sessions without end: she loses her own oldest, and the others keep theirs."""
    fleet, reading = stage.sealed, stage.reading()
    fleet.output(stage.reading())
    mark = stage.broker.mark()
    with Insider(fleet, Role.SENSOR, MALLORY) as mallory:
        first = mallory.session()
        first.open()
        for _ in range(MANY_SESSIONS):
            mallory.session().open()
        by = first.say(first.request(first.reading(stage.reading())))
    served = fleet.output(reading) == expected(reading, MASK)
    anew = bool(fleet.recorded(fleet.topics.session(AGENT), mark))
    return judged(not served or anew, "another sensor lost its session", by)


def _flooded(stage: Stage, payload: Callable[[int], bytes], before: bool) -> Verdict:
    """Garbage without end on the agent's topics; then an honest sensor asks."""
    reading = stage.reading()
    topic = REQUEST if before else stage.sealed.topics.session(AGENT)
    with Client(stage.broker.account("flooding")) as client:
        mark = 0 if before else stage.sealed["agent"].mark()
        client.say(*(Publication(topic, payload(number)) for number in range(FLOOD)))
        output = stage.usual.output(reading) if before else stage.sealed.output(reading)
    by = "malformed" if before else stage.sealed["agent"].refused(mark, topic, 1.0)
    return judged(output != expected(reading, MASK), "an honest sensor was not answered", by)


def _garbage(number: int) -> bytes:
    return os.urandom(1 + number)


def _garbage_before(stage: Stage) -> Verdict:
    return _flooded(stage, _garbage, True)


def _garbage_now(stage: Stage) -> Verdict:
    return _flooded(stage, _garbage, False)


def _nested_before(stage: Stage) -> Verdict:
    return _flooded(stage, lambda _number: b"[" * NESTED, True)


def _nested_now(stage: Stage) -> Verdict:
    return _flooded(stage, lambda _number: b"\x81" * NESTED + b"\0", False)


def _oversized(stage: Stage, *, before: bool) -> Verdict:
    """Messages that are larger than any party takes; then an honest sensor asks."""
    reading = stage.reading()
    topic = REQUEST if before else stage.sealed.topics.session(AGENT)
    agent = stage.sealed["agent"]
    mark = agent.mark()
    with Client(stage.broker.account("flooding")) as client:
        client.say(*(Publication(topic, bytes(OVERSIZED)) for _ in range(3)))
        output = stage.usual.output(reading) if before else stage.sealed.output(reading)
    noted = before or agent.wait(lambda event: is_noted(event, Note.DELIVERY_OVERSIZED), mark, 2.0)
    return judged(
        output != expected(reading, MASK), "an honest sensor was not answered", "oversized" if noted else None
    )


def _oversized_before(stage: Stage) -> Verdict:
    return _oversized(stage, before=True)


def _oversized_now(stage: Stage) -> Verdict:
    return _oversized(stage, before=False)


def _sequence_jump(stage: Stage) -> Verdict:
    """Mallory's counter jumps ahead, which shuts her own window: the numbers that she left out are refused."""
    fleet, reading = stage.sealed, stage.reading()

    def act(_mallory: Insider, session: HostileSession) -> str | None:
        session.open()
        session.channel.next_sequence = JUMP
        session.say(session.request(session.reading(stage.reading())))
        session.channel = Channel.of_sensor(session.terms["session"], session.terms["secret"])
        session.channel.next_sequence = 1
        return session.say(session.request(session.reading(stage.reading())))

    found = _bent(stage, act)
    served = fleet.output(reading) == expected(reading, MASK)
    return judged(not served, "another sensor was shut out", found.by, "her own session alone is shut")


def _other_encoding(stage: Stage) -> Verdict:
    """A genuine opening whose outermost array has a longer head than it needs: the same CBOR to a lax reader."""

    def act(_mallory: Insider, session: HostileSession) -> str | None:
        opening = session.opening()
        return session.say(replace(opening, payload=opening.payload[:1] + b"\x98\x04" + opening.payload[2:]))

    return _bent(stage, act)


def _json_before(_stage: Stage) -> Verdict:
    return not_applicable("JSON has many encodings of one value, and nothing is signed")


def _no_session_before(_stage: Stage) -> Verdict:
    return not_applicable("there are no sessions, and nothing is counted")


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
    _scenario("many-sessions", ("P12",), "take the sessions of others", _no_session_before, _many_sessions),
    _scenario("garbage", ("P12", "P14"), "keep the agent from serving others", _garbage_before, _garbage_now),
    _scenario("nested", ("P14",), "break the parser with depth", _nested_before, _nested_now),
    _scenario("other-encoding", ("P14",), "have two encodings of one message taken", _json_before, _other_encoding),
    _scenario("sequence-jump", ("P7", "P12"), "shut others out with a high number", _no_session_before, _sequence_jump),
    _scenario("oversized", ("P14",), "keep the agent busy with large messages", _oversized_before, _oversized_now),
)
