"""No result is forged, doubled or misdelivered, and nothing is computed that nobody was entitled to."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from protocol.messages import digest
from protocol.party import Delivery, Event, Noted, Publication
from schemas.kinds import Kind, Role
from sealedge.client.events import Answered, RequestRefused, ResultReceived
from simulation.fleet import MODEL
from simulation.invariants.case import READING, Case
from simulation.ledger import ENDS, Ended, Step, named
from simulation.wire import BOUND, envelope, typ_of

BELIEVED: Final = frozenset(
    {
        "session-opened",
        "session-lost",
        "manifest-accepted",
        "revocations-accepted",
        "attested",
        "challenged",
        "evidence-appraised",
        "attestation-result-issued",
        "key-released",
        "key-renewed",
        "refused-by",
        "evidence-sent",
    }
)
"""What a party notes when it has believed what it was told."""


def _ends(case: Case) -> Iterator[tuple[Step, Ended]]:
    for step in case.ledger.steps:
        for event in step.events:
            if isinstance(event, ENDS):
                yield step, event


def authentic(case: Case) -> Iterable[str]:
    """Whoever is handed a result has asked for it, and it is what the module named in it makes of the reading."""
    for step, event in _ends(case):
        known = case.ledger.readings.get(event.request)
        if isinstance(event, Answered):
            if known is None and event.request in case.ledger.doubtful:
                continue
            if known is None or known.sensor != step.name:
                yield f"{step.name} was answered what it never asked"
            elif not _was_computed(case, known.data, event):
                yield f"{step.name} took a result that no enclave made of its reading"
        elif isinstance(event, ResultReceived) and not _is_genuine(case, event):
            yield f"{step.name} took a result that no enclave made for it"


def _is_genuine(case: Case, event: ResultReceived) -> bool:
    known = case.ledger.readings.get(event.request)
    mallory = case.fleet.holder(Role.SENSOR, "sensor-mallory").signing.public.thumbprint
    if event.sender_key == mallory or (known is None and event.sender_key in case.ledger.signers.values()):
        return any(_was_computed(case, data, event) for data in case.ledger.insiders)
    if known is None:
        return event.request in case.ledger.doubtful
    return event.sender_key in case.fleet.keys_of(Role.SENSOR, known.sensor) and _was_computed(case, known.data, event)


def _was_computed(case: Case, data: bytes, event: Answered | ResultReceived) -> bool:
    module = case.fleet.modules.get(event.version)
    return module is not None and any(
        each.module == digest(module) and each.output is not None and event.output in {None, each.output[:READING]}
        for each in case.computed.get(data, [])
    )


def delivered_where_meant(case: Case) -> Iterable[str]:
    """What an enclave says in a session goes where the session's sensor said, and nowhere else."""
    topics = case.fleet.topics
    sessions = {
        event.correlation: step.name
        for step, event in case.publications("sensor", Kind.SESSION_OPEN)
        if event.correlation
    }
    results = {topics.results(MODEL), topics.inbox(Role.CONSUMER, "consumer-1")}
    kinds = (Kind.SESSION_ACCEPT, Kind.REPLY, Kind.REFUSAL, Kind.RESULT)
    for step, event in case.publications("agent", *kinds):
        outside = envelope(event.payload)
        if outside is None or outside.number < 0:
            # A refusal in the clear: it goes where it was asked from, which nobody protects.
            continue
        reading = case.ledger.readings.get(event.correlation or b"")
        sensor = sessions.get(outside.kid)
        sensor = sensor or (None if reading is None else reading.sensor)
        if sensor is None:
            continue
        wanted = results if typ_of(event.payload) == Kind.RESULT else {topics.inbox(Role.SENSOR, sensor)}
        if event.topic not in wanted:
            yield f"{step.name} answered {sensor} on {event.topic}"
    for step, end in _ends(case):
        known = case.ledger.readings.get(end.request)
        if isinstance(end, RequestRefused) and known is not None and known.sensor != step.name:
            yield f"{step.name} was told of a request of {known.sensor}"


