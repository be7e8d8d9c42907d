"""The enclave: the only place where readings, results, models and keys are in the clear.

A state machine without I/O. Its host hands it deliveries and the time, and carries out what it returns; the host
is as untrusted as the network. Time is the host's word, so it only ever narrows what may be done: it never runs
backwards, nor behind what the verifier has signed.
"""

import re
from collections.abc import Callable, Sequence

from edge_agent.enclave.answers import Answer, AnswerBudget
from edge_agent.enclave.attesting import Attesting
from edge_agent.enclave.carrying import Carrying
from edge_agent.enclave.computing import Computing
from edge_agent.enclave.configuration import EnclaveConfiguration
from edge_agent.enclave.inference import refuse
from edge_agent.enclave.loading import Loader
from edge_agent.enclave.models import ModelShelf
from edge_agent.enclave.repeating import LastResults
from edge_agent.enclave.sealed_cache import SealedCache
from edge_agent.enclave.sessions import Session, SessionTable
from edge_agent.enclave.terms import accept, check_passport, check_terms, recipients_of
from edge_agent.enclave.volatile import VolatileStore
from edge_agent.enclave.waiting import Asked
from edge_agent.enclave.workers import Workers, one_by_one
from protocol.attestation import Passport
from protocol.cose import parse_encrypt0_untrusted, parse_sign1_untrusted
from protocol.desk import Desk
from protocol.envelope import Address, open_message_untrusted, open_sealed_untrusted, sign_message
from protocol.errors import AppraisalError, EnclaveError, Finding, FreshnessError, RemoteError, SealedgeError
from protocol.keys import VerifyingKey
from protocol.manifests import ManifestBook
from protocol.messages import decode_message_untrusted, digest
from protocol.party import Delivery, Event, Noted, Publication, Randomness, Subscription
from protocol.results import ResultSealer
from protocol.status import refusal_of
from protocol.trust import Identity, Trust
from schemas.kinds import Kind, Role
from schemas.reason import Reason
from schemas.session import InferenceRequest, SessionOpen
from schemas.status import Refusal

_NAME = re.compile("[a-z0-9-]{1,32}")
"""No wildcard among it: a topic with one is no topic to publish to (MQTT 5 §3.3.2.1)."""


