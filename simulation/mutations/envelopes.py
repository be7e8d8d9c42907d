"""Bugs in `protocol`: what every party relies on."""

from typing import Final

from simulation.mutations.rewriting import Mutation, mutation

_AAD = "protocol.messages:message_aad"
_LINE = "[DOMAIN, str(kind), topic, sender, recipient, correlation]"

MUTATIONS: Final[tuple[Mutation, ...]] = (
    mutation("drop-the-topic-from-the-aad", "P2", (_AAD, _LINE, _LINE.replace("topic", '""'))),
    mutation("drop-the-correlation-from-the-aad", "P2", (_AAD, _LINE, _LINE.replace("correlation", 'b""'))),
    mutation(
        "believe-any-authority",
        "P2",
        (
            "protocol.trust:_open_credential_untrusted",
            "message.verify(trust.authority, typ=str(Kind.CREDENTIAL))",
            "message.payload",
        ),
    ),
    mutation(
        "believe-any-role",
        "P2",
        ("protocol.trust:Trust.identify_untrusted", "if identity.role not in roles:", "if False:"),
    ),
    mutation(
        "believe-the-first-key-of-a-name-alone",
        "P12",
        (
            "protocol.trust:Trust.identify_untrusted",
            "if identity.role not in roles:",
            "if self.__dict__.setdefault('_first', {}).setdefault(identity.name, identity.signing_key) != identity.signing_key:\n"
            "        raise AuthenticationError('another key than before')\n    if identity.role not in roles:",
        ),
    ),
    mutation(
        "believe-any-signature",
        "P2",
        ("protocol.cose_sign:Sign1.verify", "if self.kid != key.thumbprint:", "if False:"),
        (
            "protocol.cose_sign:Sign1.verify",
            "key.verify(self.signature, sig_structure(self.protected, external_aad, self.payload))",
            "pass",
        ),
    ),
    mutation(
        "skip-revocation",
        "P9",
        ("protocol.revocation:Revocations.check", "if (kind, identifier) in self._revoked:", "if False:"),
    ),
    mutation(
        "accept-an-older-revocation-list",
        "P8",
        ("protocol.revocation:Revocations.accept_untrusted", "found.sequence <= self.sequence", "False"),
    ),
    mutation(
        "go-on-without-a-current-list",
        "P9",
        ("protocol.revocation:Revocations.check_live", "now >= self._list.expires", "False"),
    ),
    mutation(
        "skip-the-list-s-signature",
        "P9",
        (
            "protocol.revocation:Revocations._open_untrusted",
            "open_document_untrusted(RevocationList, data, Kind.REVOCATIONS, self._authority)",
            "__import__('protocol.messages').messages.decode_message_untrusted(RevocationList, "
            "__import__('protocol.cose').cose.parse_sign1_untrusted(data).payload)",
        ),
    ),
    mutation(
        "ignore-lease-expiry",
        "P3",
        ("protocol.attestation:Passport.check_live", "if now >= self.expires:", "if False:"),
        ("protocol.attestation:Passport.check_live", "check_times(", "(lambda *_: None)("),
    ),
    mutation(
        "accept-the-simulated-tier-everywhere",
        "P6",
        ("protocol.attestation:Passport.check_tier", "if self.result.tier not in accepted:", "if False:"),
    ),
    mutation(
        "accept-a-stale-attestation-result",
        "P8",
        ("protocol.attestation:PassportBook._check_sequence", "sequence < seen or", "False and"),
    ),
    mutation(
        "forget-sequence-numbers-over-a-restart",
        "P8",
        ("protocol.attestation:PassportBook._remember", "self._store.write(", "(lambda *_: None)("),
    ),
    mutation(
        "accept-an-older-manifest",
        "P8",
        ("protocol.manifests:ManifestBook._check_succession", "manifest.version < version or", "False and"),
    ),
    mutation(
        "accept-anybody-s-manifest",
        "P8",
        ("protocol.manifests:ManifestBook._check_succession", "if manifest.publisher != publisher:", "if False:"),
    ),
    mutation(
        "forget-the-replay-window",
        "P7",
        (
            "protocol.channel:ReplayWindow.accept",
            "behind >= WINDOW or (behind >= 0 and self._seen >> behind & 1)",
            "False",
        ),
    ),
    mutation(
        "never-count-the-partial-iv",
        "P2",
        (
            "protocol.channel:Channel.seal",
            "self.next_sequence, self.next_sequence + 1",
            "self.next_sequence, self.next_sequence",
        ),
        ("protocol.cose_encrypt0:AeadKey.encrypt", "if number <= self._sealed:", "if False:"),
    ),
    mutation(
        "let-a-parser-s-error-escape",
        "P14",
        (
            "protocol.messages:decode_message_untrusted",
            "except ValidationError as error:",
            "except ZeroDivisionError as error:",
        ),
    ),
    mutation(
        "skip-the-receipt-s-signature",
        "P10",
        (
            "protocol.receipts:verified_receipt_untrusted",
            "(roots or VerifiedRoots()).verify(signed, enclave)",
            "pass",
        ),
    ),
    mutation(
        "remember-a-signature-without-its-root",
        "P10",
        ("protocol.receipts:VerifiedRoots.verify", "signed.payload, signed.signature", "b'', signed.signature"),
    ),
    mutation(
        "skip-the-output-s-commitment",
        "P10",
        ("protocol.receipts:check_commitment", "if not hmac.compare_digest(", "if False and not hmac.compare_digest("),
    ),
)
