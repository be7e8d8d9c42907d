"""Files that a kernel or a library OS makes up as they are read: opened, moved once, closed.

They have no length to truncate or to trust, and each write is a command: all of it in one call, or a failure.
"""

import errno
import os
from pathlib import Path
from typing import Final

MAX_TEXT: Final = 256
"""Bytes of an attribute that is one line."""

_STEP: Final = 65_536


def read_attribute(path: Path, *, max_bytes: int) -> bytes:
    """All of it. Raises `OSError`, with EFBIG where there is more than `max_bytes`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        content = bytearray()
        while len(content) <= max_bytes:
            more = os.read(descriptor, min(_STEP, max_bytes + 1 - len(content)))
            if not more:
                return bytes(content)
            content += more
    finally:
        os.close(descriptor)
    raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))


def read_line(path: Path) -> str:
    """A short text without the blanks around it. Raises `OSError`."""
    return read_attribute(path, max_bytes=MAX_TEXT).decode("ascii", "replace").strip()


def write_attribute(path: Path, data: bytes) -> None:
    """Write all of it in one call. Raises `OSError`, with EIO where less was taken."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        taken = os.write(descriptor, data)
    finally:
        os.close(descriptor)
    if taken != len(data):
        raise OSError(errno.EIO, f"took {taken} of {len(data)} bytes", str(path))


def why(error: OSError) -> str:
    """One line that names the file and the failure."""
    named = f"{error.filename}: " if error.filename else ""
    return named + (error.strerror or type(error).__name__)
