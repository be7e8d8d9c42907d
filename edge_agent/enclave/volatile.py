"""A store that forgets: the enclave's, because any disk it could write to belongs to the host.

What must outlive an enclave is kept elsewhere: nonces with the verifier, versions with the publisher, sequence
numbers with every client.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext


class VolatileStore:
    """`protocol.party.Store` in memory."""

    def __init__(self) -> None:
        self._buckets: dict[str, dict[bytes, bytes]] = {}

    def read(self, bucket: str, key: bytes) -> bytes | None:
        """The value, or None."""
        return self._buckets.get(bucket, {}).get(key)

    def write(self, bucket: str, key: bytes, value: bytes) -> None:
        """Insert or replace."""
        self._buckets.setdefault(bucket, {})[key] = value

    def delete(self, bucket: str, key: bytes) -> None:
        """Remove; no error where there is nothing."""
        self._buckets.get(bucket, {}).pop(key, None)

    def items(self, bucket: str) -> Iterator[tuple[bytes, bytes]]:
        """All pairs of a bucket, in insertion order."""
        return iter(tuple(self._buckets.get(bucket, {}).items()))

    def transaction(self) -> AbstractContextManager[None]:
        """Nothing survives a crash anyway."""
        return nullcontext()
