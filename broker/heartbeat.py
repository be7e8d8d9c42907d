"""A file that a link renews while its loop turns and a broker has it: what a container's health check reads.

`python -m broker.heartbeat [FILE]` ends with 0 where it was renewed within `FRESH_SECONDS`, else with 1 and one line.
"""

import contextlib
import os
import sys
import time
from pathlib import Path
from typing import Final

from protocol.errors import ConfigurationError

VARIABLE: Final = "SEALEDGE_BROKER__HEARTBEAT_FILE"
BEAT_SECONDS: Final = 1.0
FRESH_SECONDS: Final = 10.0
LENGTH: Final = 24


class Heartbeat:
    """The writing side. A beat holds the machine's monotonic time: setting its clock makes nobody sick or well.

    Raises:
        ConfigurationError: the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._due = path, 0.0
        try:
            path.write_bytes(b"")
        except OSError as error:
            raise ConfigurationError(f"{path}: cannot be written: {error.strerror}") from error

    def beat(self) -> None:
        """Renew the file, at most once in `BEAT_SECONDS`."""
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + BEAT_SECONDS
        # A full disk shows as a heart that stopped; the party goes on without.
        with contextlib.suppress(OSError):
            self._write(f"{now!r:>{LENGTH}}".encode())

    def _write(self, beat: bytes) -> None:
        """In place and of one length: whoever reads meanwhile finds the beat before or this one."""
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.pwrite(descriptor, beat, 0)
        finally:
            os.close(descriptor)


def fault_of(path: Path) -> str | None:
    """What is wrong with the party that renews this file, in one line; None for nothing."""
    try:
        age = time.monotonic() - float(path.read_bytes()[:LENGTH])
    except OSError as error:
        return f"{path}: {error.strerror}"
    except ValueError:
        return f"{path}: no beat yet"
    if not 0 <= age <= FRESH_SECONDS:
        return f"{path}: the last beat was {age:.0f} s ago"
    return None


def main(arguments: list[str]) -> int:
    """The command. The exit status."""
    named = arguments[0] if arguments else os.environ.get(VARIABLE)
    fault = f"{VARIABLE} is not set" if named is None else fault_of(Path(named))
    if fault is not None:
        sys.stderr.write(f"unhealthy: {fault}\n")
    return 0 if fault is None else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
