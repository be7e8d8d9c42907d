"""Results that wait on disk, still sealed, for the manifest of their version: what a program reads them by.

A broker hands a session that was resumed what waited in it before what is retained, so the first results of a
consumer that comes back may come before the manifest. They wait for a bounded while, in bounded number and size, and
then go to the program all the same: an agent may lag behind the newest manifest, and a broker may withhold it.
"""

from collections.abc import Container
from contextlib import suppress
from dataclasses import dataclass

from protocol.cbor import CborValue, decode_untrusted, encode
from protocol.errors import MalformedError, StoreError
from protocol.party import Delivery, Store

BUCKET = "results-held"
LIMIT = 4096
LIMIT_BYTES = 16 * 2**20
WAIT_SECONDS = 10.0
"""How long the results of a version wait for their manifest, from the first of them on; after that, none waits."""

TOGETHER = 64
"""Results that are let go in one step."""


@dataclass(frozen=True, slots=True)
class _Held:
    model: str
    version: int
    delivery: Delivery


class HeldResults:
    """Deliveries by the identifier of their result (32 bytes), in the order in which they came.

    `models` are those whose manifests come. What was held before a restart is held again, but for what is in `seen`.
    A delivery that was taken stays on disk until `forget_taken`. Raises `StoreError`.
    """

    def __init__(self, store: Store, models: Container[str], seen: Container[bytes]) -> None:
        self._store, self._models = store, models
        self._held: dict[bytes, _Held] = {}
        self._taken: list[bytes] = []
        self._size = 0
        self._until: dict[str, float] = {}
        self._settled: dict[str, int] = {}
        self._ready_at: float | None = None
        for identifier, value in store.items(BUCKET):
            if identifier in seen:
                self._taken.append(identifier)
            else:
                self._add(identifier, _decode(value))

    def __contains__(self, identifier: object) -> bool:
        return identifier in self._held

    @property
    def due(self) -> float | None:
        """When `take` wants to be called next, or None."""
        due = [*self._until.values(), *([] if self._ready_at is None else [self._ready_at])]
        return min(due, default=None)

    def begin(self, now: float) -> None:
        """The party is connected: what was held before a restart waits from here on."""
        for each in self._held.values():
            wait = WAIT_SECONDS if each.model in self._models else 0.0
            self._until.setdefault(each.model, now + wait)

    def wants(self, model: str, version: int, size: int) -> bool:
        """Whether a result of `size` bytes is to wait: its manifest may yet come, and there is room."""
        is_open = model in self._models and version > self._settled.get(model, -1)
        return is_open and len(self._held) < LIMIT and self._size + size <= LIMIT_BYTES

    def hold(self, identifier: bytes, model: str, version: int, delivery: Delivery, now: float) -> None:
        """Keep a delivery; it survives a crash from here on."""
        fields: list[CborValue] = [model, version, delivery.topic, delivery.correlation, delivery.payload]
        self._store.write(BUCKET, identifier, encode(fields))
        self._add(identifier, _Held(model, version, delivery))
        self._until.setdefault(model, now + WAIT_SECONDS)

    def settle(self, model: str, version: int, now: float) -> None:
        """Results of `model` up to `version` wait no longer: that manifest is here, or will not come."""
        self._settled[model] = max(version, self._settled.get(model, -1))
        if all(self._is_settled(each) for each in self._held.values() if each.model == model):
            self._until.pop(model, None)
        if any(map(self._is_settled, self._held.values())):
            self._ready_at = now

    def take(self, now: float) -> list[Delivery]:
        """Results that wait no longer, first to last: some of them, where there are many."""
        for model in [model for model, until in self._until.items() if now >= until]:
            self.settle(model, max(each.version for each in self._held.values() if each.model == model), now)
        ready = [identifier for identifier, each in self._held.items() if self._is_settled(each)]
        self._ready_at = now if len(ready) > TOGETHER else None
        return [self._take(identifier) for identifier in ready[:TOGETHER]]

    def forget_taken(self) -> None:
        """What was taken is not there after a crash from here on."""
        if not self._taken:
            return
        with self._store.transaction():
            for identifier in self._taken:
                self._store.delete(BUCKET, identifier)
        self._taken.clear()

    def _is_settled(self, held: _Held) -> bool:
        return held.version <= self._settled.get(held.model, -1)

    def _add(self, identifier: bytes, held: _Held) -> None:
        self._held[identifier] = held
        self._size += len(held.delivery.payload)

    def _take(self, identifier: bytes) -> Delivery:
        held = self._held.pop(identifier)
        self._size -= len(held.delivery.payload)
        self._taken.append(identifier)
        return held.delivery


def _decode(data: bytes) -> _Held:
    """What this party itself stored: anything else is a fault of the store, not of a peer."""
    with suppress(MalformedError):
        match decode_untrusted(data):
            case [str(model), int(version), str(topic), bytes(correlation), bytes(payload)]:
                return _Held(model, version, Delivery(topic, payload, correlation=correlation))
    raise StoreError("the store holds no result where one should be")
