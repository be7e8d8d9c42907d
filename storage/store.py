"""Durable state: `SqliteStore` on a disk, `MemoryStore` in a test. Both are a `protocol.party.Store`.

Values are stored as they are: a caller that stores a secret relies on the file's mode (0600) and on the disk below.
Both stores raise `StoreError` alone. After a failure inside a transaction nothing more is accepted in it, and
nothing of it is kept.
"""

import os
import sqlite3
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

from protocol.errors import Finding, StoreError

APPLICATION_ID: Final = 0x53454447
"""Marks the file as a sealedge store (SQLite file format §1.3.17)."""

LAYOUT: Final = 1
"""The version of the table below (`PRAGMA user_version`); a file of another version is refused."""

BUSY_TIMEOUT_MS: Final = 5_000

_CREATE: Final = (
    """CREATE TABLE IF NOT EXISTS entry (
        id INTEGER PRIMARY KEY, bucket TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL,
        UNIQUE (bucket, key))""",
    # SQLite appends the rowid to every index: this one serves `items` in insertion order.
    "CREATE INDEX IF NOT EXISTS entry_order ON entry (bucket)",
    f"PRAGMA user_version = {LAYOUT}",
    f"PRAGMA application_id = {APPLICATION_ID}",
)
_READ: Final = "SELECT value FROM entry WHERE bucket = ? AND key = ?"
# An upsert keeps the row's id, so that replacing a value does not move its key to the end.
_WRITE: Final = (
    "INSERT INTO entry (bucket, key, value) VALUES (?, ?, ?)"
    " ON CONFLICT (bucket, key) DO UPDATE SET value = excluded.value"
)
_DELETE: Final = "DELETE FROM entry WHERE bucket = ? AND key = ?"
_ITEMS: Final = "SELECT key, value FROM entry INDEXED BY entry_order WHERE bucket = ? ORDER BY id"

_EXPLANATIONS: Final = {
    "SQLITE_BUSY": "another process holds the store",
    "SQLITE_CANTOPEN": "the file cannot be opened",
    "SQLITE_CORRUPT": "the file is corrupt",
    "SQLITE_FULL": "the disk is full",
    "SQLITE_IOERR": "the disk failed",
    "SQLITE_NOTADB": "the file is corrupt, or is not a store",
    "SQLITE_READONLY": "the file or its folder is read-only",
}


