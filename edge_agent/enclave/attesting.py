"""How an enclave comes by its passport: asks, is challenged, shows evidence, and reads the result it is given.

The signing key lives as long as the enclave. A new KEM key is made for every challenge and dies with the last
passport that names it: base-mode HPKE has no forward secrecy against the loss of that key.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from edge_agent.enclave.needs import EvidenceNeeded
from protocol.algorithms import ED25519, HPKE_XWING_KE
from protocol.attestation import Passport, check_not_revoked, open_attestation_result_untrusted, report_data
from protocol.envelope import Address, open_message_untrusted, sign_message, signer_credential_untrusted
from protocol.errors import (
    AppraisalError,
    AuthenticationError,
    Finding,
    FreshnessError,
    MalformedError,
    RemoteError,
    UnsupportedError,
)
from protocol.kem_keys import KemPrivateKey
from protocol.keys import SigningKey
from protocol.messages import encode_message
from protocol.party import Delivery, Event, Noted, Publication, Randomness
from protocol.trust import Trust, check_times, confirmation
from schemas.attestation import (
    ENCLAVE_PROFILE,
    MAX_WRAPPED_EVIDENCE,
    AttestationRequest,
    Challenge,
    EnclaveClaims,
    Evidence,
    LoadedModel,
)
from schemas.kinds import Kind, Role
from schemas.reason import Reason

ASK_AGAIN = 5.0
"""Seconds after which an unanswered attestation request is sent again."""

MAX_MEDIA_TYPE = 256

MAX_OPEN = 4
"""Challenges answered and not yet decided; the oldest is given up."""


@dataclass(slots=True)
class _Answer:
    challenge: Challenge
    topic: str
    claims: bytes
    kem: KemPrivateKey = field(repr=False)
    sent: Publication | None = None


class Attesting:
    """The enclave's keys, its open answers and its passports."""

    def __init__(
        self,
        trust: Trust,
        agent: str,
        configuration: bytes,
        enrolment: bytes,
        randomness: Randomness,
        confinement: tuple[str, ...] = (),
    ) -> None:
        self._trust, self._agent, self._configuration = trust, agent, configuration
        self._confinement = confinement or None
        self._enrolment, self._randomness = enrolment, randomness
        self._boot = randomness(16)
        self.key = SigningKey.generate(randomness, algorithm=ED25519)
        self._answers: OrderedDict[bytes, _Answer] = OrderedDict()
        self._held: OrderedDict[bytes, tuple[Passport, KemPrivateKey]] = OrderedDict()
        self._ask_at: float | None = None

    @property
    def ask_at(self) -> float | None:
        """When to ask (again) to be challenged, or None while nothing is wanted."""
        return self._ask_at

    def ask(self, purpose: str, now: float) -> Publication:
        """Ask the verifier for a challenge."""
        self._ask_at = now + ASK_AGAIN
        request = AttestationRequest(
            fleet=self._trust.fleet,
            agent=self._agent,
            confirmation=confirmation(self.key.public),
            boot=self._boot,
            issued=int(now),
            purpose=purpose,
        )
        topic = self._trust.topics.attest(self._agent)
        payload = sign_message(Kind.ATTESTATION_REQUEST, request, self.key, Address(topic, ""), self._enrolment)
        return Publication(topic, payload, expiry=60)

    def busy(self, retry_after: int, now: float) -> None:
        """The verifier is too busy to challenge, and says for how many seconds: sooner than when none had answered."""
        if self._ask_at is not None:
            self._ask_at = min(self._ask_at, now + max(1, retry_after))

    def challenged(self, delivery: Delivery, models: tuple[LoadedModel, ...], now: float) -> Sequence[Event]:
        """Answer a challenge: new KEM key, claims, and the report data that the TEE shall sign.

        The same challenge again, while its answer is open, is answered with the same bytes.
        """
        challenge = self._open_challenge_untrusted(delivery, now)
        known = self._answers.get(challenge.nonce)
        if known is not None:
            return [] if known.sent is None else [known.sent]
        kem = KemPrivateKey.generate(self._randomness)
        claims = EnclaveClaims(
            agent=self._agent,
            fleet=self._trust.fleet,
            issued=int(now),
            confirmation=confirmation(self.key.public, kem.public),
            nonce=challenge.nonce,
            profile=ENCLAVE_PROFILE,
            configuration=self._configuration,
            models=models,
            boot=self._boot,
            confinement=self._confinement,
        )
        answer = _Answer(challenge, self._trust.topics.evidence(self._agent), encode_message(claims), kem)
        self._answers[challenge.nonce] = answer
        while len(self._answers) > MAX_OPEN:
            self._answers.popitem(last=False)
        data = report_data(challenge, answer.claims, self.key.public, kem.public)
        return [EvidenceNeeded(challenge.nonce, data)]

    def evidence_collected_untrusted(self, token: bytes, media_type: str, evidence: bytes) -> Sequence[Event]:
        """Send the TEE's evidence. The host hands it in: the verifier finds out if it is not what was asked for.

        Raises `MalformedError` for what no message carries.
        """
        answer = self._answers.get(token)
        if answer is None:
            return []
        if not (0 < len(evidence) <= MAX_WRAPPED_EVIDENCE and len(media_type) <= MAX_MEDIA_TYPE):
            raise MalformedError(
                "evidence that no message carries",
                finding=Finding("evidence", f"1 to {MAX_WRAPPED_EVIDENCE} bytes", str(len(evidence))),
            )
        message = Evidence(claims=answer.claims, wrapped=(media_type, evidence), enrolment=self._enrolment)
        address = Address(answer.topic, answer.challenge.verifier, token)
        payload = sign_message(Kind.EVIDENCE, message, self.key, address)
        answer.sent = Publication(answer.topic, payload, expiry=60, correlation=token)
        return [Noted("evidence-sent", {"agent": self._agent, "bytes": len(payload)}), answer.sent]

    def accept_result_untrusted(self, data: bytes, now: float) -> Passport | None:
        """Take what stands on this agent's result topic. Returns a new passport, or None if it changes nothing.

        A result for the keys of an earlier enclave is no error: it is what a retained topic shows after a restart.
        """
        if not data or any(data == passport.document for passport, _ in self._held.values()):
            return None
        passport = open_attestation_result_untrusted(data, self._trust, now)
        if passport.agent != self._agent:
            raise AuthenticationError(
                "another agent's attestation result",
                reason=Reason.MISADDRESSED,
                finding=Finding("attestation-result.agent", self._agent, passport.agent),
            )
        if passport.signing_key != self.key.public:
            return None
        answer = self._answers.get(passport.result.nonce)
        if answer is None or answer.kem.public != passport.kem_key:
            raise FreshnessError(
                "an attestation result that answers no open challenge",
                reason=Reason.STALE,
                finding=Finding("attestation-result.nonce", "an open one", passport.result.nonce.hex()[:16]),
            )
        self._check_newer(passport)
        del self._answers[passport.result.nonce]
        self._held[passport.digest] = (passport, answer.kem)
        self._ask_at = None
        self.drop_ended(now)
        return passport

    def live(self, now: float) -> Passport:
        """The newest live passport. Raises `AppraisalError` where none is live: then nothing secret is done (P3)."""
        obstacle: RemoteError | None = None
        # With two verifiers, the newest passport may end, or be revoked, before an older one.
        for passport, _ in reversed(self._held.values()):
            try:
                self._check_live(passport, now)
            except RemoteError as error:
                obstacle = obstacle or error
                continue
            return passport
        raise obstacle or AppraisalError("not attested yet", reason=Reason.NOT_ATTESTED)

    def is_current(self, digest: bytes, now: float) -> bool:
        """Whether this is the digest of a passport that is still live: the newest, or one just renewed."""
        held = self._held.get(digest)
        return held is not None and self._is_live(held[0], now)

    def kem_keys(self, now: float) -> list[KemPrivateKey]:
        """The KEM keys of all passports that are still live, the newest first."""
        return [kem for passport, kem in reversed(self._held.values()) if self._is_live(passport, now)]

    def _check_live(self, passport: Passport, now: float) -> None:
        passport.check_live(now)
        check_not_revoked(passport, self._trust)

    def _is_live(self, passport: Passport, now: float) -> bool:
        try:
            self._check_live(passport, now)
        except RemoteError:
            return False
        return True

    def drop_ended(self, now: float) -> None:
        """Forget passports that have ended, with their KEM keys."""
        for name in [name for name, (passport, _) in self._held.items() if now >= passport.expires]:
            del self._held[name]

    def erase(self) -> None:
        """Forget every passport with its KEM key: nothing that was sealed to this enclave opens any more (P9).

        Python cannot overwrite them: until the interpreter uses that memory for something else, they lie there.
        """
        self._held.clear()

    @property
    def ends_at(self) -> float | None:
        """When the next of the held passports ends."""
        return min((float(passport.expires) for passport, _ in self._held.values()), default=None)

    def _check_newer(self, passport: Passport) -> None:
        newest = max((held.result.sequence for held, _ in self._held.values()), default=-1)
        if passport.result.sequence <= newest:
            raise FreshnessError(
                "an older attestation result than the one held",
                reason=Reason.STALE,
                finding=Finding("attestation-result.sequence", f"> {newest}", str(passport.result.sequence)),
            )

    def _open_challenge_untrusted(self, delivery: Delivery, now: float) -> Challenge:
        verifier = self._trust.identify_untrusted(signer_credential_untrusted(delivery.payload), now, Role.VERIFIER)
        address = Address(delivery.topic, self._agent, delivery.correlation or b"")
        challenge = open_message_untrusted(Challenge, delivery.payload, Kind.CHALLENGE, verifier.key, address)
        named = (challenge.fleet, challenge.agent, challenge.verifier, challenge.nonce)
        if named != (self._trust.fleet, self._agent, verifier.name, delivery.correlation):
            raise AuthenticationError("a challenge for another enclave", reason=Reason.MISADDRESSED)
        check_times("challenge", challenge.issued, challenge.expires, now)
        if not {ED25519, HPKE_XWING_KE} <= set(challenge.algorithms):
            raise UnsupportedError(
                "the verifier does not take this enclave's algorithms",
                finding=Finding("challenge.algorithms", f"{ED25519} and {HPKE_XWING_KE}", str(challenge.algorithms)),
            )
        return challenge
