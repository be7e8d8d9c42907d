"""The sensor: readings in, verified results out, nothing lost in silence (P12).

    request ─> outbox ─> session with an attested enclave ─> reply ─> verified ─> Answered
                                                                └──> RequestRefused, TimedOut

Every request ends in exactly one of these events. It leaves the outbox one step after that event was handed to
the runner: a crash in between tells its end again, and loses nothing.
"""

import math
from collections.abc import Sequence

from protocol.desk import Desk
from protocol.errors import ProtocolMisuseError, RemoteError, UnexpectedError
from protocol.keys import SigningKey
from protocol.manifests import ManifestBook
from protocol.party import Delivery, Event, Noted, Randomness, Store, Subscription
from protocol.trust import Trust
from schemas.kinds import Role, Tier
from schemas.model import Manifest
from schemas.reason import Reason
from sealedge.client.agents import Agents
from sealedge.client.dispatch import Dispatch
from sealedge.client.events import Answered, RequestRefused, TimedOut
from sealedge.client.outbox import Entry, Outbox
from sealedge.client.pace import Pace
from sealedge.client.replies import Replies
from sealedge.client.results import ResultCheck
from sealedge.client.session import SessionOpener, SessionTerms
from sealedge.client.sessions import Sessions
from sealedge.client.versions import ModelVersions


