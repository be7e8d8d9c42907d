"""Bugs in the verifier and the publisher."""

from typing import Final

from simulation.mutations.rewriting import Mutation, mutation

_CONSUME = "verifier.nonces:NonceMemory.consume"

MUTATIONS: Final[tuple[Mutation, ...]] = (
    mutation(
        "use-a-nonce-twice",
        "P4",
        (_CONSUME, "self._write(agent, tuple(each for each in held if each is not found))", "pass"),
    ),
    mutation(
        "do-not-persist-nonces-over-a-restart",
        "P4",
        (
            _CONSUME,
            "self._write(agent, tuple(each for each in held if each is not found))",
            "self.__dict__.setdefault('_gone', set()).add(found.nonce)",
        ),
        (
            _CONSUME,
            "if hmac.compare_digest(each.nonce, nonce)",
            "if hmac.compare_digest(each.nonce, nonce) and nonce not in self.__dict__.get('_gone', ())",
        ),
    ),
    mutation(
        "take-the-prover-s-nonce",
        "P4",
        (
            _CONSUME,
            "if found is None:",
            "if found is None and getattr(self, '_last', None):\n        return self._last.model_copy(update={'nonce': nonce})\n    if found is None:",
        ),
        (_CONSUME, "return found", "self._last = found\n    return found"),
    ),
    mutation("accept-an-answer-after-its-time", "P4", (_CONSUME, "check_times(", "(lambda *_: None)(")),
    mutation(
        "skip-the-nonce-check",
        "P4",
        (
            _CONSUME,
            "if found is None:",
            "if found is None and held:\n        found = held[-1].model_copy(update={'nonce': nonce})\n    if found is None:",
        ),
    ),
    mutation(
        "skip-the-binding-of-report-data",
        "P5",
        ("verifier.appraisal:_binding", "compare_digest(expected, found.report_data)", "True"),
    ),
    mutation(
        "accept-any-tier",
        "P6",
        ("verifier.judgement:_tier", "tee.tier in accepted", "True"),
    ),
    mutation(
        "attest-what-is-revoked",
        "P9",
        ("verifier.appraisal:_is_current", "return False", "return True"),
    ),
    mutation(
        "accept-any-genuine-chip", "P5", ("verifier.appraisal:_chip", "chip is not None and chip in chips", "True")
    ),
    mutation(
        "accept-any-measurement",
        "P5",
        ("verifier.judgement:_measurement", "approved is not None,", "True,"),
        ("verifier.judgement:_measurement", "UNRECOGNIZED_RUNTIME if approved is None else AFFIRMING", "AFFIRMING"),
    ),
    mutation(
        "accept-debug-mode",
        "P5",
        ("verifier.judgement:_lines", "allowed=policy.allow_debug", "allowed=True"),
    ),
    mutation(
        "count-leases-by-the-clock-alone",
        "P8",
        ("verifier.leases:Leases.next_sequence", "max(last + 1, int(now * 1000))", "int(now * 1000)"),
    ),
    mutation(
        "release-the-key-without-a-live-passport",
        "P3",
        (
            "publisher.release:check_release",
            "passports.accept_untrusted(asker.passport.document, asker.agent, now)",
            "pass",
        ),
        ("publisher.release:check_release", "passports.live(asker.agent, now)", "asker.passport"),
    ),
    mutation(
        "release-the-key-to-an-older-passport",
        "P8",
        (
            "publisher.release:check_release",
            "passports.accept_untrusted(asker.passport.document, asker.agent, now)",
            "pass",
        ),
        (
            "publisher.release:check_release",
            "passport = passports.live(asker.agent, now)",
            "passport = asker.passport\n    passport.check_live(now)",
        ),
    ),
    mutation(
        "release-the-key-whatever-the-tier",
        "P6",
        ("publisher.release:check_release", 'passport.check_tier(model.manifest.tiers, "manifest.tiers")', "pass"),
    ),
    mutation(
        "release-the-key-for-an-old-request",
        "P7",
        ("publisher.release:check_release", "check_times(", "(lambda *_: None)("),
    ),
    mutation(
        "release-the-key-of-a-revoked-model",
        "P9",
        ("publisher.release:check_release", 'trust.revocations.check("model", model.manifest.digest)', "pass"),
    ),
    mutation(
        "release-the-key-unsealed",
        "P1",
        ("publisher.publisher:Publisher._seal", "return seal_message(", "return grant.content_key + seal_message("),
    ),
)
