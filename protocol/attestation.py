"""Report data, attestation results, and the passports that everybody holds of everybody's enclaves.

enclave claims ─┐
challenge ──────┴─> report_data ─> TEE evidence ─> verifier ─> attestation result ─> Passport
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from protocol.cbor import CborValue, encode
from protocol.envelope import open_document_untrusted, sign_document, signer_credential_untrusted
from protocol.errors import AppraisalError, AuthenticationError, Finding, FreshnessError, MalformedError
from protocol.keys import KemPublicKey, SigningKey, VerifyingKey
from protocol.messages import DOMAIN, digest
from protocol.party import Store
from protocol.trust import Identity, Trust, check_same, check_times
from schemas.attestation import AFFIRMING, EAR_PROFILE, AttestationResult, Challenge, LoadedModel
from schemas.kinds import Kind, Role, Tier
from schemas.reason import Reason

BUCKET = "attestation-sequences"

MAX_RESULT = 65_536
"""Bytes of a signed attestation result: what fits into the messages that carry one."""


def report_data(challenge: Challenge, claims: bytes, signing: VerifyingKey, kem: KemPublicKey) -> bytes:
    """64 bytes for the TEE to sign: SHA-512 over all that the evidence must be bound to (P4, P5).

    Nothing in the enclave's claims is trusted outside this hash. `claims` are their exact bytes.
    """
    bound: list[CborValue] = [
        DOMAIN,
        challenge.nonce,
        challenge.verifier,
        challenge.purpose,
        signing.thumbprint,
        kem.thumbprint,
        digest(claims),
        [challenge.fleet, challenge.agent],
    ]
    return hashlib.sha512(encode(bound)).digest()


def sign_attestation_result(result: AttestationResult, verifier: SigningKey, credential: bytes) -> bytes:
    """The passport as a CWT, with the verifier's credential beside it."""
    return sign_document(Kind.ATTESTATION_RESULT, result, verifier, credential)


@dataclass(frozen=True, slots=True)
class Passport:
    """A verified attestation result: the verifier's signature, role, fleet and profile hold, and it affirms.

    Whether its lease still runs is asked with `check_live`, each time something relies on it (P3).
    """

    result: AttestationResult
    document: bytes = field(repr=False)
    digest: bytes
    signing_key: VerifyingKey
    kem_key: KemPublicKey
    verifier: Identity | None = None
    """Who signed it; None where a verifier's key is believed without a credential."""

    @property
    def expires(self) -> int:
        """When the lease ends: never later than its verifier's credential."""
        own = self.result.expires
        return own if self.verifier is None else min(own, self.verifier.expires)

    @property
    def agent(self) -> str:
        """The agent whose enclave this is."""
        return self.result.agent

    def check_live(self, now: float) -> None:
        """Raises `AppraisalError` (lease-expired) when the lease has ended, or `FreshnessError` before its start."""
        if now >= self.expires:
            raise AppraisalError(
                "the attestation result's lease has ended",
                reason=Reason.LEASE_EXPIRED,
                finding=Finding("attestation-result.expires", f"> {int(now)}", str(self.expires)),
            )
        check_times("attestation-result", self.result.issued, self.expires, now)

    def check_tier(self, accepted: tuple[Tier, ...], policy: str) -> None:
        """Raises `AppraisalError` unless `policy` names this tier (P6)."""
        if self.result.tier not in accepted:
            raise AppraisalError(
                "the policy does not accept this tier",
                reason=Reason.TIER_NOT_ACCEPTED,
                finding=Finding("tier", " or ".join(accepted) or "none", self.result.tier, policy),
            )

    def model(self, name: str) -> LoadedModel | None:
        """The model of this name that the enclave held when it attested."""
        return next((model for model in self.result.models if model.model == name), None)


def open_attestation_result_untrusted(data: bytes, trust: Trust, now: float) -> Passport:
    """Returns the passport, verified and live now.

    Raises `AuthenticationError`, `FreshnessError`, `AppraisalError`, `MalformedError`.
    """
    passport = open_past_attestation_result_untrusted(data, trust, now)
    passport.check_live(now)
    return passport


