"""Files that a person named: read with a size limit, written whole or not at all.

Every failure is a `ConfigurationError` of one line that names the file. Nothing of a file's content is in it.
"""

import os
import stat
import tempfile
from pathlib import Path
from typing import Final

from protocol.errors import ConfigurationError, Finding

MAX_TEXT_BYTES: Final = 1 << 20
"""A configuration, policy or key file; models and readings pass a limit of their own."""

StrPath = str | os.PathLike[str]


def read_bytes(path: StrPath, *, max_bytes: int = MAX_TEXT_BYTES) -> bytes:
    """The whole regular file of at most `max_bytes`. Its content is not trusted by having been read."""
    return _read(path, max_bytes, is_private=False)


def read_text(path: StrPath, *, max_bytes: int = MAX_TEXT_BYTES) -> str:
    """The whole file as UTF-8, of at most `max_bytes` bytes."""
    return _decoded(path, read_bytes(path, max_bytes=max_bytes))


def read_private(path: StrPath, *, max_bytes: int = MAX_TEXT_BYTES) -> bytes:
    """As `read_bytes`, but refuses a file that group or others may read or write."""
    return _read(path, max_bytes, is_private=True)


def write_private(path: StrPath, data: bytes, *, replace: bool = True) -> None:
    """Write an owner-only file (0600) that is there whole after a power cut, or not at all.

    A missing folder is created 0700. With `replace=False` an existing file is left alone and refused.
    """
    target = Path(path)
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = _write_temporary(target, data)
        try:
            _put_in_place(temporary, target, replace=replace)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(target.parent)
    except (OSError, ValueError) as error:
        raise _failure(path, "written", error) from error


def _read(path: StrPath, max_bytes: int, *, is_private: bool) -> bytes:
    try:
        # Not blocking: a pipe in a file's place must not hold the program up.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            # The mode of what was opened: the path may point elsewhere by now.
            _check_mode(path, os.fstat(descriptor).st_mode, is_private=is_private)
        except BaseException:
            os.close(descriptor)
            raise
        with os.fdopen(descriptor, "rb") as file:
            return _capped(path, file.read(max_bytes + 1), max_bytes)
    except (OSError, ValueError) as error:
        raise _failure(path, "read", error) from error


def _write_temporary(target: Path, data: bytes) -> Path:
    """Write beside the target, since only a rename within one file system is atomic. mkstemp's mode is 0600."""
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name)


def _put_in_place(temporary: Path, target: Path, *, replace: bool) -> None:
    if replace:
        temporary.replace(target)
        return
    try:
        # A hard link, unlike a rename, fails where the name is taken: no moment between looking and writing.
        target.hardlink_to(temporary)
    except FileExistsError as error:
        raise ConfigurationError(f"{target}: exists already and is not overwritten") from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check_mode(path: StrPath, mode: int, *, is_private: bool) -> None:
    if not stat.S_ISREG(mode):
        raise ConfigurationError(f"{path}: is not a regular file")
    found = stat.S_IMODE(mode)
    if is_private and found & 0o077:
        finding = Finding(claim="mode", expected="0600", found=f"{found:04o}")
        raise ConfigurationError(f"{path}: a private file is open to group or others", finding=finding)


def _capped(path: StrPath, data: bytes, max_bytes: int) -> bytes:
    if len(data) > max_bytes:
        raise ConfigurationError(f"{path}: is larger than {max_bytes} bytes")
    return data


def _decoded(path: StrPath, data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        # Not chained: Python's error carries the bytes themselves.
        raise ConfigurationError(f"{path}: is not UTF-8 text (at byte {error.start})") from None


def _failure(path: StrPath, verb: str, error: OSError | ValueError) -> ConfigurationError:
    """`ValueError` is Python's answer to a path with a NUL byte."""
    reason = error.strerror if isinstance(error, OSError) else error
    return ConfigurationError(f"{path}: cannot be {verb}: {reason}")
