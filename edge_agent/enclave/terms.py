"""The terms of a session: what an opening must say, and the enclave's answer to it."""

from edge_agent.enclave.sessions import MAX_SESSION_SECONDS, Session
from protocol.attestation import Passport
from protocol.channel import WINDOW
from protocol.errors import AuthenticationError, Finding, FreshnessError, MalformedError
from protocol.messages import encode_message
from protocol.party import Publication
from protocol.trust import Identity, Trust, check_same, check_times
from schemas.kinds import Kind, Role
from schemas.reason import Reason
from schemas.session import SessionAccept, SessionOpen


def check_terms(terms: SessionOpen, sender: Identity, correlation: bytes | None, trust: Trust, now: float) -> None:
    """Raises unless the opening is in time, and its topics belong to the sender and the recipients it names."""
    check_times("session-open", terms.issued, terms.expires, now)
    if terms.expires - terms.issued > MAX_SESSION_SECONDS:
        raise MalformedError(
            "a session longer than a day",
            finding=Finding("session.expires", f"<= {MAX_SESSION_SECONDS} s", str(terms.expires - terms.issued)),
        )
    named = terms.session if terms.request is None else terms.request.request
    reply_to = trust.topics.inbox(Role.SENSOR, sender.name)
    check_same(
        "session",
        "the opening is addressed elsewhere",
        ("correlation", named.hex(), (correlation or b"").hex()),
        ("fleet", trust.fleet, terms.fleet),
        ("reply_to", reply_to, terms.reply_to),
    )
    if bool(terms.recipients) != (terms.deliver_to is not None) or not (terms.recipients or terms.return_result):
        raise MalformedError(
            "results must go somewhere", finding=Finding("session.recipients", "with deliver_to, or return_result", "")
        )


def recipients_of(terms: SessionOpen, trust: Trust, now: float) -> tuple[Identity, ...]:
    """The consumers that a session names, identified. Raises if one is not, or if the results go elsewhere."""
    found = tuple(trust.identify_untrusted(each, now, Role.CONSUMER) for each in terms.recipients)
    allowed = {trust.topics.inbox(Role.CONSUMER, each.name) for each in found} | {trust.topics.results(terms.model)}
    if terms.deliver_to is not None and terms.deliver_to not in allowed:
        raise AuthenticationError(
            "results would go where no recipient listens",
            reason=Reason.MISADDRESSED,
            finding=Finding("session.deliver_to", "an inbox of a recipient, or the model's results", terms.deliver_to),
        )
    return found


def check_passport(terms: SessionOpen, passport: Passport, current: bool) -> None:
    """Raises unless the sensor relied on a current passport of this enclave and accepts its tier (P3, P6)."""
    if not current:
        raise FreshnessError(
            "opened under another attestation result",
            reason=Reason.STALE,
            finding=Finding(
                "session.attestation_result", passport.digest.hex()[:16], terms.attestation_result.hex()[:16]
            ),
        )
    passport.check_tier(terms.tiers, "session.tiers")
    if terms.agent != passport.agent:
        raise AuthenticationError("a session for another agent", reason=Reason.MISADDRESSED)


def accept(session: Session, version: int, manifest: bytes, passport: Passport) -> Publication:
    """The enclave's answer to an opening."""
    terms = session.terms
    message = SessionAccept(
        session=terms.session,
        model=terms.model,
        version=version,
        manifest=manifest,
        attestation_result=passport.digest,
        expires=terms.expires,
        window=WINDOW,
    )
    payload = session.channel.seal(
        Kind.SESSION_ACCEPT, encode_message(message), terms.reply_to, session.sender.name, terms.session
    )
    return Publication(terms.reply_to, payload, correlation=terms.session, expiry=60)
