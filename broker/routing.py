"""The server's half of the in-memory broker: who is sent what (MQTT 5 §3.3, §3.8, §4.7, §4.8)."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from random import Random

from broker.faults import FAULTLESS, Faults
from broker.retained import Retained
from broker.schedule import Schedule
from broker.session import Session, Waiting, delivery_of
from broker.topic_filter import is_valid_filter, is_valid_topic, shared
from protocol.errors import ProtocolMisuseError
from protocol.party import Publication, Subscription

Tap = Callable[[str | None, Publication], None]
"""Is shown every publication, with the client identifier that sent it (None: an outsider)."""

Intercept = Callable[[Publication], Iterable[Publication]]
"""Says what the broker spreads instead of a publication: nothing, itself, another, or several."""


class Routing:
    """Sessions, subscriptions, retained messages, and the faults between them.

    `seen` holds every publication as it was sent, before `intercept`. All attributes may be changed at any time.
    """

    def __init__(self, seed: int, now: float) -> None:
        self.now = now
        self.faults: Faults = FAULTLESS
        self.intercept: Intercept | None = None
        self.tap: Tap | None = None
        self.retained = Retained()
        self.seen: list[Publication] = []
        self._random = Random(seed)  # noqa: S311 - reproducible on purpose: a simulation, not a secret
        self._sessions: dict[str, Session] = {}
        self._schedule = Schedule()

    def publish(self, publication: Publication) -> None:
        """Publish as an outsider would: somebody with access to the broker who is no party."""
        self._accept(None, publication)

    def replay(self, publications: Iterable[Publication], *, retained: bool = False) -> None:
        """Spread old publications again to whoever subscribes to their topics, flagged `retained` or not."""
        for publication in publications:
            self._spread(publication, retained=retained)

    def runs(self, client_id: str) -> bool:
        """Whether a party was started under this client identifier and has not ended since."""
        session = self._sessions.get(client_id)
        return session is not None and session.party is not None

    def subscriptions(self, client_id: str) -> dict[str, int]:
        """The topic filters that a client is subscribed to, each with its QoS."""
        return dict(self._sessions[client_id].subscriptions)

    def forget(self) -> None:
        """Start anew as a broker without a disk: no session, no retained message and no will outlives it.

        Parties that run are offline until they connect again, and then have to subscribe again.
        """
        self.retained = Retained()
        for session in self._sessions.values():
            session.online, session.will = False, None
            session.inbox.clear()
            session.subscriptions.clear()

    def _accept(self, sender: str | None, publication: Publication) -> None:
        """Take one publication: show it, let it be changed, retain it, spread it.

        Raises:
            ProtocolMisuseError: its topic is no topic name; a real broker would end the connection.
        """
        if not is_valid_topic(publication.topic):
            raise ProtocolMisuseError(f"{publication.topic!r} is no topic name to publish to")
        self.seen.append(publication)
        if self.tap is not None:
            self.tap(sender, publication)
        for changed in (publication,) if self.intercept is None else self.intercept(publication):
            if changed.retain:
                self.retained.keep(changed, self.now)
            self._spread(changed, retained=False)

    def _spread(self, publication: Publication, *, retained: bool) -> None:
        for session, granted in self._recipients(publication.topic):
            self._send(session, publication, granted, retained=retained)

    def _recipients(self, topic: str) -> Iterator[tuple[Session, int]]:
        """Each session once for its plain subscriptions, and one member of each shared one."""
        members: dict[str, list[tuple[Session, int]]] = {}
        for session in self._sessions.values():
            granted = session.granted(topic)
            if granted is not None:
                yield session, granted
            for topic_filter, qos in session.shares(topic):
                members.setdefault(topic_filter, []).append((session, qos))
        for group in members.values():
            yield self._random.choice([member for member in group if member[0].online] or group)

    def _send(self, session: Session, publication: Publication, granted: int, *, retained: bool) -> None:
        """Put one delivery into one inbox, the faults willing."""
        qos = min(publication.qos, granted)
        if qos == 0 and not session.online:
            return
        expires_at = None if publication.expiry is None else self.now + publication.expiry
        waiting = Waiting(delivery_of(publication, retained=retained), qos, expires_at)
        for _ in range(self.faults.copies(self._random)):
            held = self.faults.holding(self._random)
            if held:
                self._schedule.add(self.now + held, partial(self._enqueue, session, waiting))
            else:
                self._enqueue(session, waiting)

    def _enqueue(self, session: Session, waiting: Waiting) -> None:
        session.inbox.insert(self.faults.place(self._random, len(session.inbox)), waiting)

    def _subscribe(self, session: Session, subscription: Subscription) -> None:
        """Begin or end a subscription; a new or repeated one is sent what is retained (MQTT 5 §3.8.4).

        Raises:
            ProtocolMisuseError: the topic filter is not legal; a real broker would end the connection.
        """
        if not is_valid_filter(subscription.topic_filter):
            raise ProtocolMisuseError(f"{subscription.topic_filter!r} is no topic filter")
        if not subscription.wanted:
            session.subscriptions.pop(subscription.topic_filter, None)
            return
        session.subscriptions[subscription.topic_filter] = subscription.qos
        name, plain = shared(subscription.topic_filter)
        if name is None:
            for publication in self.retained.matching(plain, self.now):
                self._send(session, publication, subscription.qos, retained=True)
