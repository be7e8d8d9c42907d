"""The agent: the courier between the bus and the enclave. It holds no key and no plaintext.

Everything it forwards is ciphertext or signed; everything it could do wrong, the network could do as well. Besides
forwarding it lets the TEE sign, fetches chunks, bounds what comes in, and starts a crashed enclave anew.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

from broker.topic_filter import matches
from edge_agent.attester.interface import Attester
from edge_agent.enclave.boundary import HostedEnclave
from edge_agent.enclave.exchange import MAX_DELIVERIES
from edge_agent.enclave.needs import (
    ChunksNeeded,
    EvidenceNeeded,
    ModelSealed,
    SealedModelEnded,
    SealedModelNeeded,
)
from edge_agent.enclave_client import EnclaveCrashedError
from edge_agent.fetching import ChunkFetcher, Fetched
from edge_agent.model_cache import ModelCache
from edge_agent.restarting import Restarts
from protocol.errors import RemoteError, SealedgeError, StoreError
from protocol.party import Delivery, Event, Noted, Publication, Subscription

MAX_PAYLOAD: Final = 2**24 + 2**16
"""Bytes of a delivery: the largest payload of a session, in its envelope."""

BATCH_BYTES: Final = 2**23
"""Bytes of deliveries that are handed to the enclave together; a larger one goes alone."""

MAX_NEEDS: Final = 64
"""How many needs one delivery may bring about, one after the other, before the enclave counts as gone mad."""

Call = Callable[[HostedEnclave], Sequence[Event]]


class Agent:
    """A party that forwards to its enclave. Not a `Desk`: the enclave signs the agent's status and refusals."""

    def __init__(
        self,
        start: Callable[[], HostedEnclave],
        attester: Attester,
        fetcher: ChunkFetcher,
        notes: Sequence[Noted] = (),
        models: ModelCache | None = None,
    ) -> None:
        """Start the enclave with `start`, now and after every crash. Raises what `start` raises, the first time.

        `notes` tell what happened before, once there is somebody to tell. Without `models`, nothing that the enclave
        seals is kept.
        """
        self._start, self._attester, self._fetcher, self._models = start, attester, fetcher, models
        self._enclave: HostedEnclave | None = start()
        self._client_id = self._enclave.client_id
        self._restarts = Restarts()
        self._filters: dict[str, Subscription] = {}
        self._waiting: list[Event] = [*notes]
        self.dropped: Counter[str] = Counter()
        """Deliveries that never reached the enclave, by reason."""

    @property
    def client_id(self) -> str:
        """The enclave's: the same after a crash."""
        return self._client_id

    @property
    def deadline(self) -> float | None:
        """The earliest of the enclave's, the fetches' and the next restart's."""
        running = self._restarts.due_at if self._enclave is None else self._enclave.deadline
        return min((each for each in (running, self._fetcher.deadline) if each is not None), default=None)

    def will(self, now: float) -> Publication | None:
        """The enclave's will. None while there is no enclave to sign one."""
        for _ in range(2):
            if self._enclave is None and self._restarts.is_due(now):
                self._waiting += self._revive(now)
            if self._enclave is None:
                return None
            try:
                return self._enclave.will(now)
            except EnclaveCrashedError as error:
                # Not `_crashed`: its restart would say that it is connected before it is.
                self._waiting += self._lost(str(error), now)
            except SealedgeError as error:
                self._waiting += self._failed(error, now)
                return None
        return None

    def connected(self, now: float) -> Sequence[Event]:
        """What waited, then what the enclave says on connecting."""
        waiting, self._waiting = self._waiting, []
        return [*waiting, *self._ask(lambda enclave: enclave.connected(now), now)]

    def receive(self, delivery: Delivery, now: float) -> Sequence[Event]:
        """Take a chunk, or forward what the enclave subscribed to; drop and count the rest."""
        return self.receive_many((delivery,), now)

    def receive_many(self, deliveries: Sequence[Delivery], now: float) -> Sequence[Event]:
        """Take what waits; what the enclave subscribed to is handed to it at once, so that it can choose an order."""
        events: list[Event] = []
        forwarded: list[Delivery] = []
        for delivery in deliveries:
            if self._fetcher.expects(delivery.topic) and len(delivery.payload) <= MAX_PAYLOAD:
                events += self._receive_chunk(delivery, now)
            elif (why := self._unwanted(delivery)) is not None:
                events += self._drop(why, delivery)
            else:
                forwarded.append(delivery)
        for batch in _batches(forwarded):
            events += self._ask(partial(_receive_many, deliveries=batch, now=now), now)
        return events

    def _unwanted(self, delivery: Delivery) -> str | None:
        if len(delivery.payload) > MAX_PAYLOAD:
            return "oversized"
        if not self._is_expected(delivery.topic):
            return "unexpected"
        return "no-enclave" if self._enclave is None else None

    def expire(self, now: float) -> Sequence[Event]:
        """Restart what crashed, ask again for chunks that do not come, and let the enclave do what is due."""
        if self._enclave is None:
            return self._restart(now) if self._restarts.is_due(now) else []
        silent = self._fetcher.expire(now)
        due = self._enclave.deadline
        if due is None or now < due:
            return silent
        return [*silent, *self._ask(lambda enclave: enclave.expire(now), now)]

    def leaving(self, now: float) -> Sequence[Event]:
        """The enclave's orderly death."""
        return self._ask(lambda enclave: enclave.leaving(now), now)

    # What the enclave wants

    def _ask(self, call: Call, now: float) -> list[Event]:
        return self._do(deque([call]), now)

    def _do(self, calls: deque[Call], now: float) -> list[Event]:
        """Call the enclave and do what it needs, which may need more. Never raises for what the enclave does."""
        events: list[Event] = []
        for _ in range(MAX_NEEDS):
            if not calls or self._enclave is None:
                return events
            try:
                answer = calls.popleft()(self._enclave)
            except SealedgeError as error:
                return [*events, *self._failed(error, now)]
            for event in answer:
                self._perform(event, now, events, calls)
        return [*events, *self._crashed("the enclave never stops needing something", now)]

    def _perform(self, event: Event, now: float, events: list[Event], calls: deque[Call]) -> None:
        if isinstance(event, EvidenceNeeded):
            self._collect_evidence(event, now, events, calls)
        elif isinstance(event, ChunksNeeded):
            events += self._fetcher.begin(event, now)
            self._hand_in_chunks(now, events, calls)
        elif isinstance(event, SealedModelNeeded | ModelSealed | SealedModelEnded):
            self._keep(event, now, events, calls)
        else:
            if isinstance(event, Subscription):
                self._remember(event)
            events.append(event)

    def _collect_evidence(self, need: EvidenceNeeded, now: float, events: list[Event], calls: deque[Call]) -> None:
        """A TEE that fails is noted; the enclave asks the verifier again in its own time."""
        try:
            evidence = self._attester.collect(need.report_data)
        except SealedgeError as error:
            events.append(Noted("attester-failed", {"attester": self._attester.name, "why": error.diagnostics}))
            return
        media_type = self._attester.media_type
        calls.append(lambda enclave: enclave.evidence_collected(need.token, media_type, evidence, now))

    def _keep(self, event: Event, now: float, events: list[Event], calls: deque[Call]) -> None:
        """What cannot be kept or read is noted, and costs the enclave a question to the publisher."""
        lease, code = b"", b""
        if self._models is not None:
            try:
                lease, code = self._models.answer(event)
            except StoreError as error:
                events.append(Noted("model-not-kept", {"why": error.diagnostics}))
        if isinstance(event, SealedModelNeeded):
            model = event.model
            calls.append(lambda enclave: enclave.sealed_model_read(model, lease, code, now))

    def _hand_in_chunks(self, now: float, events: list[Event], calls: deque[Call]) -> None:
        """Also of fetches that failed: without its chunks the enclave refuses, and asks again later."""
        more, fetched = self._fetcher.finish(now)
        events += more
        calls.extend(partial(_chunks_collected, fetched=each, now=now) for each in fetched)

    def _receive_chunk(self, delivery: Delivery, now: float) -> list[Event]:
        try:
            events = self._fetcher.receive_untrusted(delivery, now)
        except RemoteError as error:
            return self._drop(error.reason.value, delivery)
        calls: deque[Call] = deque()
        self._hand_in_chunks(now, events, calls)
        return [*events, *self._do(calls, now)]

    # When it crashes

    def _failed(self, error: SealedgeError, now: float) -> list[Event]:
        if isinstance(error, EnclaveCrashedError):
            return self._crashed(str(error), now)
        return [Noted("enclave-refused", {"why": error.diagnostics})]

    def _crashed(self, why: str, now: float) -> list[Event]:
        lost = self._lost(why, now)
        return [*lost, *self._restart(now)] if self._restarts.is_due(now) else lost

    def _lost(self, why: str, now: float) -> list[Event]:
        """Whatever the enclave was about to do is gone with its keys: its peers ask again, or time out."""
        self._enclave = None
        self._restarts.crashed(now)
        return [Noted("enclave-crashed", {"why": why, "restart_at": self._restarts.due_at}), *self._fetcher.end_all()]

    def _restart(self, now: float) -> list[Event]:
        """Start an enclave and let it come online: new keys, a new birth, a new attestation.

        The broker keeps the old enclave's will until the next connect; the new one's is asked for, so that its
        birth counts on from there.
        """
        started = self._revive(now)
        if self._enclave is None:
            return started
        self.will(now)
        return [*started, *self.connected(now)]

    def _revive(self, now: float) -> list[Event]:
        try:
            self._enclave = self._start()
        except SealedgeError as error:
            self._restarts.crashed(now)
            return [Noted("enclave-not-started", {"why": error.diagnostics, "restart_at": self._restarts.due_at})]
        self._restarts.started(now)
        return [Noted("enclave-restarted", {"client": self._enclave.client_id})]

    # Bounds

    def _remember(self, subscription: Subscription) -> None:
        if subscription.wanted:
            self._filters[subscription.topic_filter] = subscription
        else:
            self._filters.pop(subscription.topic_filter, None)

    def _is_expected(self, topic: str) -> bool:
        return topic in self._filters or any(matches(each, topic) for each in self._filters)

    def _drop(self, why: str, delivery: Delivery) -> list[Event]:
        self.dropped[why] += 1
        size, count = len(delivery.payload), self.dropped[why]
        return [Noted("dropped", {"why": why, "topic": delivery.topic[:256], "bytes": size, "count": count})]


def _receive_many(enclave: HostedEnclave, deliveries: Sequence[Delivery], now: float) -> Sequence[Event]:
    return enclave.receive_many(deliveries, now)


def _batches(deliveries: Sequence[Delivery]) -> Iterator[list[Delivery]]:
    """In their order, as the boundary carries them."""
    batch: list[Delivery] = []
    size = 0
    for delivery in deliveries:
        if batch and (len(batch) == MAX_DELIVERIES or size + len(delivery.payload) > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(delivery)
        size += len(delivery.payload)
    if batch:
        yield batch


def _chunks_collected(enclave: HostedEnclave, fetched: Fetched, now: float) -> Sequence[Event]:
    return enclave.chunks_collected(fetched.model, fetched.payloads, now)