def once(case: Case) -> Iterable[str]:
    """One end for each request, one answer to each in a session, one computation for each time that it was sealed."""
    told = Counter((name, event.request, _sender(event)) for name, event in case.ledger.told)
    for (name, request, _), count in told.items():
        if count > 1 and request not in case.ledger.repeatable[name]:
            yield f"{name} was told {count} ends of one request"
    if case.shape.cached_replies >= 64:
        yield from _same_answers(case)
    yield from _not_computed_again(case)
    for pair in case.ledger.exclusive:
        if all(case.computed.get(each) for each in pair):
            yield "two requests were computed under one sequence number"


def _sender(event: Event) -> bytes:
    return event.sender_key if isinstance(event, ResultReceived) else b""


def _same_answers(case: Case) -> Iterator[str]:
    answers: defaultdict[tuple[bytes, str, bytes], set[bytes]] = defaultdict(set)
    for _, event in case.publications("agent", Kind.REPLY, Kind.RESULT, Kind.SESSION_ACCEPT):
        outside = envelope(event.payload)
        if outside is not None:
            answers[outside.kid, outside.typ, event.correlation or b""].add(event.payload)
    for (_, typ, _), found in answers.items():
        if len(found) > 1:
            yield f"{len(found)} different answers to one request of a session ({typ})"


def _not_computed_again(case: Case) -> Iterator[str]:
    """A sensor that seals a request anew may have it computed again in another session; nobody else can."""
    sealed: defaultdict[bytes, set[bytes]] = defaultdict(set)
    for _, event in case.publications("sensor", Kind.REQUEST, Kind.ONE_SHOT):
        outside = envelope(event.payload)
        if outside is not None:
            again = case.shape.cached_replies < 64 or typ_of(event.payload) == Kind.ONE_SHOT
            sealed[event.correlation or b""].add(event.payload if again else outside.kid)
    for data in case.ledger.insiders if case.shape.cached_replies >= 64 else ():
        if any(count > 1 for count in Counter(each.boot.key for each in case.computed.get(data, [])).values()):
            yield "an insider's reading was computed twice, sealed once"
    for request, reading in case.ledger.readings.items():
        boots = Counter(each.boot.key for each in case.computed.get(reading.data, []))
        for count in boots.values():
            if count > len(sealed[request]):
                yield f"a reading of {reading.sensor} was computed {count} times for {len(sealed[request])} sealings"


def never_allowed(case: Case) -> Iterable[str]:
    """No computation for who may not have it."""
    for data, why in case.ledger.forbidden.items():
        if case.computed.get(data):
            yield f"a reading was computed although {why}"


def bound(case: Case) -> Iterable[str]:
    """An authentic message that was moved, and one by whom nobody vouches for, is believed nowhere."""
    if not case.ledger.moved:
        return
    for step in case.ledger.steps:
        for delivery in step.deliveries:
            why = case.ledger.moved.get(named(delivery))
            if why is not None and any(
                _is_belief(event, delivery.correlation) for event in _because_of(step, delivery)
            ):
                level = delivery.topic.rsplit("/", 1)[-1]
                yield f"{step.role} believed a message on {level}: {why} ({typ_of(delivery.payload)})"


def _because_of(step: Step, delivery: Delivery) -> Sequence[Event]:
    """What came of a delivery. In a burst, what answers its exchange alone: nobody can say which a note was about."""
    if len(step.deliveries) == 1:
        return step.events
    if sum(each.correlation == delivery.correlation for each in step.deliveries) > 1:
        return ()
    return [event for event in step.events if not isinstance(event, Noted)]


def _is_belief(event: Event, correlation: bytes | None) -> bool:
    if isinstance(event, Publication):
        typ = typ_of(event.payload)
        return typ in BOUND and typ != Kind.REFUSAL and event.correlation == correlation and correlation is not None
    if isinstance(event, Noted):
        return event.what in BELIEVED
    return isinstance(event, Answered | RequestRefused | ResultReceived)
