"""Bugs in the enclave, and in the agent around it."""

from typing import Final

from simulation.mutations.rewriting import Mutation, mutation

_REQUEST = "edge_agent.enclave.enclave:Enclave._request"
_ENTITLED = "edge_agent.enclave.computing:Computing._entitled"
_TERMS = "edge_agent.enclave.terms:check_terms"

MUTATIONS: Final[tuple[Mutation, ...]] = (
    mutation("compute-a-repetition-again", "P7", (_REQUEST, "if known is not None:", "if False:")),
    mutation(
        "compute-a-copy-in-the-same-turn",
        "P7",
        (_REQUEST, "if self._computing.waiting.holds(message.kid, request.request):", "if False:"),
        (
            _REQUEST,
            "session.window.accept(message.partial_iv)",
            "(session.window.mark if self._computing.waiting.holds(message.kid, request.request) else session.window.accept)(message.partial_iv)",
        ),
    ),
    mutation(
        "start-two-requests-from-one-state",
        "P11",
        ("edge_agent.enclave.computing:Computing._next", "if id(asked.session) in carrying:", "if False:"),
    ),
    mutation(
        "open-a-session-twice",
        "P7",
        ("edge_agent.enclave.enclave:Enclave._open_session", "if known is not None:", "if False:"),
    ),
    mutation(
        "compute-beyond-the-model-s-lease",
        "P3",
        ("edge_agent.enclave.models:ModelShelf.running", "if now >= found.expires:", "if False:"),
        ("edge_agent.enclave.models:ModelShelf.expire", "if now >= each.expires]", "if False]"),
        ("edge_agent.enclave.models:ModelShelf.deadline", "*asked, *ends, *renewals", "*asked, *renewals"),
    ),
    mutation(
        "compute-beyond-the-passport-s-lease",
        "P3",
        ("edge_agent.enclave.attesting:Attesting._check_live", "passport.check_live(now)", "pass"),
        ("edge_agent.enclave.attesting:Attesting.drop_ended", "if now >= passport.expires]", "if False]"),
        (
            "edge_agent.enclave.attesting:Attesting.ends_at",
            "return min((float(passport.expires) for passport, _ in self._held.values()), default=None)",
            "return None",
        ),
    ),
    mutation(
        "keep-a-revoked-model",
        "P9",
        ("edge_agent.enclave.models:ModelShelf._is_revoked", "return True", "return False"),
    ),
    mutation(
        "go-on-serving-a-revoked-sensor",
        "P9",
        ("edge_agent.enclave.sessions:Session.check_standing", "trust.check_standing(each, now)", "pass"),
        ("edge_agent.enclave.sessions:Session.is_revoked", "return True", "return False"),
    ),
    mutation(
        "answer-on-any-reply-topic",
        "P2",
        (_TERMS, '("reply_to", reply_to, terms.reply_to),', ""),
    ),
    mutation(
        "deliver-results-anywhere",
        "P2",
        ("edge_agent.enclave.terms:recipients_of", "terms.deliver_to not in allowed", "False"),
    ),
    mutation(
        "accept-the-wrong-recipient",
        "P1",
        ("edge_agent.enclave.terms:recipients_of", "Role.CONSUMER) for", "Role.CONSUMER, Role.SENSOR) for"),
    ),
    mutation(
        "ignore-a-session-s-times",
        "P2",
        (_TERMS, 'check_times("session-open", terms.issued, terms.expires, now)', "pass"),
    ),
    mutation(
        "let-a-session-last-for-ever",
        "P3",
        (_TERMS, "terms.expires - terms.issued > MAX_SESSION_SECONDS", "False"),
    ),
    mutation(
        "ignore-a-request-s-times",
        "P2",
        (_ENTITLED, 'check_times("request", asked.request.issued, asked.request.expires, now)', "pass"),
    ),
    mutation("ignore-a-request-s-correlation", "P2", (_REQUEST, "if request.request != correlation:", "if False:")),
    mutation(
        "ignore-the-tiers-of-a-session",
        "P6",
        ("edge_agent.enclave.terms:check_passport", 'passport.check_tier(terms.tiers, "session.tiers")', "pass"),
        (_ENTITLED, 'passport.check_tier(session.terms.tiers, "session.tiers")', "pass"),
    ),
    mutation(
        "open-a-session-under-any-passport",
        "P8",
        ("edge_agent.enclave.terms:check_passport", "if not current:", "if False:"),
    ),
    mutation(
        "open-a-session-for-a-later-version",
        "P8",
        ("edge_agent.enclave.enclave:Enclave._admit", "running.manifest.version < terms.minimum_version", "False"),
    ),
    mutation(
        "leak-plaintext-in-a-refusal",
        "P1",
        (
            "edge_agent.enclave.enclave:Enclave._unanswered",
            "request, session = asked.request.request, asked.session",
            "request, session = asked.request.request, asked.session\n"
            "    error = type(error)(asked.request.input.hex(), reason=error.reason)",
        ),
        ("edge_agent.enclave.enclave:Enclave._refuse_inside", "Finding(claim)", "Finding(claim, found=str(error))"),
    ),
    mutation(
        "swallow-a-refusal",
        "P12",
        (
            "edge_agent.enclave.enclave:Enclave._unanswered",
            "events = self._refuse_inside(session, error, delivery, now)",
            "events = []",
        ),
    ),
    mutation(
        "answer-on-the-wrong-topic",
        "P2",
        (
            "edge_agent.enclave.inference:_publications",
            "[Publication(terms.reply_to, reply",
            "[Publication(terms.deliver_to or terms.reply_to, reply",
        ),
    ),
    mutation(
        "send-the-output-in-the-clear",
        "P1",
        (
            "edge_agent.enclave.inference:_publications",
            "own = result if terms.return_result",
            "found = [Publication(terms.reply_to, result.output)]\n    own = result if terms.return_result",
        ),
        (
            "edge_agent.enclave.inference:_publications",
            "found = [Publication(terms.reply_to, reply, correlation=correlation)]",
            "found = [*found, Publication(terms.reply_to, reply, correlation=correlation)]",
        ),
    ),
    mutation(
        "let-state-cross-sessions",
        "P11",
        (
            "edge_agent.enclave.carrying:Carrying.before",
            "session.carried = zeros",
            "last = getattr(self, '_last', None)\n        session.carried = last if last and last.by is running else zeros",
        ),
        (
            "edge_agent.enclave.carrying:Carrying.after",
            "session.carried = Carried(",
            "session.carried = self._last = Carried(",
        ),
    ),
    mutation(
        "believe-the-challenge-of-anybody",
        "P4",
        (
            "edge_agent.enclave.attesting:Attesting._open_challenge_untrusted",
            "self._trust.identify_untrusted(signer_credential_untrusted(delivery.payload), now, Role.VERIFIER)",
            "self._trust.identify_untrusted(signer_credential_untrusted(delivery.payload), now, Role.VERIFIER, Role.SENSOR)",
        ),
    ),
    mutation(
        "never-ask-for-a-key-again",
        "P12",
        ("edge_agent.enclave.models:ModelShelf._key_request", "now + ASK_AGAIN", "now + 1e6"),
    ),
)