class SensorParty(Desk):
    """A sensor of one model. `request` takes a reading; the events say how it ended.

    `agent` names the only agent to be asked, None takes any that is attested for the model on one of `tiers`.
    `recipients` are credentials of consumers, whose results go to `deliver_to`. Times in seconds; `pad_to` in bytes.

    Raises:
        ProtocolMisuseError: settings that contradict each other.
        StoreError: the store fails.
    """

    role = Role.SENSOR

    def __init__(
        self,
        trust: Trust,
        name: str,
        key: SigningKey,
        credential: bytes,
        model: str,
        store: Store,
        randomness: Randomness,
        *,
        tiers: tuple[Tier, ...],
        agent: str | None = None,
        recipients: tuple[bytes, ...] = (),
        deliver_to: str | None = None,
        return_result: bool = True,
        request_seconds: float = 60.0,
        session_seconds: int = 3600,
        in_flight: int = 32,
        retry_seconds: float = 5.0,
        pad_to: int = 0,
        one_shot: bool = False,
        minimum_version: int = 0,
    ) -> None:
        super().__init__(trust, name, key)
        self._terms = SessionTerms(model, tiers, recipients, deliver_to, return_result, session_seconds)
        self._randomness, self._request_seconds = randomness, request_seconds
        self._outbox = Outbox(store, model)
        versions = ModelVersions(store)
        self._manifests = ManifestBook(trust, store)
        self._agents = Agents(trust, store, model, tiers, agent, name)
        self._check = ResultCheck(trust, tiers, "sensor.tiers")
        opener = SessionOpener(trust, name, key, credential, self._terms, randomness)
        pace = Pace(in_flight, retry_seconds, pad_to, one_shot)
        self._sessions = Sessions(trust, opener, self._agents, pace)
        self._dispatch = Dispatch(trust, name, self._sessions, self._agents, self._outbox, pace)
        self._sessions.minimum_version = max(minimum_version, versions.highest(model))
        self._replies = Replies(
            name,
            key.public,
            self._terms,
            self._sessions,
            self._dispatch,
            self._outbox,
            self._agents,
            self._manifests,
            self._check,
            versions,
            self.board,
            retry_seconds,
        )
        self._told: list[bytes] = []
        self._told_at: float | None = None
        self._only = agent
        topics = self.topics
        self._inbox_topic, self._manifest_topic = topics.inbox(Role.SENSOR, name), topics.manifest(model)

    # What the program asks

    def request(
        self, reading: bytes, now: float, request_id: bytes | None = None, seconds: float | None = None
    ) -> tuple[bytes, Sequence[Event]]:
        """Accept a reading: it is in the outbox when this returns. Returns its request id and what to publish.

        A `request_id` (16 bytes) that is pending already changes nothing: it is the idempotency key. The request
        ends after `seconds` at the latest.

        Raises:
            OutboxFullError: too many requests are pending.
            ProtocolMisuseError: the reading is too large, or the request id is not one or is of another reading.
            StoreError: the store fails; the reading was not accepted.
        """
        self._forget_told()
        request = self._randomness(16) if request_id is None else request_id
        lasting = self._request_seconds if seconds is None else seconds
        if len(request) != 16 or not lasting > 0:
            raise ProtocolMisuseError("a request id has 16 bytes, and a request some seconds of time")
        if not self._outbox.add(Entry(request, reading, int(now), math.ceil(now + lasting))):
            return request, []
        self.board.count("requests")
        self._dispatch.enqueue(request)
        return request, self._dispatch.pump(now)

    @property
    def pending(self) -> tuple[bytes, ...]:
        """The requests that have not ended, in order."""
        return tuple(self._outbox)

    @property
    def manifest(self) -> Manifest | None:
        """The newest manifest of the model, verified; None while none has come."""
        return next((manifest for manifest, _ in self._manifests), None)

    # The party

    def receive(self, delivery: Delivery, now: float) -> Sequence[Event]:
        """Take one delivery."""
        self._forget_told()
        return super().receive(delivery, now)

    def _subscriptions(self) -> Sequence[Subscription]:
        agent = self._only or "+"
        topics = self.topics
        filters = (topics.result(agent), topics.status(Role.AGENT, agent), self._manifest_topic, self._inbox_topic)
        return [Subscription(each) for each in filters]

    def _connected(self, now: float) -> Sequence[Event]:
        self._forget_told()
        return self._dispatch.pump(now)

    def _handle(self, delivery: Delivery, now: float) -> Sequence[Event]:
        if delivery.topic == self._inbox_topic:
            return self._ended(self._replies.receive_untrusted(delivery, now), now)
        if delivery.topic == self._manifest_topic:
            return self._manifest(delivery, now)
        agent = self.topics.owner(delivery.topic)
        if agent is not None and delivery.topic == self.topics.result(agent):
            return self._attested(delivery, now)
        if agent is not None and delivery.topic == self.topics.status(Role.AGENT, agent):
            return self._presence(delivery, now)
        raise UnexpectedError("nothing is expected on this topic")

    def _deadline(self) -> float | None:
        due = (self._told_at, self._outbox.next_expiry, self._dispatch.deadline)
        return min((each for each in due if each is not None), default=None)

    def _due(self, now: float) -> Sequence[Event]:
        self._forget_told()
        return [*self._time_out(now), *self._dispatch.expire(now)]

    def _revoked(self, now: float) -> Sequence[Event]:
        self._check.forget()
        events: list[Event] = []
        for agent in {session.agent for session in self._sessions.all}:
            try:
                self._agents.live(agent, now)
            except RemoteError as error:
                events += self._dispatch.drop(self._sessions.of(agent), error.reason)
        return [*events, *self._dispatch.pump(now)]

    # Agents and manifests

    def _attested(self, delivery: Delivery, now: float) -> Sequence[Event]:
        passport = self._agents.accept_result_untrusted(delivery, now)
        if passport is None:
            return []
        events = self._dispatch.drop(self._sessions.before(passport), Reason.SESSION_UNKNOWN)
        return [*events, *self._dispatch.pump(now)]

    def _presence(self, delivery: Delivery, now: float) -> Sequence[Event]:
        gone = self._agents.accept_status_untrusted(delivery)
        events = [] if gone is None else self._dispatch.drop(self._sessions.of(gone), Reason.NOT_ATTESTED)
        return [*events, *self._dispatch.pump(now)]

    def _manifest(self, delivery: Delivery, now: float) -> Sequence[Event]:
        if not delivery.payload:
            return []
        manifest = self._manifests.accept_untrusted(delivery.payload, self._terms.model, now)
        if manifest is None:
            return []
        self._dispatch.one_by_one = manifest.state is not None
        return [Noted("manifest-accepted", {"model": manifest.model, "version": manifest.version})]

    # How requests end

    def _time_out(self, now: float) -> list[Event]:
        events: list[Event] = []
        for request in self._outbox.expired(now):
            entry = self._outbox.entry(request)
            because = self._sessions.obstacle or Reason.TIMEOUT
            events += self._dispatch.time_out(request, (entry.expires - entry.created) / 2, now)
            events.append(TimedOut(request, because))
        return self._ended(events, now)

    def _ended(self, events: list[Event], now: float) -> list[Event]:
        """Requests whose end stands in `events` are pending no more; they leave the disk when that was told."""
        for event in events:
            if isinstance(event, Answered | RequestRefused | TimedOut):
                self._outbox.withdraw(event.request)
                self._told.append(event.request)
                self._told_at = now
        return events

    def _forget_told(self) -> None:
        for request in self._told:
            self._outbox.remove(request)
        self._told, self._told_at = [], None
