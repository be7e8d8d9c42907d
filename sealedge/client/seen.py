"""Which results were received before: a duplicate is counted once and handed over once (P7).

The memory is bounded. When it is full the oldest entry leaves, and from then on nothing is accepted whose receipt
is as old as that entry's or older, unless it is among those remembered: a replay never passes for being forgotten.
"""

from collections import OrderedDict

from protocol.errors import Finding, FreshnessError
from protocol.party import Store
from schemas.reason import Reason

BUCKET, FLOOR_BUCKET = "results-seen", "results-floor"
FLOOR = b"floor"


class SeenResults:
    """Results by an identifier of 32 bytes, with the receipt's time in seconds. Raises `StoreError`."""

    def __init__(self, store: Store, limit: int) -> None:
        self._store, self._limit = store, limit
        self._times = OrderedDict((key, int.from_bytes(value, "big")) for key, value in store.items(BUCKET))
        floor = store.read(FLOOR_BUCKET, FLOOR)
        self._floor = -1 if floor is None else int.from_bytes(floor, "big")
        self._unwritten: dict[bytes, int] = {}

    def __contains__(self, identifier: object) -> bool:
        return identifier in self._times

    def check(self, time: int) -> None:
        """Raises `FreshnessError` (replayed) for a receipt too old to be told from a replay."""
        if time <= self._floor:
            raise FreshnessError(
                "a result older than those remembered here",
                reason=Reason.REPLAYED,
                finding=Finding("receipt.time", f"> {self._floor}", str(time)),
            )

    def add(self, identifier: bytes, time: int) -> None:
        """Remember a result from now on; on disk at the next `write`."""
        self._times[identifier] = self._unwritten[identifier] = time

    def write(self) -> None:
        """What was added survives a crash from here on."""
        if not self._unwritten:
            return
        with self._store.transaction():
            for identifier, time in self._unwritten.items():
                self._store.write(BUCKET, identifier, time.to_bytes(8, "big"))
            while len(self._times) > self._limit:
                self._drop_oldest()
        self._unwritten.clear()

    def _drop_oldest(self) -> None:
        identifier, time = self._times.popitem(last=False)
        self._store.delete(BUCKET, identifier)
        if time > self._floor:
            self._floor = time
            self._store.write(FLOOR_BUCKET, FLOOR, time.to_bytes(8, "big"))
