"""Nothing is lost in silence; and once all is mended, everybody who may be served is served."""

from collections.abc import Iterable

from protocol.messages import digest
from schemas.reason import Reason
from sealedge.client.events import Answered, RequestRefused, ResultReceived, TimedOut
from simulation.fleet import MEASUREMENT
from simulation.invariants.case import Case
from simulation.ledger import Ended, Reading


def nothing_escapes(case: Case) -> Iterable[str]:
    """No party raises anything for what it was told, and none talks for ever."""
    return case.ledger.escaped


def not_lost(case: Case) -> Iterable[str]:
    """Every request that a sensor accepted ends: in a result, a refusal or a timeout that its program is told of."""
    told = {event.request for name, event in case.ledger.told if name.startswith("sensor")}
    for request, reading in case.ledger.readings.items():
        if request not in told:
            yield f"a request of {reading.sensor} never ended"


def recovers(case: Case) -> Iterable[str]:
    """The last readings, made in peace, are answered, and refused where the module traps, if anybody may be served."""
    if case.ledger.escaped:
        return
    ends: dict[bytes, Ended] = {}
    received: dict[bytes, set[str]] = {}
    for name, event in case.ledger.told:
        if isinstance(event, ResultReceived):
            received.setdefault(event.request, set()).add(name)
        else:
            ends[event.request] = event
    for request, reading in case.ledger.readings.items():
        if reading.probe and (end := ends.get(request)) is not None:
            yield from _wrong_end(case, reading, end, received.get(request, set()))


def _wrong_end(case: Case, reading: Reading, end: Ended, received: set[str]) -> Iterable[str]:
    if case.list_ends(len(case.fleet.lists)) < case.ledger.healed_at + 500:
        # What was opened before the list ended may go on.
        return
    if not _is_served(case, reading.sensor):
        if isinstance(end, Answered):
            yield f"{reading.sensor} was served although nobody may serve it"
    elif isinstance(end, TimedOut):
        yield f"{reading.sensor} was not served in peace: {end.because}"
    elif isinstance(end, RequestRefused) and (not reading.trap or end.refusal.reason is not Reason.GUEST_TRAP):
        yield f"{reading.sensor} was refused in peace: {end.refusal.reason}"
    elif isinstance(end, Answered) and (reading.trap or not received >= set(case.consumers)):
        yield f"{reading.sensor} was answered, and a consumer heard nothing of it"


def _is_served(case: Case, sensor: str) -> bool:
    """Whether, by all that the authority and the owners have said, somebody may compute for this sensor."""
    newest = len(case.fleet.lists)
    if case.shape.strict:
        return False
    if any(case.is_revoked(name, newest) for name in (sensor, "verifier", "publisher", *case.consumers)):
        return False
    if ("measurement", MEASUREMENT) in case.revoked(newest):
        return False
    if ("model", digest(case.fleet.modules[max(case.fleet.modules)])) in case.revoked(newest):
        return False
    agents = (f"agent-{each + 1}" for each in range(case.shape.agents))
    return not all(case.is_revoked(name, newest) for name in agents)