def open_past_attestation_result_untrusted(data: bytes, trust: Trust, now: float) -> Passport:
    """The same without asking whether the lease still runs: to check receipts of the past."""
    if len(data) > MAX_RESULT:
        raise MalformedError(
            "an attestation result that is too large",
            reason=Reason.OVERSIZED,
            finding=Finding("attestation-result", f"at most {MAX_RESULT} bytes", f"{len(data)}"),
        )
    verifier = trust.identify_untrusted(signer_credential_untrusted(data), now, Role.VERIFIER)
    result = open_document_untrusted(AttestationResult, data, Kind.ATTESTATION_RESULT, verifier.key)
    _check_result(result, trust, verifier.name)
    if result.confirmation.kem_key is None:
        raise AuthenticationError("an attestation result without a KEM key", reason=Reason.BINDING_MISMATCH)
    passport = Passport(
        result=result,
        document=data,
        digest=digest(data),
        signing_key=VerifyingKey.from_cose_key_untrusted(result.confirmation.signing_key),
        kem_key=KemPublicKey.from_cose_key_untrusted(result.confirmation.kem_key),
        verifier=verifier,
    )
    check_not_revoked(passport, trust)
    return passport


def check_not_revoked(passport: Passport, trust: Trust) -> None:
    """Raises `AppraisalError` (revoked) if the chip, measurement, key or verifier of this passport is revoked (P9)."""
    if passport.verifier is not None:
        trust.check_not_revoked(passport.verifier)
    trust.revocations.check("measurement", passport.result.measurement)
    trust.revocations.check("key", passport.signing_key.thumbprint)
    if passport.result.chip is not None:
        trust.revocations.check("chip", passport.result.chip)


def _check_result(result: AttestationResult, trust: Trust, verifier: str) -> None:
    check_same(
        "attestation-result",
        "an attestation result of another kind or place",
        ("fleet", trust.fleet, result.fleet),
        ("verifier", verifier, result.verifier),
        ("profile", EAR_PROFILE, result.profile),
    )
    worst = max(result.status, *(each.status for each in result.submodules.values()))
    if worst > AFFIRMING or result.status != AFFIRMING:
        raise AppraisalError(
            "the verifier did not affirm",
            reason=Reason.EVIDENCE_INVALID,
            finding=Finding("attestation-result.status", str(AFFIRMING), str(worst)),
        )


class PassportBook:
    """The newest passport of each agent. Sequence numbers are remembered across restarts (P8)."""

    def __init__(self, trust: Trust, store: Store, limit: int = 4096) -> None:
        self._trust, self._store, self._limit = trust, store, limit
        self._held: dict[str, Passport] = {}

    def accept_untrusted(self, data: bytes, agent: str, now: float) -> Passport | None:
        """Take what stands on an agent's result topic. Returns the passport, or None if it is the one held.

        Raises `FreshnessError` (stale) for a lower sequence than ever seen, and as
        `open_attestation_result_untrusted` does.
        """
        held = self._held.get(agent)
        if held is not None and held.document == data:
            return None
        passport = open_attestation_result_untrusted(data, self._trust, now)
        if passport.agent != agent:
            raise AuthenticationError(
                "an attestation result on another agent's topic",
                reason=Reason.MISADDRESSED,
                finding=Finding("attestation-result.agent", agent, passport.agent),
            )
        self._check_sequence(passport, held)
        self._remember(passport, now)
        return passport

    def _check_sequence(self, passport: Passport, held: Passport | None) -> None:
        newest = self._store.read(BUCKET, passport.agent.encode())
        seen = -1 if newest is None else int.from_bytes(newest, "big")
        sequence = passport.result.sequence
        if sequence < seen or (held is not None and sequence == seen and held.document != passport.document):
            raise FreshnessError(
                "an older attestation result than one already seen",
                reason=Reason.STALE,
                finding=Finding("attestation-result.sequence", f"> {seen}", str(sequence)),
            )

    def _remember(self, passport: Passport, now: float) -> None:
        if passport.agent not in self._held and len(self._held) >= self._limit:
            self._held = {name: each for name, each in self._held.items() if now < each.expires}
        if passport.agent not in self._held and len(self._held) >= self._limit:
            raise AppraisalError("too many agents", reason=Reason.BUSY)
        self._store.write(BUCKET, passport.agent.encode(), passport.result.sequence.to_bytes(8, "big"))
        self._held[passport.agent] = passport

    def live(self, agent: str, now: float) -> Passport:
        """The agent's passport, live and not revoked now. Raises `AppraisalError` (not-attested, lease, revoked)."""
        passport = self._held.get(agent)
        if passport is None:
            raise AppraisalError(
                "no attestation result",
                reason=Reason.NOT_ATTESTED,
                finding=Finding("attestation-result", f"one for {agent}", "none"),
            )
        passport.check_live(now)
        check_not_revoked(passport, self._trust)
        return passport

    def forget(self, agent: str) -> None:
        """Drop the passport of an agent that is gone; its sequence stays remembered."""
        self._held.pop(agent, None)

    def __iter__(self) -> Iterator[Passport]:
        return iter(tuple(self._held.values()))
