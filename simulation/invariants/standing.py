"""Nothing that is revoked, expired, unattested or of the wrong tier is issued, lent, opened or computed with.

Everybody is judged by their own clock, and by the revocation list that they held.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from protocol.messages import digest
from protocol.party import Noted, Publication
from schemas.attestation import Challenge
from schemas.kinds import Kind
from schemas.model import KeyRequest
from simulation.invariants.case import Case, Shown
from simulation.ledger import Computation, Step
from simulation.wire import envelope, said


def attested(case: Case) -> Iterable[str]:
    """Every attestation result answers a nonce of the verifier's, once, in time, for keys of the fleet's enclaves."""
    challenges = {}
    for _, event in case.publications("verifier", Kind.CHALLENGE):
        challenge = said(Challenge, event.payload)
        if challenge is not None:
            challenges[challenge.nonce] = challenge
    answered: set[bytes] = set()
    for shown in case.shown:
        result, boot = shown.result, case.ledger.honest_boot(shown.signing)
        if boot is None or shown.kem not in boot.kems or boot.agent != result.agent:
            yield "an attestation result for keys that no enclave of the fleet has"
        asked = challenges.get(result.nonce)
        if asked is None or asked.agent != result.agent:
            yield "an attestation result for a nonce that its verifier did not choose"
        elif result.issued >= asked.expires:
            yield "an attestation result for a nonce that had ended"
        if result.nonce in answered:
            yield "a second attestation result for one nonce"
        answered.add(result.nonce)
        if case.shape.strict == "verifier":
            yield "an attestation result for a tier that the policy does not name"
        # A verifier that is revoked itself is believed by nobody, whatever it still says.
        if case.is_revoked(result.agent, shown.lists) or case.is_subject_revoked(shown, shown.lists):
            yield "an attestation result for what was revoked"


def key_lent(case: Case) -> Iterable[str]:
    """A content key goes to an enclave in good standing, for a request of now, for a model that still stands."""
    requests = {}
    for _, _, each in case.ledger.said:
        request = said(KeyRequest, each.payload) if each.topic.endswith("/key") else None
        if request is not None:
            requests[request.request] = request
    newest: defaultdict[str, int] = defaultdict(int)
    for step, event in case.publications("publisher", Kind.KEY_RELEASE):
        shown = _reader(case, event)
        request = requests.get(event.correlation or b"")
        if shown is None or request is None:
            yield "a content key for nobody that the verifier knows"
            continue
        yield from _lent_wrongly(case, step, shown, request)
        if shown.result.sequence < newest[shown.result.agent]:
            yield "a content key for an older attestation result than one that was seen"
        newest[shown.result.agent] = max(newest[shown.result.agent], shown.result.sequence)


def _lent_wrongly(case: Case, step: Step, shown: Shown, request: KeyRequest) -> Iterator[str]:
    why = case.why_not(shown, step.own, step.lists)
    if why is not None:
        yield f"a content key was lent although {why}"
    if case.shape.strict == "manifest":
        yield "a content key was lent to a tier that the manifest does not name"
    if step.own >= case.list_ends(step.lists):
        yield "a content key was lent without a current revocation list"
    if step.own >= request.issued + case.shape.key_request_seconds:
        yield "a content key was lent for an old request"
    module = case.fleet.modules.get(request.version)
    # A publisher whose own credential is revoked is refused by those who ask, whatever it still says.
    if module is not None and ("model", digest(module)) in case.revoked(step.lists):
        yield "a content key was lent for a revoked model"


def opened(case: Case) -> Iterable[str]:
    """A sensor seals to, and sends in a session with, an enclave in good standing alone; and never goes back."""
    sessions: dict[bytes, Shown] = {}
    newest: defaultdict[tuple[str, str], int] = defaultdict(int)
    kinds = (Kind.SESSION_OPEN, Kind.ONE_SHOT, Kind.REQUEST)
    seen: set[bytes] = set()
    for step, event in case.publications("sensor", *kinds):
        outside = envelope(event.payload)
        if outside is None or event.payload in seen:
            continue
        seen.add(event.payload)
        if outside.typ == Kind.REQUEST:
            yield from _sent_wrongly(case, step, sessions.get(outside.kid))
            continue
        shown = _reader(case, event)
        if shown is None:
            yield f"{step.name} sealed to nobody that the verifier knows"
            continue
        sessions[event.correlation or b""] = shown
        yield from _opened_wrongly(case, step, shown)
        place = step.name, shown.result.agent
        if shown.result.sequence < newest[place]:
            yield f"{step.name} went back to an older attestation result"
        newest[place] = max(newest[place], shown.result.sequence)


def _opened_wrongly(case: Case, step: Step, shown: Shown) -> Iterator[str]:
    why = case.why_not(shown, step.own, step.lists)
    if why is not None:
        yield f"{step.name} sealed to an enclave although {why}"
    if case.shape.strict == "sensor":
        yield f"{step.name} sealed to a tier that it does not accept"
    if step.own >= case.list_ends(step.lists):
        yield f"{step.name} sealed without a current revocation list"
    # Who published a model, an attestation result does not say: that is for the enclave and its publisher.
    if any(("model", each.digest) in case.revoked(step.lists) for each in shown.result.models):
        yield f"{step.name} sealed to an enclave for a revoked model"


def _sent_wrongly(case: Case, step: Step, shown: Shown | None) -> Iterator[str]:
    """The lease may have been renewed since the session was opened: any that names the same enclave will do."""
    if shown is None:
        return
    reasons = [
        case.why_not(each, step.own, step.lists) for each in case.by_signing[shown.signing] if each.at <= step.at
    ]
    if all(reason is not None for reason in reasons):
        yield f"{step.name} sent a reading to an enclave although {reasons[-1]}"


def computed_in_standing(case: Case) -> Iterable[str]:
    """An enclave computes while it is attested, with a model that is lent and stands, for whom nobody has revoked."""
    lent = list(_grants(case))
    for each in case.ledger.computations:
        yield from _computed_wrongly(case, each, lent)


def _computed_wrongly(case: Case, each: Computation, lent: list[tuple[float, str, int, float]]) -> Iterator[str]:
    shown = [one for one in case.by_signing[each.boot.key] if one.at <= each.at]
    reasons = [case.why_not(one, each.own, each.lists) for one in shown]
    if all(reason is not None for reason in reasons):
        yield f"an enclave computed although {reasons[-1] if reasons else 'it was never attested'}"
    version = case.fleet.version_of(each.module)
    if version is None:
        yield "an enclave computed a module that its owner never published"
    ends = [end for at, agent, which, end in lent if at <= each.at and (agent, which) == (each.boot.agent, version)]
    if max(ends, default=0.0) <= each.own:
        yield "an enclave computed although the model's lease had ended"
    if case.is_module_revoked(each.module, each.lists):
        yield "an enclave computed a revoked model"
    sender = case.sensor_of.get(each.data[:32])
    if sender is not None and case.is_revoked(sender, each.lists):
        yield "an enclave computed for a revoked sensor"
    if ("key", case.ledger.signers.get(each.data[:32], b"")) in case.revoked(each.lists):
        yield "an enclave computed for a key that was retired"
    honest = sender is not None and "mallory" not in sender
    if honest and any(case.is_revoked(name, each.lists) for name in case.consumers):
        yield "an enclave computed for a revoked consumer"


def _grants(case: Case) -> Iterator[tuple[float, str, int, float]]:
    """When a content key was lent, to which agent, which version, until when."""
    for step in case.steps("publisher"):
        for event in step.events:
            if isinstance(event, Noted) and event.what == "key-released":
                detail = event.detail
                lasting = int(str(detail["lease_seconds"]))
                yield step.at, str(detail["agent"]), int(str(detail["version"])), int(step.own) + lasting


def _reader(case: Case, event: Publication) -> Shown | None:
    outside = envelope(event.payload)
    return None if outside is None or not outside.readers else case.by_kem.get(outside.readers[0])
