"""The verifier: challenges agents, appraises their evidence, and lends them attestation results.

attestation request ─> challenge (nonce durable) ─> evidence (nonce consumed) ─> appraisal ─┬─> result, a lease
half of the lease ───────────┘                                                              └─> refusal
revocation ─> the leases that it names end, and their retained results are cleared
"""

from collections.abc import Sequence

from pydantic import TypeAdapter, ValidationError

from protocol.attestation import sign_attestation_result
from protocol.desk import Desk
from protocol.envelope import Address, sign_message
from protocol.errors import FreshnessError, RemoteError, SealedgeError, UnexpectedError
from protocol.keys import SigningKey
from protocol.messages import digest
from protocol.party import Delivery, Event, Noted, Publication, Randomness, Store, Subscription
from protocol.status import refusal_of
from protocol.trust import Trust
from schemas.attestation import Challenge
from schemas.base import Name
from schemas.kinds import Kind, Role
from schemas.policy import AppraisalPolicy
from schemas.reason import Reason
from verifier.appraisal import Verdict, appraise
from verifier.challenges import Challenger, open_request_untrusted
from verifier.evidence import DEFAULT_APPRAISERS, Appraisers
from verifier.evidence.examination import Examination
from verifier.leases import Leases
from verifier.nonces import NonceMemory
from verifier.notes import attestation_result_issued, challenged, evidence_appraised, lease_ended
from verifier.pace import Pace
from verifier.policy import policy_id
from verifier.presentation import Presentation, Subject, authenticate_untrusted, parse_presentation_untrusted
from verifier.records import Lease
from verifier.results import attestation_result, lease_of
from verifier.verdicts import Verdicts, refusal_again

REFUSAL_SECONDS = 1.0
"""Seconds between two refusals to one agent, at least; evidence that answered a nonce always gets its answer."""

NONCE_BYTES = 32

_NAME: TypeAdapter[str] = TypeAdapter(Name)


