"""No secret outside its holders: not in what the broker saw, not sealed to anybody else, not twice under one nonce."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from protocol.party import Noted
from schemas.kinds import Kind, Role
from simulation.invariants.case import Case
from simulation.wire import envelope

_INSIDE: Final = (Kind.SESSION_ACCEPT, Kind.REPLY, Kind.REFUSAL)


def secret(case: Case) -> Iterable[str]:
    """None of the fleet's secrets stands in what the broker saw, in a log or in a status."""
    said = [each for _, _, each in case.ledger.said]
    payloads = dict.fromkeys(each.payload for each in said)
    others = dict.fromkeys(each.topic.encode() + (each.correlation or b"") for each in said)
    noted = (repr(event) for step in case.ledger.steps for event in step.events if isinstance(event, Noted))
    texts = [each for each in payloads if each[:1] == b"{"] + [each.encode() for each in dict.fromkeys(noted)]
    return case.fleet.taint.leaks(b"\xff".join((*payloads, *others)), b"\xff".join(texts))


def sealed_to_holders(case: Case) -> Iterable[str]:
    """Whatever is sealed is sealed to the fleet's own enclaves, results to the recipients that the sensor named."""
    enclaves = {kem for boot in case.ledger.boots for kem in boot.kems}
    for role, kinds in (("publisher", (Kind.KEY_RELEASE,)), ("sensor", (Kind.SESSION_OPEN, Kind.ONE_SHOT))):
        for step, event in case.publications(role, *kinds):
            outside = envelope(event.payload)
            if outside is not None and not set(outside.readers) <= enclaves:
                yield f"{step.name} sealed to a key that no enclave of the fleet has"
    named = {case.fleet.holder(Role.CONSUMER, each).kem.public.thumbprint for each in case.consumers}
    for step, event in case.publications("agent", Kind.RESULT):
        outside = envelope(event.payload)
        if outside is not None and event.correlation in case.ledger.readings and set(outside.readers) != named:
            yield f"{step.name} sealed a result to others than its recipients"


def nonce_once(case: Case) -> Iterable[str]:
    """Under one key no two messages have one nonce."""
    found: defaultdict[tuple[str, bytes, int], set[bytes]] = defaultdict(set)
    directions = (("agent", _INSIDE), ("agent", (Kind.RESULT,)), ("sensor", (Kind.REQUEST,)))
    for role, kinds in directions:
        for _, event in case.publications(role, *kinds):
            outside = envelope(event.payload)
            if outside is not None and outside.number >= 0:
                found[f"{role} {kinds[0]}", outside.kid, outside.number].add(event.payload)
    for (direction, _, number), messages in found.items():
        if len(messages) > 1:
            yield f"{len(messages)} messages under nonce {number} ({direction})"
