"""The outbox: requests that are on disk before they are sent, until their end was told (P12).

It holds readings in the clear: the store's file is owner-only, and each reading leaves it when its request ends.
"""

import heapq
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from protocol.cbor import MAX_MESSAGE, decode_untrusted, encode
from protocol.errors import Finding, LocalError, MalformedError, ProtocolMisuseError, StoreError
from protocol.party import Store
from schemas.reason import Reason

MAX_INPUT = MAX_MESSAGE - 2**17
"""Bytes of a reading: what fits into one message with its padding, its envelopes and the credentials of recipients."""

BUCKET_PREFIX = "outbox:"

AT_HAND, SMALL = 64, 4096
"""How many of the newest entries, of at most so many bytes each, are kept in memory besides."""


class OutboxFullError(LocalError):
    """Nothing more is accepted until a request has ended. Nothing that was accepted is dropped."""

    default_reason = Reason.BUSY


@dataclass(frozen=True, slots=True)
class Entry:
    """A request as it was accepted. Times in seconds since the epoch."""

    request: bytes
    input: bytes = field(repr=False)
    created: int
    expires: int


class Outbox:
    """The pending requests of one model, in order of their arrival, bounded in number and in bytes.

    Raises `StoreError` where the store fails or holds something else.
    """

    def __init__(self, store: Store, model: str, max_entries: int = 1024, max_bytes: int = 64 * 2**20) -> None:
        self._store, self._bucket = store, BUCKET_PREFIX + model
        self._max_entries, self._max_bytes = max_entries, max_bytes
        self._pending: OrderedDict[bytes, tuple[int, int]] = OrderedDict()
        self._bytes = 0
        self._expiries: list[tuple[int, bytes]] = []
        self._at_hand: OrderedDict[bytes, Entry] = OrderedDict()
        for request, value in store.items(self._bucket):
            self._index(_decode(request, value))

    def add(self, entry: Entry) -> bool:
        """Accept a request: it survives a crash from here on. False if it was pending already.

        Raises `OutboxFullError`; `ProtocolMisuseError` for another reading under a pending request id, and for a
        reading larger than `MAX_INPUT`.
        """
        if len(entry.input) > MAX_INPUT:
            raise ProtocolMisuseError(
                "the reading is too large for one message",
                reason=Reason.OVERSIZED,
                finding=Finding("input", f"<= {MAX_INPUT} bytes", str(len(entry.input))),
            )
        if entry.request in self._pending:
            self._check_same(entry)
            return False
        self._check_room(len(entry.input))
        self._store.write(self._bucket, entry.request, encode([entry.created, entry.expires, entry.input]))
        self._index(entry)
        if len(entry.input) <= SMALL:
            self._at_hand[entry.request] = entry
            if len(self._at_hand) > AT_HAND:
                self._at_hand.popitem(last=False)
        return True

    def entry(self, request: bytes) -> Entry:
        """A pending request. Raises `ProtocolMisuseError` for any other."""
        at_hand = self._at_hand.get(request)
        if at_hand is not None:
            return at_hand
        value = self._store.read(self._bucket, request) if request in self._pending else None
        if value is None:
            raise ProtocolMisuseError(f"no request {request.hex()} is pending")
        return _decode(request, value)

    def withdraw(self, request: bytes) -> None:
        """The request has ended: it is pending no more. It stays on disk until `remove`."""
        self._at_hand.pop(request, None)
        _, size = self._pending.pop(request, (0, 0))
        self._bytes -= size

    def remove(self, request: bytes) -> None:
        """Its end was told: off the disk."""
        self.withdraw(request)
        self._store.delete(self._bucket, request)

    @property
    def next_expiry(self) -> int | None:
        """When the first of the pending requests expires."""
        while self._expiries and not self._stands(*self._expiries[0]):
            heapq.heappop(self._expiries)
        return self._expiries[0][0] if self._expiries else None

    def _stands(self, expires: int, request: bytes) -> bool:
        return self._pending.get(request, (None, 0))[0] == expires

    def expired(self, now: float) -> list[bytes]:
        """The pending requests whose time has run out, the first to expire first."""
        found = []
        while (due := self.next_expiry) is not None and due <= now:
            found.append(heapq.heappop(self._expiries)[1])
        return found

    def __iter__(self) -> Iterator[bytes]:
        return iter(tuple(self._pending))

    def __contains__(self, request: object) -> bool:
        return request in self._pending

    def __len__(self) -> int:
        return len(self._pending)

    def _index(self, entry: Entry) -> None:
        self._pending[entry.request] = (entry.expires, len(entry.input))
        self._bytes += len(entry.input)
        heapq.heappush(self._expiries, (entry.expires, entry.request))

    def _check_same(self, entry: Entry) -> None:
        if self.entry(entry.request).input != entry.input:
            raise ProtocolMisuseError("another reading is pending under this request id")

    def _check_room(self, size: int) -> None:
        for claim, limit, found in (
            ("outbox.entries", self._max_entries, len(self._pending) + 1),
            ("outbox.bytes", self._max_bytes, self._bytes + size),
        ):
            if found > limit:
                raise OutboxFullError("the outbox is full", finding=Finding(claim, f"<= {limit}", str(found)))


def _decode(request: bytes, value: bytes) -> Entry:
    """What this party itself stored: anything else is a fault of the store."""
    with suppress(MalformedError):
        match decode_untrusted(value, max_bytes=2 * MAX_MESSAGE):
            case [int(created), int(expires), bytes(reading)]:
                return Entry(request, reading, created, expires)
    raise StoreError("the store holds no request where one should be")