class Enclave(Desk):
    """An enclave of one agent, holding one or more models for the sensors of one fleet."""

    role = Role.AGENT

    def __init__(
        self,
        configuration: EnclaveConfiguration,
        load: Loader,
        randomness: Randomness,
        engine: Callable[[], str],
        confinement: tuple[str, ...] = (),
        workers: Workers = one_by_one,
    ) -> None:
        """`engine` names what `load` compiles for: `engine_fingerprint`. `confinement` stands in the claims.

        `workers` run what `load` gives.
        """
        measured = configuration.measured
        store = VolatileStore()
        trust = Trust(measured.fleet, VerifyingKey.from_cose_key_untrusted(measured.authority), store)
        if configuration.revocations is not None:
            trust.revocations.accept_untrusted(configuration.revocations)
        self._attesting = Attesting(
            trust, configuration.agent, configuration.digest, configuration.enrolment, randomness, confinement
        )
        super().__init__(trust, configuration.agent, self._attesting.key)
        self._randomness, self._limits = randomness, measured.limits
        cache = None
        if configuration.sealing_key is not None:
            cache = SealedCache(configuration.sealing_key, self.name, configuration.digest, engine, randomness)
        self._models = ModelShelf(trust, self.name, self.key, ManifestBook(trust, store), load, randomness, cache)
        kept = self._limits.cached_replies
        self._answers = AnswerBudget(kept, self._limits.cached_reply_bytes)
        self._sessions = SessionTable(
            self._limits.sessions, self._limits.sessions_per_sender, self._answers, replaces=True
        )
        self._one_shots = SessionTable(4 * kept, kept, self._answers)
        carrying = Carrying(self._sessions)
        self._computing = Computing(trust, self._attesting, self._models, carrying, self.key, randomness, workers)
        self._last_results = LastResults()
        self._floor = 0.0
        topics = self.topics
        self._routes = {
            topics.request(self.name): self._request,
            topics.session(self.name): self._open_session,
            topics.challenge(self.name): self._challenge,
            topics.result(self.name): self._result,
            topics.inbox(Role.AGENT, self.name): self._inbox,
        }
        self._manifests = {topics.manifest(model): model for model in measured.models}

    # The party

    def receive(self, delivery: Delivery, now: float) -> Sequence[Event]:
        """Take one delivery, at a time that never runs backwards."""
        return self.receive_many((delivery,), now)

    def receive_many(self, deliveries: Sequence[Delivery], now: float) -> Sequence[Event]:
        """Take what came, in its order, then compute in the order that is fair between senders.

        What is not computed in this call is computed in the next `expire`, which is due at once.
        """
        now = self._time(now)
        events: list[Event] = []
        for delivery in deliveries:
            events += super().receive(delivery, now)
        return events + self._computed(now)

    def expire(self, now: float) -> Sequence[Event]:
        """Do what is due, at a time that never runs backwards."""
        now = self._time(now)
        return [*super().expire(now), *self._computed(now)]

    def evidence_collected(self, token: bytes, media_type: str, evidence: bytes, now: float) -> Sequence[Event]:
        """The host's answer to `EvidenceNeeded`."""
        now = self._time(now)
        try:
            return self._attesting.evidence_collected_untrusted(token, media_type, evidence)
        except RemoteError as error:
            return self._refuse(error, Delivery(self.topics.challenge(self.name), b""), now)

    def chunks_collected(self, model: str, payloads: Sequence[bytes], now: float) -> Sequence[Event]:
        """The host's answer to `ChunksNeeded`."""
        now = self._time(now)
        try:
            passport = self._attesting.live(now)
            events = self._models.chunks_collected_untrusted(model, payloads, now, passport)
        except (RemoteError, EnclaveError) as error:
            return self._refuse(error, Delivery(self.topics.manifest(model), b""), now)
        return [*events, *self._announced(now)] if events else []

    def sealed_model_read(self, model: str, lease: bytes, code: bytes, now: float) -> Sequence[Event]:
        """The host's answer to `SealedModelNeeded`."""
        now = self._time(now)
        held = self._models.loaded
        try:
            passport = self._attesting.live(now)
            events = self._models.sealed_model_read_untrusted(model, lease, code, passport, now)
        except RemoteError as error:
            return self._refuse(error, Delivery(self.topics.manifest(model), b""), now)
        return events if self._models.loaded == held else [*events, *self._announced(now)]

    def _announced(self, now: float) -> Sequence[Event]:
        """A model was loaded: shown in the status, and to the verifier. No state outlives what made it."""
        self._sessions.erase_carried(self._models.holds)
        self.board.details["models"] = ", ".join(f"{each.model}@{each.version}" for each in self._models.loaded)
        return [self._attesting.ask("model-loaded", now)]

    def _subscriptions(self) -> Sequence[Subscription]:
        return [Subscription(topic) for topic in (*self._routes, *self._manifests)]

    def _connected(self, now: float) -> Sequence[Event]:
        now = self._time(now)
        asked = [] if self._passport(now) is not None else [self._attesting.ask("birth", now)]
        return [*asked, *self._last_results.connected(now)]

    def _handle(self, delivery: Delivery, now: float) -> Sequence[Event]:
        route = self._routes.get(delivery.topic)
        if route is not None:
            return route(delivery, now)
        model = self._manifests.get(delivery.topic)
        if model is None:
            raise FreshnessError("nothing is expected on this topic", reason=Reason.UNEXPECTED)
        return self._models.accept_manifest_untrusted(delivery.payload, model, self._passport(now), now)

    def _deadline(self) -> float | None:
        attesting, said = self._attesting, self._last_results
        due = (self._computing.due(self._floor), attesting.ask_at, attesting.ends_at, self._models.deadline, said.due)
        return min((each for each in due if each is not None), default=None)

    def _due(self, now: float) -> Sequence[Event]:
        self._attesting.drop_ended(now)
        self._sessions.drop_ended(now)
        self._one_shots.drop_ended(now)
        passport = self._passport(now)
        if passport is None:
            self._erase_all()
        events: list[Event] = []
        ask_at = self._attesting.ask_at
        if (ask_at is None and passport is None) or (ask_at is not None and now >= ask_at):
            events.append(self._attesting.ask("lease-ended" if passport is None else "again", now))
        events += self._models.expire(passport, now)
        self._sessions.erase_carried(self._models.holds)
        return [*events, *self._last_results.expire(now)]

    def _revoked(self, now: float) -> Sequence[Event]:
        events = self._models.erase_revoked()
        erased = self._sessions.erase_revoked(self.trust) + self._one_shots.erase_revoked(self.trust)
        if erased:
            events.append(Noted("sessions-erased", {"count": erased}))
        if erased or self._passport(now) is None:
            self._last_results.forget()
        if self._passport(now) is None:
            events += self._models.erase_all("revoked")
            self._erase_all()
        self._sessions.erase_carried(self._models.holds)
        return events

    # Attestation and models

    def _challenge(self, delivery: Delivery, now: float) -> Sequence[Event]:
        return self._attesting.challenged(delivery, self._models.loaded, now)

    def _result(self, delivery: Delivery, now: float) -> Sequence[Event]:
        passport = self._attesting.accept_result_untrusted(delivery.payload, now)
        if passport is None:
            return []
        self._floor = max(self._floor, float(passport.result.issued))
        result = passport.result
        self.board.details.update(tier=result.tier, attested_until=result.expires)
        self.board.count("attested")
        seconds = int(result.expires - now)
        attested = Noted(
            "attested",
            {"agent": self.name, "tier": result.tier, "lease_seconds": seconds, "models": len(result.models)},
        )
        # The answer to a challenge from before a model was loaded: clients would not know of it until half the lease.
        again = [] if result.models == self._models.loaded else [self._attesting.ask("model-loaded", now)]
        return [attested, *self._models.ask(passport, now), *again]

    def _inbox(self, delivery: Delivery, now: float) -> Sequence[Event]:
        message = parse_sign1_untrusted(delivery.payload)
        if message.typ == Kind.KEY_RELEASE:
            keys, passport = self._attesting.kem_keys(now), self._passport(now)
            return self._models.accept_grant_untrusted(delivery, keys, now, passport)
        signer = self.trust.identify_untrusted(message.credential or b"", now, Role.PUBLISHER, Role.VERIFIER)
        address = Address(delivery.topic, self.name, delivery.correlation or b"")
        refusal = open_message_untrusted(Refusal, delivery.payload, Kind.REFUSAL, signer.key, address)
        self._models.refused(delivery.correlation, signer.name, now)
        if signer.role is Role.VERIFIER and refusal.retry_after is not None:
            self._attesting.busy(refusal.retry_after, now)
        return [Noted("refused-by", {"by": signer.name, **refusal.model_dump(exclude_none=True, mode="json")})]

    # Sessions

    def _open_session(self, delivery: Delivery, now: float) -> Sequence[Event]:
        message = parse_sign1_untrusted(delivery.payload)
        kind = Kind.ONE_SHOT if message.typ == Kind.ONE_SHOT else Kind.SESSION_OPEN
        sender = self.trust.identify_untrusted(message.credential or b"", now, Role.SENSOR)
        address = Address(delivery.topic, self.name, delivery.correlation or b"")
        keys = self._attesting.kem_keys(now)
        terms = open_sealed_untrusted(SessionOpen, delivery.payload, kind, sender.key, keys, address)
        known = self._table(kind).known(terms.session)
        if known is not None:
            return self._repeat(known, delivery)
        check_terms(terms, sender, delivery.correlation, self.trust, now)
        session = self._admit(delivery.payload, terms, sender, kind, now)
        if kind is Kind.ONE_SHOT and terms.request is not None:
            self._computing.waiting.add(Asked(session, terms.request, 0))
            return []
        return [Noted("session-opened", {"sender": sender.name, "model": terms.model}), *self._accepted(session, now)]

    def _admit(self, opening: bytes, terms: SessionOpen, sender: Identity, kind: Kind, now: float) -> Session:
        if (kind is Kind.ONE_SHOT) != (terms.request is not None):
            raise FreshnessError("a request belongs in a one-shot, and only there", reason=Reason.UNEXPECTED)
        self.trust.revocations.check_live(now)
        passport = self._attesting.live(now)
        check_passport(terms, passport, self._attesting.is_current(terms.attestation_result, now))
        running = self._models.running(terms.model, now)
        if running.manifest.version < terms.minimum_version:
            raise FreshnessError(
                "an older version of the model than asked for",
                reason=Reason.STALE,
                finding=Finding("model.version", f">= {terms.minimum_version}", str(running.manifest.version)),
            )
        recipients = recipients_of(terms, self.trust, now)
        sealer = None
        if recipients:
            keys = [each.sealing_key for each in recipients]
            sealer = ResultSealer(self.trust.fleet, terms.session, keys, self._randomness(32))
        if terms.request is not None:
            # Before the session is known: a busy enclave takes the same opening later.
            self._computing.waiting.check_room(sender.name, len(terms.request.input))
        session = Session.opened(opening, terms, sender, recipients, sealer)
        self._table(kind).add(session, now)
        self.board.details["sessions"] = len(self._sessions)
        return session

    def _accepted(self, session: Session, now: float) -> Sequence[Event]:
        running = self._models.running(session.model, now)
        passport = self._attesting.live(now)
        session.accept = accept(session, running.manifest.version, running.manifest_digest, passport)
        return [session.accept]

    def _repeat(self, session: Session, delivery: Delivery) -> Sequence[Event]:
        """The same opening again: the same bytes. Another one under a known session id: refused."""
        if session.opening != digest(delivery.payload):
            raise FreshnessError("this session id is in use", reason=Reason.REPLAYED)
        self.board.count("repeated")
        if session.accept is not None:
            return [session.accept]
        answer = session.answers.find(delivery.correlation or b"")
        if answer is None and self._computing.waiting.holds(session.terms.session, delivery.correlation or b""):
            return []
        if answer is None:
            raise FreshnessError("this request was refused before", reason=Reason.REPLAYED)
        return answer

    # Requests

    def _request(self, delivery: Delivery, now: float) -> Sequence[Event]:
        message = parse_encrypt0_untrusted(delivery.payload)
        session = self._sessions.find(message.kid, now)
        correlation = delivery.correlation or b""
        plaintext = session.channel.open_untrusted(message, Kind.REQUEST, delivery.topic, self.name, correlation)
        try:
            request = decode_message_untrusted(InferenceRequest, plaintext)
            known = session.answers.find(request.request)
            if known is not None:
                self.board.count("repeated")
                session.window.mark(message.partial_iv)
                return known
            if self._computing.waiting.holds(message.kid, request.request):
                self.board.count("repeated")
                session.window.mark(message.partial_iv)
                return []
            session.window.accept(message.partial_iv)
            if request.request != correlation:
                raise AppraisalError("the correlation data is not the request's", reason=Reason.MISADDRESSED)
            self._computing.waiting.add(Asked(session, request, message.partial_iv))
        except RemoteError as error:
            return self._refuse_inside(session, error, delivery, now)
        return []

    def _computed(self, now: float) -> list[Event]:
        """What the requests come to whose turn it was. What the module did wrong is remembered like a result."""
        events: list[Event] = []
        for asked, end in self._computing.turn(now):
            if isinstance(end, tuple):
                self._remember(asked, end)
                self._last_results.add(end, asked.session.terms.reply_to, now)
                self.board.count("answered")
                events += end
            else:
                events += self._unanswered(asked, end, now)
        return events

    def _unanswered(self, asked: Asked, error: RemoteError | EnclaveError, now: float) -> Sequence[Event]:
        request, session = asked.request.request, asked.session
        delivery = Delivery(self.topics.request(self.name), b"", session.terms.reply_to, request)
        if session.is_over:
            return self._refuse(error, delivery, now)
        events = self._refuse_inside(session, error, delivery, now)
        if isinstance(error, EnclaveError):
            self._remember(asked, tuple(each for each in events if isinstance(each, Publication)))
        return events

    def _remember(self, asked: Asked, answer: Answer) -> None:
        self._answers.remember(asked.session.answers, asked.request.request, answer)

    def _refuse_inside(
        self, session: Session, error: RemoteError | EnclaveError, delivery: Delivery, now: float
    ) -> Sequence[Event]:
        """The sensor is told all; everybody else the reason alone: what was found may follow from the reading (P1)."""
        claim = "" if error.finding is None else error.finding.claim
        shown = EnclaveError("a request inside a session", reason=error.reason, finding=Finding(claim))
        noted = [event for event in self._refuse(shown, delivery, now) if isinstance(event, Noted)]
        return [*noted, refuse(session, error, delivery.correlation or b"", now)]

    def _refusal_reply(self, error: SealedgeError, delivery: Delivery, now: float) -> Sequence[Event]:
        """A refusal in the clear for a sensor whose session is not known here: signed, so that it can be believed."""
        reply_to = delivery.response_topic
        sensor = None if reply_to is None else self.topics.owner(reply_to)
        if reply_to is None or sensor is None or _NAME.fullmatch(sensor) is None:
            return []
        if reply_to != self.topics.inbox(Role.SENSOR, sensor):
            return []
        correlation = (delivery.correlation or b"")[:64]
        address = Address(reply_to, "", correlation)
        payload = sign_message(Kind.REFUSAL, refusal_of(error, now), self.key, address)
        return [Publication(reply_to, payload, correlation=correlation, expiry=60)]

    def _table(self, kind: Kind) -> SessionTable:
        return self._one_shots if kind is Kind.ONE_SHOT else self._sessions

    def _erase_all(self) -> None:
        """Sessions, their answers, and the KEM keys that could open a recorded opening again."""
        self._attesting.erase()
        self._erase_sessions()

    def _erase_sessions(self) -> None:
        self._sessions.erase_all()
        self._one_shots.erase_all()

    def _passport(self, now: float) -> Passport | None:
        try:
            return self._attesting.live(now)
        except RemoteError:
            return None

    def _time(self, now: float) -> float:
        self._floor = max(self._floor, now)
        return self._floor
