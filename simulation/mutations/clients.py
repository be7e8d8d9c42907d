"""Bugs in sensors and consumers."""

from typing import Final

from simulation.mutations.rewriting import Mutation, mutation

_AGENTS = "sealedge.client.agents:Agents"
_REFUSAL = "sealedge.client.refusals:open_refusal_untrusted"

MUTATIONS: Final[tuple[Mutation, ...]] = (
    mutation(
        "forget-the-timeout",
        "P12",
        (
            "sealedge.client.outbox:Outbox.expired",
            "while (due := self.next_expiry) is not None and due <= now:",
            "while False:",
        ),
        (
            "sealedge.client.outbox:Outbox.next_expiry",
            "return self._expiries[0][0] if self._expiries else None",
            "return None",
        ),
    ),
    mutation(
        "keep-the-outbox-in-memory",
        "P12",
        ("sealedge.client.outbox:Outbox.add", "self._store.write(", "(lambda *_: None)("),
    ),
    mutation(
        "forget-a-request-before-its-end-is-told",
        "P12",
        (
            "sealedge.client.sensor:SensorParty._ended",
            "self._outbox.withdraw(event.request)",
            "self._outbox.remove(event.request)",
        ),
    ),
    mutation(
        "never-take-an-end-off-the-disk",
        "P12",
        ("sealedge.client.sensor:SensorParty._forget_told", "self._outbox.remove(request)", "pass"),
    ),
    mutation(
        "take-the-result-of-another-request",
        "P2",
        ("sealedge.client.results:ResultCheck.open_untrusted", "if found != request:", "if False:"),
        ("sealedge.client.results:VerifiedResult.check_input", "check_commitment(", "(lambda *_: None)("),
        (
            "protocol.messages:message_aad",
            "[DOMAIN, str(kind), topic, sender, recipient, correlation]",
            '[DOMAIN, str(kind), topic, sender, recipient, b""]',
        ),
    ),
    mutation(
        "hand-a-result-over-twice",
        "P7",
        (
            "sealedge.client.consumer:ConsumerParty._result_untrusted",
            "if identifier in self._seen or identifier in self._held:",
            "if False:",
        ),
    ),
    mutation(
        "forget-seen-results-over-a-restart",
        "P7",
        (
            "sealedge.client.seen:SeenResults.write",
            'self._store.write(BUCKET, identifier, time.to_bytes(8, "big"))',
            "pass",
        ),
    ),
    mutation(
        "send-beyond-the-lease",
        "P3",
        (f"{_AGENTS}._check", "passport.check_live(now)", "pass"),
        ("protocol.attestation:PassportBook.live", "passport.check_live(now)", "pass"),
    ),
    mutation(
        "send-to-any-tier",
        "P6",
        (f"{_AGENTS}._check", 'passport.check_tier(self._tiers, "sensor.tiers")', "pass"),
    ),
    mutation(
        "send-to-a-revoked-enclave",
        "P9",
        (
            "protocol.attestation:check_not_revoked",
            "if passport.verifier is not None:",
            "return\n    if passport.verifier is not None:",
        ),
    ),
    mutation(
        "ask-for-a-revoked-model",
        "P9",
        (f"{_AGENTS}._check_model", 'self._trust.revocations.check("model", loaded.digest)', "pass"),
    ),
    mutation(
        "reuse-a-partial-iv-after-a-restart",
        "P2",
        (
            "sealedge.client.session:SessionOpener.open",
            "self._randomness(16), self._randomness(32)",
            "(self._name.encode() * 16)[:16], (self._name.encode() * 32)[:32]",
        ),
    ),
    mutation(
        "believe-anybody-s-refusal",
        "P12",
        (_REFUSAL, "if signer is None:", "if False:"),
        (
            _REFUSAL,
            "open_message_untrusted(Refusal, delivery.payload, Kind.REFUSAL, signer, address)",
            "__import__('protocol.messages').messages.decode_message_untrusted(Refusal, "
            "parse_sign1_untrusted(delivery.payload).payload)",
        ),
    ),
    mutation(
        "spare-a-failing-agent-for-ever",
        "P12",
        (f"{_AGENTS}.failed", "now + max(wait, pause)", "now + 86_400"),
        (f"{_AGENTS}.accept_result_untrusted", "self._spared_until.pop(agent, None)", "pass"),
    ),
)
