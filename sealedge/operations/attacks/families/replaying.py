"""Said again: what the broker recorded, once or many times, at once or after a restart (P7)."""

import json
from typing import Final

from protocol.party import Publication
from schemas.kinds import Role
from sealedge.client.events import ResultReceived
from sealedge.operations.attacks.scenario import Attacker, Scenario, Verdict, judged
from sealedge.operations.attacks.stage import MASK, Stage
from sealedge.operations.attacks.targets.modules import expected
from sealedge.operations.attacks.targets.names import AGENT, MODEL, SENSOR
from sealedge.operations.attacks.targets.sealed import Sealed

FAMILY: Final = "replay"
TIMES: Final = 5


def _requests_before(stage: Stage) -> Verdict:
    usual = stage.usual
    request = usual.request(stage.reading())
    mark = usual.consumer.mark()
    usual.sensor.say(request)
    for _ in range(TIMES):
        stage.broker.deliver(usual.agent_client, request)
    usual.settle()
    told = sum(_is_about(each, request) for each in usual.results(mark))
    return judged(told > 1, f"computed, and told to the consumer, {told} times", "check")


def _is_about(payload: bytes, request: Publication) -> bool:
    return bool(json.loads(payload)["id"] == (request.correlation or b"").hex())


def _requests_now(stage: Stage) -> Verdict:
    """The answers to a request that is delivered again are the bytes of the first, and the consumer hears of one."""
    fleet, inbox = stage.sealed, stage.sealed.topics.inbox(Role.SENSOR, SENSOR)
    mark, consumer = stage.broker.mark(), fleet["consumer"].mark()
    answered = fleet.ask(stage.reading())
    request = fleet.recorded(fleet.topics.request(AGENT), mark)[-1]
    for _ in range(TIMES):
        stage.broker.deliver(fleet.client("agent"), request)

    def answers() -> list[bytes]:
        return [each.payload for each in fleet.recorded(inbox, mark) if each.correlation == request.correlation]

    stage.broker.until(lambda: len(answers()) > 1)
    fleet.ask(stage.reading())
    told = _told(fleet, answered.request if answered else b"", consumer)
    found, different = len(answers()), len(set(answers()))
    said = f"{found} answers of {different} different bytes; the consumer was told {told} times"
    return judged(told > 1 or different > 1, said, "same-bytes" if found > 1 and told == 1 else None, said)


def _told(fleet: Sealed, request: bytes, mark: int) -> int:
    fleet.result(request, mark)
    found = [each for each in fleet["consumer"].since(mark) if isinstance(each, ResultReceived)]
    return sum(each.request == request for each in found)


def _results_before(stage: Stage) -> Verdict:
    usual = stage.usual
    mark = usual.consumer.mark()
    request = usual.request(stage.reading())
    usual.sensor.say(request)
    usual.settle()
    first = next(each for each in usual.results(mark) if _is_about(each, request))
    for _ in range(TIMES):
        stage.broker.deliver(usual.consumer.party.client_id, Publication("usual/results", first))
    usual.settle()
    told = sum(_is_about(each, request) for each in usual.results(mark))
    return judged(told > 1, f"the consumer took one result {told} times", "check")


def _results_now(stage: Stage) -> Verdict:
    fleet, mark, consumer = stage.sealed, stage.broker.mark(), stage.sealed["consumer"].mark()
    answered = fleet.ask(stage.reading())
    result = fleet.recorded(fleet.topics.results(MODEL), mark)[-1]
    for _ in range(TIMES):
        stage.broker.deliver(fleet.client("consumer"), result)
    other = fleet.ask(stage.reading())
    came = other is not None and fleet.result(other.request, consumer) is not None
    told = _told(fleet, answered.request if answered else b"", consumer)
    said = f"of {1 + TIMES} deliveries the consumer took {told}"
    return judged(told > 1, said, "told-once" if came and told == 1 else None, said)


def _restarted_before(stage: Stage) -> Verdict:
    usual, reading = stage.usual, stage.reading()
    request = usual.request(reading)
    usual.sensor.say(request)
    usual.settle()
    usual.stop_agent()
    usual.start_agent()
    mark = usual.consumer.mark()
    stage.broker.deliver(usual.agent_client, request)
    usual.settle()
    again = [each for each in usual.results(mark) if _is_about(each, request)]
    return judged(bool(again), "recorded traffic was computed anew after a restart", "check")


def _restarted_now(stage: Stage) -> Verdict:
    """An opening and a request, recorded before the enclave was started anew, are delivered to the new one."""
    fleet, mark, reading = stage.sealed, stage.broker.mark(), stage.reading()
    fleet.restart("sensor")
    fleet.ask(reading)
    opening = fleet.recorded(fleet.topics.session(AGENT), mark)[-1]
    request = fleet.recorded(fleet.topics.request(AGENT), mark)[-1]
    fleet.stop("agent")
    agent = fleet.start_agent_anew()
    after, heard = agent.mark(), stage.broker.mark()
    for each in (opening, request):
        stage.broker.deliver(fleet.client("agent"), each)
    reasons = [agent.refused(after, "/session"), agent.refused(after, "/request")]
    again = [
        each for each in fleet.recorded(fleet.topics.results(MODEL), heard) if each.correlation == request.correlation
    ]
    won = bool(again) or None in reasons
    return judged(won, "recorded traffic was taken by a new enclave", " and ".join(filter(None, reasons)))


def duplicates_before(stage: Stage) -> Verdict:
    """Two readings under one name: what a sensor may do that is not held to a number."""
    usual, first, second = stage.usual, stage.reading(), stage.reading()
    request = usual.request(first)
    changed = json.dumps({"id": (request.correlation or b"").hex(), "reading": second.hex()}).encode()
    mark = usual.consumer.mark()
    usual.sensor.say(request, Publication(request.topic, changed, correlation=request.correlation))
    usual.settle()
    outputs = {json.loads(each)["result"] for each in usual.results(mark) if _is_about(each, request)}
    both = {expected(each, MASK).hex() for each in (first, second)}
    return judged(outputs == both, "one request has two results", "check")


SCENARIOS: Final = (
    Scenario(
        "redeliver-request",
        FAMILY,
        ("P7",),
        Attacker.BROKER,
        "have one request computed again",
        _requests_before,
        _requests_now,
    ),
    Scenario(
        "redeliver-result",
        FAMILY,
        ("P7",),
        Attacker.BROKER,
        "have one result count many times",
        _results_before,
        _results_now,
    ),
    Scenario(
        "replay-after-restart",
        FAMILY,
        ("P7",),
        Attacker.BROKER,
        "have recorded traffic taken by a new enclave",
        _restarted_before,
        _restarted_now,
    ),
)
