"""Readings and results bent, swapped and led astray by the broker, and forged by a recipient (P1, P2, P10)."""

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final

from protocol.party import Publication
from schemas.kinds import Role
from sealedge.client.events import Answered
from sealedge.operations.attacks.insiders.session import Insider
from sealedge.operations.attacks.scenario import Attacker, Scenario, Verdict, judged
from sealedge.operations.attacks.stage import FORGED_MASK, MASK, Stage, found_in
from sealedge.operations.attacks.targets.actors import Attacker as Client
from sealedge.operations.attacks.targets.modules import expected
from sealedge.operations.attacks.targets.names import AGENT, MALLORY, SENSOR
from sealedge.operations.attacks.targets.usual_agent import REPLY, REQUEST

FAMILY: Final = "readings and results"


def flipped(payload: bytes, at: int = -20) -> bytes:
    """The payload with one bit changed."""
    data = bytearray(payload)
    data[at] ^= 1
    return bytes(data)


def once(
    topic: str, act: Callable[[Publication], Publication]
) -> Callable[[str, Publication], Iterable[Publication] | None]:
    """Bend the next message on a topic, and no other."""
    done: list[bool] = []

    def bend(_client: str, publication: Publication) -> Iterable[Publication] | None:
        if done or publication.topic != topic or not publication.payload:
            return None
        done.append(True)
        return [act(publication)]

    return bend


def _json_bent(publication: Publication, **changes: Any) -> Publication:
    return replace(publication, payload=json.dumps({**json.loads(publication.payload), **changes}).encode())


def _tampered_reading_before(stage: Stage) -> Verdict:
    reading, other = stage.reading(), stage.reading()
    with stage.broker.bending(once(REQUEST, lambda each: _json_bent(each, reading=other.hex()))):
        output = stage.usual.output(reading)
    return judged(
        output == expected(other, MASK), "the sensor took the answer to a reading that it never made", "check"
    )


def _tampered_reading_now(stage: Stage) -> Verdict:
    fleet, reading = stage.sealed, stage.reading()
    mark = fleet["agent"].mark()
    bend = once(fleet.topics.request(AGENT), lambda each: replace(each, payload=flipped(each.payload)))
    fleet.ask(stage.reading())
    with stage.broker.bending(bend):
        output = fleet.output(reading)
    by = fleet["agent"].refused(mark, "/request", 2.0)
    return judged(output not in {None, expected(reading, MASK)}, "a bent reading was answered", by)


def _forged_result_before(stage: Stage) -> Verdict:
    reading = stage.reading()
    forged = expected(reading, FORGED_MASK)
    with stage.broker.bending(once(REPLY, lambda each: _json_bent(each, result=forged.hex()))):
        output = stage.usual.output(reading)
    return judged(output == forged, "the sensor took the result that the broker made up", "check")


def _forged_result_now(stage: Stage) -> Verdict:
    fleet, reading = stage.sealed, stage.reading()
    fleet.ask(stage.reading())
    mark = fleet["sensor"].mark()
    inbox = fleet.topics.inbox(Role.SENSOR, SENSOR)
    with stage.broker.bending(once(inbox, lambda each: replace(each, payload=flipped(each.payload)))):
        output = fleet.output(reading)
    by = fleet["sensor"].refused(mark, "/inbox", 2.0)
    return judged(output not in {None, expected(reading, MASK)}, "a bent result was taken", by)


def _swapped_before(stage: Stage) -> Verdict:
    first, second = stage.reading(), stage.reading()
    usual = stage.usual
    wrong = usual.output(second)
    with stage.broker.bending(once(REPLY, lambda each: _json_bent(each, result=(wrong or b"").hex()))):
        output = usual.output(first)
    return judged(output == expected(second, MASK), "the sensor took another request's result", "check")


def _swapped_now(stage: Stage) -> Verdict:
    fleet, inbox = stage.sealed, stage.sealed.topics.inbox(Role.SENSOR, SENSOR)
    other = stage.reading()
    fleet.ask(other)
    recorded = fleet.recorded(inbox)[-1]
    mark, reading = fleet["sensor"].mark(), stage.reading()
    with stage.broker.bending(once(inbox, lambda each: replace(each, payload=recorded.payload))):
        output = fleet.output(reading)
    by = fleet["sensor"].refused(mark, "/inbox", 2.0)
    return judged(output == expected(other, MASK), "another request's result was taken", by)


def _hijacked_before(stage: Stage) -> Verdict:
    reading = stage.reading()
    with Client(stage.broker.account("thief"), "thief/inbox") as thief:
        bend = once(REQUEST, lambda each: replace(each, response_topic="thief/inbox"))
        with stage.broker.bending(bend):
            stage.usual.sensor.say(stage.usual.request(reading))
            told = thief.hear(lambda each: found_in(each.payload, expected(reading, MASK)) > 0, seconds=3.0)
    return judged(told is not None, "the result went to the thief", "check")


def _hijacked_now(stage: Stage) -> Verdict:
    fleet, reading = stage.sealed, stage.reading()
    thief_inbox = fleet.topics.inbox(Role.SENSOR, MALLORY)
    with Insider(fleet, Role.SENSOR, MALLORY) as thief:
        mark = thief.client.mark()
        bend = once(fleet.topics.request(AGENT), lambda each: replace(each, response_topic=thief_inbox))
        with stage.broker.bending(bend):
            answered = fleet.ask(reading)
        told = thief.client.hear(lambda each: each.topic == thief_inbox, mark, 0.3)
    safe = isinstance(answered, Answered) and answered.output == expected(reading, MASK)
    return judged(
        told is not None,
        "the answer went to the thief",
        "reply-to-sealed" if safe else None,
        "the answer went where the sealed opening says",
    )


SCENARIOS: Final = (
    Scenario(
        "tamper-reading",
        FAMILY,
        ("P2",),
        Attacker.BROKER,
        "have another reading computed",
        _tampered_reading_before,
        _tampered_reading_now,
    ),
    Scenario(
        "forge-result",
        FAMILY,
        ("P2",),
        Attacker.BROKER,
        "have the sensor take a made-up result",
        _forged_result_before,
        _forged_result_now,
    ),
    Scenario(
        "swap-answers",
        FAMILY,
        ("P2",),
        Attacker.BROKER,
        "have the sensor take another request's result",
        _swapped_before,
        _swapped_now,
    ),
    Scenario(
        "redirect",
        FAMILY,
        ("P2",),
        Attacker.BROKER,
        "have the answer sent to somebody else",
        _hijacked_before,
        _hijacked_now,
    ),
)
