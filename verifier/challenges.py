"""From an attestation request, or a lease at its half, to a signed challenge with a nonce that is remembered first.

A challenge is bound to the agent, not to whoever asked: the enrolment in a request is no secret, so anyone may ask
in an agent's name. Hence the bounds: a purpose is challenged once a second, an agent has four open challenges,
and when those are used up the newest is sent again, so that a flood of requests cannot keep an enclave from one.
"""

from collections.abc import Iterable

from protocol.algorithms import ACCEPTED_HPKE, ACCEPTED_SIGNATURES
from protocol.cose import parse_sign1_untrusted
from protocol.envelope import Address, sign_message, signer_credential_untrusted
from protocol.errors import Finding, UnexpectedError
from protocol.keys import SigningKey, VerifyingKey
from protocol.messages import decode_message_untrusted
from protocol.party import Publication, Randomness
from protocol.trust import CLOCK_SKEW, Trust, check_same, check_times
from schemas.attestation import AttestationRequest, Challenge
from schemas.kinds import Kind
from schemas.reason import Reason
from verifier.nonces import NonceMemory
from verifier.pace import Pace
from verifier.presentation import enrolled_untrusted
from verifier.records import MAX_OPEN_CHALLENGES

REQUEST_SECONDS = 1.0
"""Seconds between two challenges of an agent for one purpose, at least."""

MAX_REQUEST = 65_536


def open_request_untrusted(payload: bytes, agent: str, trust: Trust, now: float) -> AttestationRequest:
    """Returns the request: the holder of its signing key asks now, and the authority enrolled this agent.

    That the key belongs to the agent is not known. Raises `MalformedError`, `UnsupportedError`,
    `AuthenticationError`, `FreshnessError`, `AppraisalError` (revoked).
    """
    message = parse_sign1_untrusted(payload, max_bytes=MAX_REQUEST)
    request = decode_message_untrusted(AttestationRequest, message.payload)
    key = VerifyingKey.from_cose_key_untrusted(request.confirmation.signing_key)
    aad = Address(trust.topics.attest(agent), "").aad(Kind.ATTESTATION_REQUEST, key.thumbprint)
    message.verify(key, typ=str(Kind.ATTESTATION_REQUEST), external_aad=aad)
    enrolled_untrusted(signer_credential_untrusted(payload), agent, trust, now)
    check_same(
        "attestation-request",
        "a request of another place",
        ("fleet", trust.fleet, request.fleet),
        ("agent", agent, request.agent),
    )
    check_times("attestation-request", request.issued, request.issued + CLOCK_SKEW, now)
    trust.revocations.check("key", key.thumbprint)
    return request


class Challenger:
    """Challenges agents in the name of one verifier, and remembers every nonce before it leaves."""

    def __init__(
        self,
        trust: Trust,
        name: str,
        key: SigningKey,
        credential: bytes,
        nonces: NonceMemory,
        randomness: Randomness,
        formats: Iterable[str],
        challenge_seconds: int,
    ) -> None:
        self._trust, self._name, self._key, self._credential = trust, name, key, credential
        self._nonces, self._randomness, self._seconds = nonces, randomness, challenge_seconds
        self._formats = tuple(sorted(formats))
        self._algorithms = tuple(sorted(ACCEPTED_SIGNATURES | ACCEPTED_HPKE))
        self._purposes, self._repeats = Pace(REQUEST_SECONDS), Pace(REQUEST_SECONDS)

    def challenge(self, agent: str, purpose: str, now: float) -> Publication:
        """The challenge for this agent, its nonce durable. Raises `UnexpectedError` (busy) where asked too often."""
        if not self._purposes.passes(f"{agent}/{purpose}", now):
            raise _busy()
        held = self._nonces.unanswered(agent, now)
        if len(held) < MAX_OPEN_CHALLENGES:
            challenge = self._new(agent, purpose, now)
            self._nonces.remember(challenge, now)
            return self._publication(challenge, now)
        if not self._repeats.passes(agent, now):
            raise _busy()
        return self._publication(held[-1], now)

    def _new(self, agent: str, purpose: str, now: float) -> Challenge:
        return Challenge(
            fleet=self._trust.fleet,
            agent=agent,
            verifier=self._name,
            nonce=self._randomness(32),
            issued=int(now),
            expires=int(now) + self._seconds,
            purpose=purpose,
            algorithms=self._algorithms,
            formats=self._formats,
        )

    def _publication(self, challenge: Challenge, now: float) -> Publication:
        topics, agent = self._trust.topics, challenge.agent
        address = Address(topics.challenge(agent), agent, challenge.nonce)
        return Publication(
            topic=address.topic,
            payload=sign_message(Kind.CHALLENGE, challenge, self._key, address, self._credential),
            expiry=max(1, int(challenge.expires - now)),
            response_topic=topics.evidence(agent),
            correlation=challenge.nonce,
        )


def _busy() -> UnexpectedError:
    finding = Finding("attestation-request", f"one in {REQUEST_SECONDS:.0f} s for one purpose", "another")
    return UnexpectedError("asked for challenges too often", reason=Reason.BUSY, finding=finding)