class Verifier(Desk):
    """The party that everybody relies on for the state of everybody's enclaves.

    `credential` is its own, by the authority. All that it promised is in `store`: a restart forgets no nonce, no
    lease and no sequence number.
    """

    role = Role.VERIFIER

    def __init__(
        self,
        trust: Trust,
        name: str,
        key: SigningKey,
        credential: bytes,
        policy: AppraisalPolicy,
        store: Store,
        randomness: Randomness,
        appraisers: Appraisers = DEFAULT_APPRAISERS,
    ) -> None:
        super().__init__(trust, name, key)
        self._credential, self._policy, self._appraisers = credential, policy, appraisers
        self._nonces, self._leases, self._verdicts = NonceMemory(store), Leases(store), Verdicts(store)
        self._challenger = Challenger(
            trust, name, key, credential, self._nonces, randomness, appraisers, policy.challenge_seconds
        )
        self._refusals = Pace(REFUSAL_SECONDS)
        self.board.details |= {"policy": policy_id(policy), "leases": len(self._leases)}

    # The desk

    def _subscriptions(self) -> Sequence[Subscription]:
        return [Subscription(self.topics.attest("+")), Subscription(self.topics.evidence("+"))]

    def _connected(self, now: float) -> Sequence[Event]:
        self._nonces.expire(now)
        ended = self._end_revoked(now)
        # The broker may have lost what it retained, or the last run what it was about to publish.
        running = [self._result(lease, now) for lease in self._leases if now < lease.expires]
        return [*self._revocation_list(), *ended, *running]

    def _handle(self, delivery: Delivery, now: float) -> Sequence[Event]:
        agent = self._agent_untrusted(delivery.topic)
        if agent is None:
            raise UnexpectedError("nothing is to be said to the verifier on this topic")
        if delivery.topic == self.topics.attest(agent):
            return self._requested(agent, delivery, now)
        return self._presented(agent, delivery, now)

    def _deadline(self) -> float | None:
        return self._leases.deadline

    def _due(self, now: float) -> Sequence[Event]:
        return [event for lease in self._leases.due(now) for event in self._renew(lease, now)]

    def _revoked(self, now: float) -> Sequence[Event]:
        # An older list that this verifier published when it connected may stand over the newer one on the topic.
        return [*self._revocation_list(), *self._end_revoked(now)]

    def _refusal_reply(self, error: SealedgeError, delivery: Delivery, now: float) -> Sequence[Event]:
        agent = self._agent_untrusted(delivery.topic)
        if agent is None or not self._refusals.passes(agent, now):
            return []
        correlation = delivery.correlation or b""
        # Whatever is not the size of a nonce names no exchange of the agent's, and is not echoed.
        return [self._refusal(error, agent, correlation if len(correlation) == NONCE_BYTES else b"", now)]

    # Challenges

    def _requested(self, agent: str, delivery: Delivery, now: float) -> Sequence[Event]:
        request = open_request_untrusted(delivery.payload, agent, self.trust, now)
        return self._challenge(agent, request.purpose, now)

    def _challenge(self, agent: str, purpose: str, now: float) -> Sequence[Event]:
        publication = self._challenger.challenge(agent, purpose, now)
        self.board.count("challenged")
        return [publication, challenged(agent, purpose, publication.expiry)]

    # Evidence

    def _presented(self, agent: str, delivery: Delivery, now: float) -> Sequence[Event]:
        presented = parse_presentation_untrusted(delivery.payload)
        try:
            challenge = self._nonces.consume(agent, presented.claims.nonce, now)
        except FreshnessError:
            repeated = self._repeated(agent, delivery.payload, now)
            if repeated is None:
                raise
            return repeated
        self._refusals.forget(agent)
        return self._appraised(presented, challenge, delivery, now)

    def _repeated(self, agent: str, payload: bytes, now: float) -> Sequence[Event] | None:
        """P7: what was appraised is not appraised again; it gets the answer that it got. None if it had none."""
        lease = self._leases.live(agent, now)
        if lease is not None and lease.evidence == digest(payload):
            self.board.count("repeated")
            return [self._result(lease, now)]
        kept = self._verdicts.newest(agent)
        refusal = refusal_again(kept) if kept is not None and kept.evidence == payload else None
        if refusal is not None:
            raise refusal
        return None

    def _appraised(
        self, presented: Presentation, challenge: Challenge, delivery: Delivery, now: float
    ) -> Sequence[Event]:
        subject, verdict, examination = None, None, Examination()
        try:
            subject = authenticate_untrusted(presented, challenge, self.trust, self._appraisers, now, examination)
            verdict = appraise(subject, self._policy, self.trust.revocations, now)
            verdict.affirm()
        except RemoteError as error:
            self._verdicts.keep(challenge, delivery.payload, examination, verdict, error, now)
            return [
                evidence_appraised(challenge.agent, subject, error),
                *self._refuse(error, delivery, now),
                *self._clear_if_revoked(challenge.agent, error, now),
            ]
        self._verdicts.keep(challenge, delivery.payload, examination, verdict, None, now)
        return [evidence_appraised(challenge.agent, subject, None), *self._issue(subject, verdict, delivery, now)]

    def _issue(self, subject: Subject, verdict: Verdict, delivery: Delivery, now: float) -> Sequence[Event]:
        sequence = self._leases.next_sequence(subject.challenge.agent, now)
        result = attestation_result(subject, verdict, self._policy, sequence, now)
        document = sign_attestation_result(result, self.key, self._credential)
        lease = lease_of(result, subject, document, digest(delivery.payload))
        self._leases.grant(lease, sequence)
        self.board.count("attested")
        self.board.details["leases"] = len(self._leases)
        return [self._result(lease, now), attestation_result_issued(result)]

    # Leases

    def _renew(self, lease: Lease, now: float) -> Sequence[Event]:
        if now >= lease.expires:
            return [self._end(lease, "not renewed in time")]
        try:
            return self._challenge(lease.agent, "renewal", now)
        except UnexpectedError:
            # Somebody asks all the time: the agent has open challenges, and this lease comes up again.
            return []

    def _end_revoked(self, now: float) -> Sequence[Event]:
        events: list[Event] = []
        for lease, error in self._leases.revoked(self.trust.revocations):
            if now < lease.expires:
                events.append(self._cleared(lease.agent))
            events.append(self._end(lease, error.diagnostics))
        return events

    def _clear_if_revoked(self, agent: str, error: RemoteError, now: float) -> Sequence[Event]:
        """A crash may have kept the end of a lease from the broker. A lease that runs is not this evidence's to end."""
        revoked = error.reason is Reason.REVOKED and self._leases.live(agent, now) is None
        return [self._cleared(agent)] if revoked else []

    def _end(self, lease: Lease, why: str) -> Noted:
        self._leases.end(lease.agent)
        self.board.count("ended")
        self.board.details["leases"] = len(self._leases)
        return lease_ended(lease, why)

    # What is published

    def _result(self, lease: Lease, now: float) -> Publication:
        return Publication(
            topic=self.topics.result(lease.agent),
            payload=lease.document,
            retain=True,
            expiry=max(1, int(lease.expires - now)),
            content_type=str(Kind.ATTESTATION_RESULT),
        )

    def _cleared(self, agent: str) -> Publication:
        return Publication(self.topics.result(agent), b"", retain=True)

    def _refusal(self, error: SealedgeError, agent: str, correlation: bytes, now: float) -> Publication:
        retry_after = int(REFUSAL_SECONDS) if error.reason is Reason.BUSY else None
        address = Address(self.topics.inbox(Role.AGENT, agent), agent, correlation)
        refusal = refusal_of(error, now, retry_after)
        return Publication(
            topic=address.topic,
            payload=sign_message(Kind.REFUSAL, refusal, self.key, address, self._credential),
            expiry=self._policy.challenge_seconds,
            correlation=correlation or None,
        )

    def _revocation_list(self) -> Sequence[Publication]:
        document = self.trust.revocations.document
        return [] if document is None else [Publication(self.topics.revocations, document, retain=True)]

    def _agent_untrusted(self, topic: str) -> str | None:
        """The agent on whose attest or evidence topic this is. The name is well formed, and no more than that."""
        try:
            agent = _NAME.validate_python(self.topics.owner(topic))
        except ValidationError:
            return None
        return agent if topic in {self.topics.attest(agent), self.topics.evidence(agent)} else None
