"""Results for others: read, taken in another place, or proven though they never were (P1, P2, P10)."""

import time
from dataclasses import replace
from typing import Any, Final

from protocol.cbor import decode_untrusted, encode
from protocol.errors import RemoteError
from protocol.party import Publication
from schemas.kinds import Role
from sealedge.client.events import Answered
from sealedge.operations.attacks.families.results import flipped, once
from sealedge.operations.attacks.scenario import Attacker, Scenario, Verdict, judged, not_applicable
from sealedge.operations.attacks.stage import FORGED_MASK, MASK, Stage, found_in
from sealedge.operations.attacks.targets.actors import Attacker as Client
from sealedge.operations.attacks.targets.modules import expected
from sealedge.operations.attacks.targets.names import CONSUMER, MODEL, TRUDY
from sealedge.operations.attacks.targets.usual_agent import RESULTS
from sealedge.operations.receipt import Anchors, check_bundle, open_bundle
from storage.files import read_bytes

FAMILY: Final = "recipients and receipts"


def _misdelivered_before(stage: Stage) -> Verdict:
    reading = stage.reading()
    with Client(stage.broker.account("another-consumer"), RESULTS) as other:
        stage.usual.ask(reading)
        told = other.hear(lambda each: found_in(each.payload, expected(reading, MASK)) > 0, seconds=3.0)
    return judged(told is not None, "a consumer that nobody named read the result", "recipients")


def _misdelivered_now(stage: Stage) -> Verdict:
    """Trudy is a consumer of the fleet, and no recipient: she is handed the message and runs the real consumer."""
    fleet, reading = stage.sealed, stage.reading()
    trudy = fleet.start_consumer(TRUDY)
    mark = trudy.mark()
    answered = fleet.ask(reading)
    won = answered is not None and fleet.result(answered.request, 0, 1.0, TRUDY) is not None
    by = trudy.refused(mark, "/results", 3.0)
    fleet.stop(TRUDY)
    return judged(won, "a consumer that nobody named opened the result", by)


def _moved_now(stage: Stage) -> Verdict:
    """What was sealed for the model's results topic is delivered on the consumer's own inbox."""
    fleet, inbox = stage.sealed, stage.sealed.topics.inbox(Role.CONSUMER, CONSUMER)
    consumer = fleet["consumer"]
    mark = consumer.mark()
    with stage.broker.bending(once(fleet.topics.results(MODEL), lambda each: replace(each, topic=inbox))):
        answered = fleet.ask(stage.reading())
        by = consumer.refused(mark, "/inbox")
    taken = answered is not None and fleet.result(answered.request, mark, 0.1) is not None
    return judged(taken, "a result was taken on a topic that it was not made for", by)


def _moved_before(stage: Stage) -> Verdict:
    """A result is delivered as if it had been said by the agent of another ward."""
    usual, reading = stage.usual, stage.reading()
    mark = usual.consumer.mark()
    usual.ask(reading)
    first = usual.consumer.hear(lambda each: not each.retained, mark)
    moved = None if first is None else Publication("usual/results", first.payload, correlation=b"another")
    mark = usual.consumer.mark()
    if moved is not None:
        stage.broker.deliver(usual.consumer.party.client_id, moved)
    told = usual.consumer.hear(lambda each: each.correlation == b"another", mark, 3.0)
    return judged(told is not None, "the consumer took a result in an exchange that it does not belong to", "check")


def _receipt_before(_stage: Stage) -> Verdict:
    return not_applicable("results come without a receipt: nobody can prove anything with them")


def _receipt_now(stage: Stage) -> Verdict:
    """Somebody shows a receipt for another output, or one that was changed; it is checked as anybody would, offline."""
    fleet, reading = stage.sealed, stage.reading()
    answered = fleet.ask(reading)
    if not isinstance(answered, Answered):
        return judged(False, "", None)
    anchors = Anchors(
        authority=fleet.fleet.authority.key.public, fleet=fleet.name, revocations=read_bytes(fleet.folder.revocations)
    )
    bundle, honest = open_bundle(answered.bundle, "receipt"), {"input": reading, "output": expected(reading, MASK)}
    lie = {"input": reading, "output": expected(reading, FORGED_MASK)}
    fields = decode_untrusted(answered.bundle)
    forged = (
        open_bundle(encode({**dict(fields), 2: flipped(fields[2])}), "receipt") if isinstance(fields, dict) else bundle
    )
    check_bundle(bundle, anchors, honest, time.time())
    reasons = [_refused(bundle, anchors, lie), _refused(forged, anchors, honest)]
    return judged(None in reasons, "a forged receipt was taken", " and ".join(dict.fromkeys(filter(None, reasons))))


def _refused(bundle: Any, anchors: Anchors, contents: dict[str, bytes]) -> str | None:
    try:
        check_bundle(bundle, anchors, contents, time.time())
    except RemoteError as error:
        return str(error.reason)
    return None


SCENARIOS: Final = (
    Scenario(
        "misdeliver-result",
        FAMILY,
        ("P1", "P2"),
        Attacker.CONSUMER,
        "read a result that is for other consumers",
        _misdelivered_before,
        _misdelivered_now,
    ),
    Scenario(
        "misplace", FAMILY, ("P2",), Attacker.BROKER, "have a result taken in another place", _moved_before, _moved_now
    ),
    Scenario(
        "forge-receipt",
        FAMILY,
        ("P10",),
        Attacker.BROKER,
        "prove a computation that never was",
        _receipt_before,
        _receipt_now,
    ),
)
