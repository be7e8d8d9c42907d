"""Both stores keep the promises of `protocol.party.Store`; the SQLite one keeps them across a crash."""

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from protocol.errors import StoreError
from protocol.party import Store
from storage.store import MemoryStore, SqliteStore
from tests.support.examples import examples


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "memory":
        yield MemoryStore()
        return
    with SqliteStore(tmp_path / "state" / "store.db", durability="normal") as sqlite:
        yield sqlite


def test_reads_what_was_written(store: Store) -> None:
    assert store.read("nonce", b"a") is None
    store.write("nonce", b"a", b"\x00\xff")
    assert store.read("nonce", b"a") == b"\x00\xff"
    assert store.read("other", b"a") is None
    store.write("nonce", b"a", b"")
    assert store.read("nonce", b"a") == b""
    store.delete("nonce", b"a")
    store.delete("nonce", b"a")
    assert store.read("nonce", b"a") is None


def test_items_keep_insertion_order_when_a_value_is_replaced(store: Store) -> None:
    for key in (b"z", b"a", b"m"):
        store.write("outbox", key, b"1")
    store.write("outbox", b"z", b"2")
    store.write("else", b"q", b"")
    assert list(store.items("outbox")) == [(b"z", b"2"), (b"a", b"1"), (b"m", b"1")]
    store.delete("outbox", b"z")
    store.write("outbox", b"z", b"3")
    assert [key for key, _ in store.items("outbox")] == [b"a", b"m", b"z"]


def test_items_are_a_snapshot(store: Store) -> None:
    for number in range(10):
        store.write("outbox", bytes([number]), b"")
    seen = []
    for key, _ in store.items("outbox"):
        seen.append(key[0])
        store.delete("outbox", key)
        store.write("outbox", bytes([key[0] + 100]), b"")
    assert seen == list(range(10))
    assert [key[0] for key, _ in store.items("outbox")] == list(range(100, 110))


def test_transaction_is_undone_by_any_exception(store: Store) -> None:
    store.write("b", b"kept", b"1")
    with pytest.raises(KeyboardInterrupt), store.transaction():  # noqa: PT012 - the block is the subject
        store.write("b", b"kept", b"2")
        store.delete("b", b"kept")
        store.write("b", b"new", b"")
        assert store.read("b", b"kept") is None
        raise KeyboardInterrupt
    assert list(store.items("b")) == [(b"kept", b"1")]
    with store.transaction():
        store.write("b", b"new", b"")
    assert store.read("b", b"new") == b""


def test_transactions_do_not_nest_and_the_outer_one_goes_on(store: Store) -> None:
    with store.transaction():
        store.write("b", b"outer", b"")
        with pytest.raises(StoreError, match="do not nest"), store.transaction():
            pass
        store.write("b", b"after", b"")
    assert [key for key, _ in store.items("b")] == [b"outer", b"after"]


def test_memory_crash_keeps_what_was_committed_alone() -> None:
    store = MemoryStore()
    store.write("b", b"committed", b"")
    with pytest.raises(StoreError, match="has crashed"), store.transaction():  # noqa: PT012 - the block is the subject
        store.write("b", b"pending", b"")
        survivor = store.crash()
    assert list(survivor.items("b")) == [(b"committed", b"")]
    for call in (lambda: store.read("b", b"x"), lambda: store.write("b", b"x", b""), lambda: store.items("b")):
        with pytest.raises(StoreError, match="has crashed"):
            call()
    assert list(survivor.items("b")) == [(b"committed", b"")]


def test_sqlite_survives_a_killed_process(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys; from storage.store import SqliteStore; s = SqliteStore(sys.argv[1])\n"
        "s.write('b', b'committed', b'1'); t = s.transaction(); t.__enter__()\n"
        "s.write('b', b'pending', b'1'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    path = tmp_path / "store.db"
    done = subprocess.run([sys.executable, "-c", program, str(path)], check=False, timeout=30)
    assert done.returncode == -signal.SIGKILL
    with SqliteStore(path) as store:
        assert list(store.items("b")) == [(b"committed", b"1")]


def test_sqlite_files_are_owner_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with SqliteStore(tmp_path / "state" / "store.db") as store:
            store.write("b", b"k", b"v")
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "state").iterdir()}
    finally:
        os.umask(before)
    assert modes == {"store.db": 0o600, "store.db-wal": 0o600, "store.db-shm": 0o600}
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602])
def test_sqlite_refuses_a_file_open_to_others(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "store.db"
    SqliteStore(path).close()
    path.chmod(mode)
    with pytest.raises(StoreError) as caught:
        SqliteStore(path)
    assert f"expected 0600, found {mode:04o}" in caught.value.diagnostics


def test_sqlite_keeps_a_key_that_ends_like_a_special_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with SqliteStore(":memory:") as store:
        store.write("b", b"k", b"v")
    with SqliteStore(":memory:") as store:
        assert store.read("b", b"k") == b"v"


def private(path: Path, data: bytes) -> Path:
    path.touch(mode=0o600)
    path.write_bytes(data)
    return path


def test_sqlite_refuses_what_is_not_a_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"corrupt, or is not a store \(SQLITE_NOTADB\)$"):
        SqliteStore(private(tmp_path / "noise", b"not a database" * 200))
    other = tmp_path / "other.db"
    other.touch(mode=0o600)
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE somebody_elses (x)")
    connection.close()
    with pytest.raises(StoreError, match="not a store of this version"):
        SqliteStore(other)
    with pytest.raises(StoreError, match="Is a directory"):
        SqliteStore(tmp_path)
    with pytest.raises(StoreError, match="cannot be opened"):
        SqliteStore(tmp_path / "noise" / "below-a-file")


