"""The host's files of sealed models: whole, bounded, its owner's alone, and never in the way."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_agent import model_cache
from edge_agent.enclave.needs import ModelSealed, SealedModelEnded, SealedModelNeeded
from edge_agent.model_cache import MAX_LEASE, ModelCache
from protocol.errors import ConfigurationError, StoreError

NOTHING = (b"", b"")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models"


def test_what_is_written_is_read_by_the_next_host(folder: Path) -> None:
    ModelCache(folder).write("scan", b"lease", b"code")
    assert ModelCache(folder).read("scan") == (b"lease", b"code")
    assert ModelCache(folder).read("other") == NOTHING


def test_only_their_owner_reads_them(folder: Path) -> None:
    ModelCache(folder).write("scan", b"lease", b"code")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_a_new_lease_leaves_the_code(folder: Path) -> None:
    cache = ModelCache(folder)
    cache.write("scan", b"lease", b"code")
    cache.write("scan", b"later", b"")
    assert cache.read("scan") == (b"later", b"code")


def test_a_lease_without_code_is_not_kept(folder: Path) -> None:
    cache = ModelCache(folder)
    cache.write("scan", b"lease", b"")
    assert list(folder.iterdir()) == []
    assert cache.read("scan") == NOTHING


@pytest.mark.parametrize("name", ["scan.lease", "scan.code"])
def test_one_file_alone_is_nothing(name: str, folder: Path) -> None:
    cache = ModelCache(folder)
    cache.write("scan", b"lease", b"code")
    (folder / name).unlink()
    assert cache.read("scan") == NOTHING


def test_what_is_deleted_is_gone_and_may_be_deleted_again(folder: Path) -> None:
    cache = ModelCache(folder)
    cache.write("scan", b"lease", b"code")
    cache.delete("scan")
    cache.delete("scan")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../scan", "a/b", "/etc/passwd", "Scan", "scan\n", "a" * 33, "scan\0", "-"]
)
def test_an_enclave_names_no_other_file(name: str, folder: Path) -> None:
    cache = ModelCache(folder)
    acts: tuple[Callable[[], object], ...] = (
        lambda: cache.read(name),
        lambda: cache.write(name, b"lease", b"code"),
        lambda: cache.delete(name),
    )
    for act in acts:
        with pytest.raises(StoreError):
            act()
    assert list(folder.parent.rglob("*")) == [folder]


def test_too_much_is_refused_and_nothing_of_it_is_left(folder: Path) -> None:
    cache = ModelCache(folder, max_bytes=100)
    cache.write("scan", b"lease", bytes(100))
    for lease, code in ((b"lease", bytes(101)), (bytes(MAX_LEASE + 1), b"code")):
        with pytest.raises(StoreError):
            cache.write("scan", lease, code)
    assert cache.read("scan") == (b"lease", bytes(100))


def test_a_file_that_grew_is_not_read(folder: Path) -> None:
    cache = ModelCache(folder, max_bytes=100)
    cache.write("scan", b"lease", bytes(100))
    (folder / "scan.code").write_bytes(bytes(101))
    with pytest.raises(StoreError, match="larger than 100 bytes"):
        cache.read("scan")


@pytest.mark.parametrize("name", ["scan.lease", "scan.code"])
def test_a_file_that_others_may_write_is_not_read(name: str, folder: Path) -> None:
    cache = ModelCache(folder)
    cache.write("scan", b"lease", b"code")
    (folder / name).chmod(0o644)
    with pytest.raises(StoreError, match="open to group or others"):
        cache.read("scan")


def test_the_oldest_model_makes_room(folder: Path) -> None:
    cache = ModelCache(folder, max_bytes=250)
    for age, name in ((3, "a"), (1, "b"), (2, "c")):
        cache.write(name, b"lease", bytes(80))
        path = folder / f"{name}.code"
        status = path.stat()
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns - age * 10**12))
    cache.write("d", b"lease", bytes(80))
    assert sorted(path.name for path in folder.glob("*.code")) == ["b.code", "c.code", "d.code"]
    assert cache.read("a") == NOTHING
    cache.write("d", b"lease", bytes(250))
    assert sorted(path.name for path in folder.iterdir()) == ["d.code", "d.lease"]


def test_what_an_interrupted_write_left_is_deleted(folder: Path) -> None:
    ModelCache(folder).write("scan", b"lease", b"code")
    (folder / ".scan.code.x7").write_bytes(b"half")
    assert ModelCache(folder).read("scan") == (b"lease", b"code")
    assert len(list(folder.iterdir())) == 2


def test_a_write_that_fails_leaves_what_was_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = ModelCache(folder)
    cache.write("scan", b"lease", b"code")

    def full(*_: object, **__: object) -> None:
        raise ConfigurationError("no space left on device")

    monkeypatch.setattr(model_cache, "write_private", full)
    with pytest.raises(StoreError, match="no space"):
        cache.write("scan", b"later", b"more")
    assert cache.read("scan") == (b"lease", b"code")


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="file"):
        ModelCache(tmp_path / "file" / "models")


def test_it_does_what_an_enclave_wants(folder: Path) -> None:
    cache = ModelCache(folder)
    assert cache.answer(SealedModelNeeded("scan")) == NOTHING
    assert cache.answer(ModelSealed("scan", b"lease", b"code", 4)) == NOTHING
    assert cache.answer(SealedModelNeeded("scan")) == (b"lease", b"code")
    assert cache.answer(SealedModelEnded("scan")) == NOTHING
    assert cache.answer(SealedModelNeeded("scan")) == NOTHING