class SqliteStore:
    """A store in one SQLite file in WAL mode, created 0600 (its folder 0700) where it is missing.

    `durability="full"` syncs the disk at every commit: what a call wrote survives a power cut. `"normal"` survives
    the end of the process; a power cut may take back the last commits, in order, never a part of one.

    The store may be made in one thread and used in another, by one thread at a time: the caller sees to that.
    Several processes may open one file: a transaction excludes the others' writes until it ends.
    """

    def __init__(self, path: str | os.PathLike[str], *, durability: Literal["full", "normal"] = "full") -> None:
        # Absolute, since SQLite takes some relative names (":memory:", "") for a database without a file.
        self._path = Path(path).absolute()
        self._in_transaction = False
        self._failed = False
        _create_private(self._path)
        try:
            self._connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise self._explain(error) from error
        try:
            self._prepare(durability)
        except BaseException:
            self._connection.close()
            raise

    def read(self, bucket: str, key: bytes) -> bytes | None:
        """The value, or None."""
        rows = self._execute(_READ, (bucket, key))
        return rows[0][0] if rows else None

    def write(self, bucket: str, key: bytes, value: bytes) -> None:
        """Insert or replace. A replaced key keeps its place in `items`."""
        self._execute(_WRITE, (bucket, key, value))

    def delete(self, bucket: str, key: bytes) -> None:
        """Remove; no error where there is nothing. The old bytes leave the file when it is next checkpointed."""
        self._execute(_DELETE, (bucket, key))

    def items(self, bucket: str) -> Iterator[tuple[bytes, bytes]]:
        """All pairs of a bucket in insertion order, as they are at this call: later writes are not seen."""
        return iter(self._execute(_ITEMS, (bucket,)))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All writes inside survive together, or none does. Not to be nested."""
        if self._in_transaction:
            raise StoreError(f"{self._path}: a transaction is open already, and they do not nest")
        self._in_transaction = True
        try:
            self._execute("BEGIN IMMEDIATE")
            yield
            self._execute("COMMIT")
        finally:
            self._end_transaction()

    def close(self) -> None:
        """Close the file; an open transaction is rolled back. Closing twice is no error."""
        try:
            self._connection.close()
        except sqlite3.Error as error:
            raise self._explain(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _prepare(self, durability: str) -> None:
        """Set the connection up and create the table, or refuse a file that is not a store of this version."""
        self._execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        found = self._execute("PRAGMA application_id")[0][0], self._execute("PRAGMA user_version")[0][0]
        empty = not self._execute("SELECT 1 FROM sqlite_schema LIMIT 1")
        if found != (APPLICATION_ID, LAYOUT) and not (empty and found == (0, 0)):
            raise StoreError(f"{self._path}: not a store of this version of sealedge")
        if self._execute("PRAGMA journal_mode = WAL") != [("wal",)]:
            raise StoreError(f"{self._path}: this file system does not allow SQLite's write-ahead log")
        self._execute(f"PRAGMA synchronous = {'NORMAL' if durability == 'normal' else 'FULL'}")
        # Deleted values are overwritten with zeros: what is revoked or used up shall not linger in free pages.
        self._execute("PRAGMA secure_delete = ON")
        if empty:
            self._create()

    def _create(self) -> None:
        with self.transaction():
            for statement in _CREATE:
                self._execute(statement)

    def _execute(self, statement: str, parameters: Sequence[Any] = ()) -> list[Any]:
        if self._failed:
            raise StoreError(f"{self._path}: an earlier step of this transaction failed")
        try:
            return self._connection.execute(statement, parameters).fetchall()
        except (sqlite3.Error, OverflowError, UnicodeError) as error:
            # SQLite may have rolled back by itself: writes that followed would stand outside any transaction.
            self._failed = self._in_transaction
            raise self._explain(error) from error

    def _end_transaction(self) -> None:
        self._in_transaction = self._failed = False
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.ProgrammingError:
            # The store was closed inside the transaction, which rolled it back.
            return
        except sqlite3.Error as error:
            raise self._explain(error) from error

    def _explain(self, error: Exception) -> StoreError:
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        # Extended names begin with the primary one: SQLITE_IOERR_WRITE, SQLITE_READONLY_DIRECTORY.
        primary = "_".join(name.split("_")[:2])
        return StoreError(f"{self._path}: {_EXPLANATIONS.get(primary, error)} ({name})")


class MemoryStore:
    """A store without a disk, for tests and for parties that may forget. One thread at a time."""

    def __init__(self) -> None:
        self._committed: dict[str, dict[bytes, bytes]] = {}
        self._pending: dict[str, dict[bytes, bytes]] | None = None
        self._crashed = False

    def read(self, bucket: str, key: bytes) -> bytes | None:
        """The value, or None."""
        return self._bucket(bucket).get(key)

    def write(self, bucket: str, key: bytes, value: bytes) -> None:
        """Insert or replace. A replaced key keeps its place in `items`."""
        self._bucket_to_change(bucket)[key] = value

    def delete(self, bucket: str, key: bytes) -> None:
        """Remove; no error where there is nothing."""
        self._bucket_to_change(bucket).pop(key, None)

    def items(self, bucket: str) -> Iterator[tuple[bytes, bytes]]:
        """All pairs of a bucket in insertion order, as they are at this call: later writes are not seen."""
        return iter(list(self._bucket(bucket).items()))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All writes inside survive together, or none does. Not to be nested."""
        self._refuse_if_crashed()
        if self._pending is not None:
            raise StoreError("memory: a transaction is open already, and they do not nest")
        self._pending = {}
        try:
            yield
            self._refuse_if_crashed()
            self._committed.update(self._pending)
        finally:
            self._pending = None

    def crash(self) -> "MemoryStore":
        """End this store as a power cut would, and return the one that is found after the restart.

        It holds what had been committed. Whoever still holds the old store gets `StoreError` from every call.
        """
        survivor = MemoryStore()
        survivor._committed = {name: dict(pairs) for name, pairs in self._committed.items()}
        self._crashed = True
        return survivor

    def _bucket(self, bucket: str) -> dict[bytes, bytes]:
        self._refuse_if_crashed()
        if self._pending is not None and bucket in self._pending:
            return self._pending[bucket]
        return self._committed.get(bucket, {})

    def _bucket_to_change(self, bucket: str) -> dict[bytes, bytes]:
        self._refuse_if_crashed()
        if self._pending is None:
            return self._committed.setdefault(bucket, {})
        if bucket not in self._pending:
            self._pending[bucket] = dict(self._committed.get(bucket, {}))
        return self._pending[bucket]

    def _refuse_if_crashed(self) -> None:
        if self._crashed:
            raise StoreError("memory: this store has crashed; go on with the one that crash() returned")


def _create_private(path: Path) -> None:
    """Create an owner-only file where none is; refuse one that group or others may read or write."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StoreError(f"{path}: cannot be opened: {error.strerror}") from error
    if mode & 0o077:
        finding = Finding(claim="mode", expected="0600", found=f"{mode:04o}")
        raise StoreError(f"{path}: the store is open to group or others", finding=finding)
