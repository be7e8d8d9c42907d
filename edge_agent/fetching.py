"""Fetching the chunks of a model from their retained topics: only what the cache lacks, so many at a time.

wanted ─subscribe─> asked ─arrives─> cached, unsubscribed ─all there─> fetched

A retained message comes once for each subscription, so a topic that stays silent is subscribed to again.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from edge_agent.chunks import ChunkCache
from edge_agent.enclave.needs import ChunksNeeded
from protocol.errors import StoreError
from protocol.party import Delivery, Event, Noted, Subscription
from schemas.topics import FleetTopics

WINDOW: Final = 32
"""Chunks of one model asked for and not yet here: what the broker may have on its way at once."""

SILENT_SECONDS: Final = 30.0
MAX_ROUNDS: Final = 3
"""How often chunks that were written and cannot be read again are fetched anew."""


@dataclass(slots=True)
class _Fetch:
    digests: tuple[bytes, ...]
    wanted: deque[bytes]
    silent_at: float
    asked: set[bytes] = field(default_factory=set)
    rounds: int = 1


@dataclass(frozen=True, slots=True)
class Fetched:
    """A fetch that is over: the payloads in the order of its digests, or none at all where it failed."""

    model: str
    payloads: tuple[bytes, ...] = field(default=(), repr=False)


class ChunkFetcher:
    """At most one fetch a model; a newer one replaces it."""

    def __init__(self, topics: FleetTopics, cache: ChunkCache) -> None:
        self._topics, self._cache = topics, cache
        self._fetches: dict[str, _Fetch] = {}
        self._expected: dict[str, tuple[str, bytes]] = {}
        self._failed: list[str] = []

    @property
    def deadline(self) -> float | None:
        """When the next fetch has been silent for too long."""
        return min((each.silent_at for each in self._fetches.values()), default=None)

    def expects(self, topic: str) -> bool:
        """Whether a chunk is awaited on this topic."""
        return topic in self._expected

    def begin(self, need: ChunksNeeded, now: float) -> list[Event]:
        """Subscribe to what is missing. What the cache holds already is ready at once."""
        ended = self.end(need.model)
        missing = self._cache.missing(need.digests)
        self._fetches[need.model] = _Fetch(need.digests, deque(missing), now + SILENT_SECONDS)
        needed = Noted("chunks-needed", {"model": need.model, "chunks": len(need.digests), "missing": len(missing)})
        return [*ended, needed, *self._ask(need.model)]

    def end(self, model: str) -> list[Event]:
        """Give a fetch up and unsubscribe. What has arrived stays in the cache."""
        fetch = self._fetches.pop(model, None)
        return [] if fetch is None else [self._unsubscribe(model, name) for name in fetch.asked]

    def end_all(self) -> list[Event]:
        """Give every fetch up."""
        return [event for model in tuple(self._fetches) for event in self.end(model)]

    def receive_untrusted(self, delivery: Delivery, now: float) -> list[Event]:
        """Take a chunk that is expected. Afterwards the cache holds exactly the bytes that its digest names.

        Raises `RemoteError` for other bytes: the right ones may still come. A cache that cannot take it ends the
        fetch, as failed.
        """
        model, name = self._expected[delivery.topic]
        fetch = self._fetches[model]
        try:
            self._cache.write_untrusted(name, delivery.payload, fetch.digests)
        except StoreError as error:
            return self._fail(model, str(error))
        fetch.asked.discard(name)
        fetch.silent_at = now + SILENT_SECONDS
        return [self._unsubscribe(model, name), *self._ask(model)]

    def finish(self, now: float) -> tuple[list[Event], list[Fetched]]:
        """Every fetch that is over. A chunk that went bad on the disk is fetched again instead."""
        fetched: list[Fetched] = []
        events: list[Event] = []
        for model in [model for model, each in self._fetches.items() if not each.asked and not each.wanted]:
            read = self._read(model, now, events)
            if read is not None:
                fetched.append(read)
        failed, self._failed = self._failed, []
        return events, [*fetched, *map(Fetched, failed)]

    def expire(self, now: float) -> list[Event]:
        """Subscribe again to what has been silent for too long, and say so."""
        events: list[Event] = []
        for model, fetch in self._fetches.items():
            if now >= fetch.silent_at:
                fetch.silent_at = now + SILENT_SECONDS
                missing = len(fetch.asked) + len(fetch.wanted)
                events.append(Noted("chunks-silent", {"model": model, "missing": missing}))
                events += [Subscription(self._topics.chunk(model, name)) for name in fetch.asked]
        return events

    def _ask(self, model: str) -> list[Event]:
        fetch = self._fetches[model]
        events: list[Event] = []
        while fetch.wanted and len(fetch.asked) < WINDOW:
            name = fetch.wanted.popleft()
            topic = self._topics.chunk(model, name)
            fetch.asked.add(name)
            self._expected[topic] = (model, name)
            events.append(Subscription(topic))
        return events

    def _unsubscribe(self, model: str, name: bytes) -> Event:
        topic = self._topics.chunk(model, name)
        del self._expected[topic]
        return Subscription(topic, wanted=False)

    def _read(self, model: str, now: float, events: list[Event]) -> Fetched | None:
        fetch = self._fetches[model]
        try:
            payloads = tuple(each for name in fetch.digests if (each := self._cache.read(name)) is not None)
        except StoreError as error:
            events += self._fail(model, str(error))
            return None
        if len(payloads) == len(fetch.digests):
            del self._fetches[model]
            return Fetched(model, payloads)
        missing = self._cache.missing(fetch.digests)
        fetch.wanted.extend(missing)
        events.append(Noted("chunks-lost", {"model": model, "missing": len(missing)}))
        fetch.rounds, fetch.silent_at = fetch.rounds + 1, now + SILENT_SECONDS
        events += self._ask(model) if fetch.rounds <= MAX_ROUNDS else self._fail(model, "the cache loses chunks")
        return None

    def _fail(self, model: str, why: str) -> list[Event]:
        self._failed.append(model)
        return [*self.end(model), Noted("chunks-failed", {"model": model, "why": why})]
