"""Files are read with a limit and written whole or not at all; every failure is one line that quotes no content."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from protocol.errors import ConfigurationError
from storage import files


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_write_private_is_owner_only_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        files.write_private(tmp_path / "keys" / "a", b"secret")
    finally:
        os.umask(before)
    assert (tmp_path / "keys" / "a").read_bytes() == b"secret"
    assert mode_of(tmp_path / "keys" / "a") == 0o600
    assert mode_of(tmp_path / "keys") == 0o700


def test_write_private_replaces_the_mode_too(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    path.chmod(0o644)
    files.write_private(path, b"new")
    assert (path.read_bytes(), mode_of(path)) == (b"new", 0o600)


def test_write_private_leaves_an_existing_file_alone_when_told(tmp_path: Path) -> None:
    files.write_private(tmp_path / "a", b"old", replace=False)
    with pytest.raises(ConfigurationError, match="exists already"):
        files.write_private(tmp_path / "a", b"new", replace=False)
    assert (tmp_path / "a").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("step", ["fsync", "rename"])
def test_write_private_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    files.write_private(tmp_path / "a", b"old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    if step == "fsync":
        monkeypatch.setattr(os, "fsync", fail)
    else:
        monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(ConfigurationError, match="cannot be written: No space left on device"):
        files.write_private(tmp_path / "a", b"a secret")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"


def test_write_private_syncs_the_file_before_the_rename_and_the_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = []
    fsync, rename = os.fsync, Path.replace

    def noted_fsync(descriptor: int) -> None:
        steps.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def noted_rename(self: Path, target: Path) -> Path:
        steps.append("rename")
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "replace", noted_rename)
    files.write_private(tmp_path / "a", b"x")
    assert steps == ["file", "rename", "folder"]


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o601])
def test_read_private_refuses_a_file_open_to_others(tmp_path: Path, mode: int) -> None:
    files.write_private(tmp_path / "a", b"hush")
    (tmp_path / "a").chmod(mode)
    with pytest.raises(ConfigurationError) as caught:
        files.read_private(tmp_path / "a")
    assert f"(mode: expected 0600, found {mode:04o})" in caught.value.diagnostics
    assert "hush" not in caught.value.diagnostics
    assert "\n" not in caught.value.diagnostics


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_read_private_accepts_owner_only(tmp_path: Path, mode: int) -> None:
    files.write_private(tmp_path / "a", b"hush")
    (tmp_path / "a").chmod(mode)
    assert files.read_private(tmp_path / "a") == b"hush"


@pytest.mark.parametrize("read", [files.read_bytes, files.read_text, files.read_private])
def test_a_pipe_is_refused_without_waiting(tmp_path: Path, read: Callable[[Path], object]) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(ConfigurationError, match="pipe: is not a regular file"):
        read(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    with pytest.raises(ConfigurationError, match="link: is not a regular file"):
        read(tmp_path / "link")


@pytest.mark.parametrize("read", [files.read_bytes, files.read_private])
def test_reading_stops_at_the_limit(tmp_path: Path, read: object) -> None:
    files.write_private(tmp_path / "a", b"12345")
    assert read(tmp_path / "a", max_bytes=5) == b"12345"
    with pytest.raises(ConfigurationError, match="larger than 4 bytes"):
        read(tmp_path / "a", max_bytes=4)


def test_a_device_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="not a regular file"):
        files.read_bytes("/dev/zero", max_bytes=100)


@pytest.mark.parametrize("read", [files.read_bytes, files.read_text, files.read_private])
@pytest.mark.parametrize(("name", "why"), [("none", "No such file"), ("", "Is a directory"), ("\0", "null")])
def test_what_cannot_be_read_is_named(tmp_path: Path, read: object, name: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=f"cannot be read: .*{why}|not a regular file"):
        read(f"{tmp_path}/{name}")


def test_read_text_does_not_quote_what_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"secret \xff")
    with pytest.raises(ConfigurationError, match="is not UTF-8 text") as caught:
        files.read_text(tmp_path / "a")
    assert caught.value.__cause__ is None
    assert "secret" not in str(caught.value)
    (tmp_path / "a").write_bytes("grün".encode())
    assert files.read_text(tmp_path / "a") == "grün"


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "below", tmp_path, f"{tmp_path}/\0"):
        with pytest.raises(ConfigurationError, match="cannot be written"):
            files.write_private(path, b"x")
