"""A genuine sensor, or any client, that wants the agent for itself or broken: floods, depth, sizes (P7, P12, P14)."""

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from broker.notes import Note
from protocol.channel import Channel
from protocol.party import Publication
from schemas.kinds import Role
from sealedge.operations.attacks.families.sessions import bent
from sealedge.operations.attacks.insiders.session import HostileSession, Insider
from sealedge.operations.attacks.scenario import Attack, Attacker, Scenario, Verdict, judged, not_applicable
from sealedge.operations.attacks.stage import MASK, Stage
from sealedge.operations.attacks.targets.actors import Attacker as Client
from sealedge.operations.attacks.targets.actors import is_noted
from sealedge.operations.attacks.targets.modules import expected
from sealedge.operations.attacks.targets.names import AGENT, MALLORY
from sealedge.operations.attacks.targets.usual_agent import REQUEST

FAMILY: Final = "exhaustion"
FLOOD: Final = 400
MANY_SESSIONS: Final = 20
NESTED: Final = 5000
JUMP: Final = 2**39
OVERSIZED: Final = 3 * 2**19


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

    found = bent(stage, act)
    served = fleet.output(reading) == expected(reading, MASK)
    return judged(not served, "another sensor was shut out", found.by, "her own session alone is shut")


def _other_encoding(stage: Stage) -> Verdict:
    """A genuine opening whose outermost array has a longer head than it needs: the same CBOR to a lax reader."""

    def act(_mallory: Insider, session: HostileSession) -> str | None:
        opening = session.opening()
        return session.say(replace(opening, payload=opening.payload[:1] + b"\x98\x04" + opening.payload[2:]))

    return bent(stage, act)


def _json_before(_stage: Stage) -> Verdict:
    return not_applicable("JSON has many encodings of one value, and nothing is signed")


def _no_session_before(_stage: Stage) -> Verdict:
    return not_applicable("there are no sessions, and nothing is counted")


def _scenario(name: str, properties: tuple[str, ...], goal: str, before: Attack, now: Attack) -> Scenario:
    return Scenario(name, FAMILY, properties, Attacker.SENSOR, goal, before, now)


SCENARIOS: Final = (
    _scenario("many-sessions", ("P12",), "take the sessions of others", _no_session_before, _many_sessions),
    _scenario("garbage", ("P12", "P14"), "keep the agent from serving others", _garbage_before, _garbage_now),
    _scenario("nested", ("P14",), "break the parser with depth", _nested_before, _nested_now),
    _scenario("other-encoding", ("P14",), "have two encodings of one message taken", _json_before, _other_encoding),
    _scenario("sequence-jump", ("P7", "P12"), "shut others out with a high number", _no_session_before, _sequence_jump),
    _scenario("oversized", ("P14",), "keep the agent busy with large messages", _oversized_before, _oversized_now),
)