def test_sqlite_reports_a_corrupted_page(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with SqliteStore(path) as store:
        for number in range(200):
            store.write("b", b"%d" % number, bytes(200))
    damaged = bytearray(path.read_bytes())
    damaged[4096:] = b"\xa5" * (len(damaged) - 4096)
    path.write_bytes(damaged)
    with SqliteStore(path) as store, pytest.raises(StoreError) as caught:
        list(store.items("b"))
    assert "the file is corrupt (SQLITE_CORRUPT" in str(caught.value)
    assert "\n" not in caught.value.diagnostics


def test_sqlite_takes_nothing_more_in_a_transaction_that_failed(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "store.db", durability="normal") as store:
        store.write("b", b"before", b"")
        pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
        store._connection.execute(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(StoreError, match="earlier step"), store.transaction():  # noqa: PT012 - the block is the subject
            store.write("b", b"small", b"")
            with pytest.raises(StoreError, match=r"the disk is full \(SQLITE_FULL\)"):
                store.write("b", b"large", bytes(100_000))
            with pytest.raises(StoreError, match="earlier step"):
                store.write("b", b"would stand alone", b"")
        assert [key for key, _ in store.items("b")] == [b"before"]
        store.write("b", b"goes on", b"")
        assert [key for key, _ in store.items("b")] == [b"before", b"goes on"]


def test_sqlite_waits_no_longer_than_its_timeout(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with SqliteStore(path) as first, SqliteStore(path) as second, first.transaction():
        second._connection.execute("PRAGMA busy_timeout = 10")
        with pytest.raises(StoreError, match="another process holds the store"):
            second.write("b", b"k", b"")
        with pytest.raises(StoreError, match="another process holds the store"), second.transaction():
            pass
    with SqliteStore(path) as store:
        store.write("b", b"k", b"")


def test_sqlite_may_move_between_threads(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "store.db") as store:
        thread = threading.Thread(target=store.write, args=("b", b"k", b"v"))
        thread.start()
        thread.join()
        assert store.read("b", b"k") == b"v"


def test_sqlite_closed_is_a_store_error(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db")
    store.close()
    store.close()
    with pytest.raises(StoreError):
        store.read("b", b"k")


def test_sqlite_closed_inside_a_transaction_rolls_back(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db")
    with pytest.raises(StoreError, match="closed"), store.transaction():  # noqa: PT012 - the block is the subject
        store.write("b", b"k", b"")
        store.close()
    with SqliteStore(tmp_path / "store.db") as again:
        assert again.read("b", b"k") is None


def test_sqlite_full_durability_syncs_every_commit(tmp_path: Path) -> None:
    levels = {}
    for durability in ("full", "normal"):
        with SqliteStore(tmp_path / durability, durability=durability) as store:
            levels[durability] = store._connection.execute("PRAGMA synchronous").fetchone()[0]
    assert levels == {"full": 2, "normal": 1}


def test_sqlite_deleted_value_leaves_the_file(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    secret = b"a value that is revoked" * 300
    with SqliteStore(path) as store:
        store.write("b", b"k", secret)
        store.delete("b", b"k")
    assert [secret[:23] in file.read_bytes() for file in tmp_path.iterdir()] == [False]


KEYS = st.binary(max_size=2)
BUCKETS = st.sampled_from(["a", "b"])


class StoresAgree(RuleBasedStateMachine):
    """Any sequence of calls leaves both stores alike, rollbacks included."""

    def __init__(self) -> None:
        super().__init__()
        self.sqlite = SqliteStore(Path(self.folder) / f"{next(self.numbers)}.db", durability="normal")
        self.memory = MemoryStore()
        self.open: list[object] = []

    folder: str
    numbers: Iterator[int]

    @rule(bucket=BUCKETS, key=KEYS, value=st.binary(max_size=8))
    def write(self, bucket: str, key: bytes, value: bytes) -> None:
        self.sqlite.write(bucket, key, value)
        self.memory.write(bucket, key, value)

    @rule(bucket=BUCKETS, key=KEYS)
    def delete(self, bucket: str, key: bytes) -> None:
        self.sqlite.delete(bucket, key)
        self.memory.delete(bucket, key)

    @precondition(lambda self: not self.open)
    @rule()
    def begin(self) -> None:
        self.open = [self.sqlite.transaction(), self.memory.transaction()]
        for context in self.open:
            context.__enter__()

    @precondition(lambda self: self.open)
    @rule(kept=st.booleans())
    def end(self, kept: bool) -> None:
        for context in self.open:
            error = None if kept else ValueError()
            assert not context.__exit__(type(error) if error else None, error, None) or kept
        self.open = []

    @invariant()
    def alike(self) -> None:
        for bucket in ("a", "b"):
            assert list(self.sqlite.items(bucket)) == list(self.memory.items(bucket))

    def teardown(self) -> None:
        self.sqlite.close()


def test_both_stores_agree(tmp_path_factory: pytest.TempPathFactory) -> None:
    StoresAgree.folder = str(tmp_path_factory.mktemp("agree"))
    StoresAgree.numbers = iter(range(1_000_000))
    case = StoresAgree.TestCase
    case.settings = settings(max_examples=examples(25), stateful_step_count=20, deadline=None)
    case("runTest").runTest()
