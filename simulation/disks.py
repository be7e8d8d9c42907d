"""Disks of parties: what is on them survives every crash, and they can be full or lose power in the middle of a write.

A party gets a new `Store` at every start, over the same disk. One that lost its power is of no use any more.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from protocol.errors import StoreError
from storage.store import MemoryStore


class PowerCutError(BaseException):
    """The machine of a party went dark. Not an `Exception`: no code of a party runs after it."""


class Disk:
    """One party's durable state. `full` refuses every write; deleting goes on working."""

    def __init__(self) -> None:
        self._content = MemoryStore()
        self.full = False
        self._dies_at: int | None = None
        self._writes = 0

    def mount(self) -> "DiskStore":
        """The store of a party that starts. The one before is lost, with what it had not committed."""
        self._content = self._content.crash()
        self._dies_at = None
        return DiskStore(self, self._content)

    def dies_after(self, writes: int) -> None:
        """The power goes after so many more writes: right before one, or right behind it where `writes` is odd."""
        self._dies_at, self._writes = writes, 0

    def unarm(self) -> None:
        """The power stays."""
        self._dies_at = None

    def lasts(self, *, behind: bool) -> None:
        """One write is about to happen, or has. Raises `PowerCutError` where it is the last."""
        if self._dies_at is None:
            return
        self._writes += 0 if behind else 1
        if self._writes > self._dies_at // 2 and behind == bool(self._dies_at % 2):
            self._dies_at = None
            raise PowerCutError

    def refuse_if_full(self) -> None:
        """Raises `StoreError` where the disk is full."""
        if self.full:
            raise StoreError("the disk is full")


class DiskStore:
    """`protocol.party.Store` on a disk that may fail."""

    def __init__(self, disk: Disk, content: MemoryStore) -> None:
        self._disk, self._content = disk, content

    def read(self, bucket: str, key: bytes) -> bytes | None:
        """The value, or None."""
        return self._content.read(bucket, key)

    def write(self, bucket: str, key: bytes, value: bytes) -> None:
        """Insert or replace."""
        self._disk.refuse_if_full()
        self._disk.lasts(behind=False)
        self._content.write(bucket, key, value)
        self._disk.lasts(behind=True)

    def delete(self, bucket: str, key: bytes) -> None:
        """Remove; no error where there is nothing."""
        self._disk.lasts(behind=False)
        self._content.delete(bucket, key)
        self._disk.lasts(behind=True)

    def items(self, bucket: str) -> Iterator[tuple[bytes, bytes]]:
        """All pairs of a bucket in insertion order."""
        return self._content.items(bucket)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All writes inside survive together, or none does: the power may also go right before or behind the commit."""
        with self._content.transaction():
            yield
            self._disk.lasts(behind=False)
        self._disk.lasts(behind=True)
