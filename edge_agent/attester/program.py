"""Running a program for its output: bounded in time and size, in a session that ends with it."""

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import IO, Final

from edge_agent.attester.interface import AttesterError
from protocol.errors import Finding
from schemas.reason import Reason

MAX_SAID: Final = 16_384
"""Bytes of stderr that are read; what follows is thrown away."""

_MAX_LINE: Final = 200
_STEP: Final = 65_536
_PAUSE: Final = 0.002
"""Seconds between looks at a program that has closed its streams and is about to end."""

_GRACE: Final = 1.0
"""Seconds that a killed program has to be gone."""


@dataclass(frozen=True, slots=True)
class Finished:
    """How a program ended. `code` is negative where a signal ended it. Nothing of it is trusted."""

    code: int
    output: bytes = field(repr=False)
    said: bytes = field(repr=False)

    @property
    def last_line(self) -> str:
        """The last line on stderr, printable and short."""
        lines = self.said.decode("utf-8", "replace").strip().splitlines()
        line = "".join(each if each.isprintable() else "?" for each in lines[-1]) if lines else "it says nothing"
        return line[:_MAX_LINE]


def run_program(
    argv: Sequence[str], given: bytes, *, environment: Mapping[str, str], timeout: float, max_output: int
) -> Finished:
    """Run it with `given` on stdin: no more than a pipe holds, 4,096 bytes. Waits at most `timeout` seconds.

    Raises `AttesterError`: timeout, oversized, or it cannot be run.
    """
    deadline = time.monotonic() + timeout
    with _running(argv, environment) as process:
        _give(process, given)
        output, said = bytearray(), bytearray()
        for is_output, data in _heard(process, deadline, argv[0]):
            if not is_output:
                said += data[: MAX_SAID - len(said)]
                continue
            output += data
            if len(output) > max_output:
                finding = Finding("stdout", f"at most {max_output} bytes", "more")
                raise AttesterError(f"{argv[0]} prints too much", reason=Reason.OVERSIZED, finding=finding)
        _wait(process, deadline, argv[0])
    return Finished(process.returncode, bytes(output), bytes(said))


@contextmanager
def _running(argv: Sequence[str], environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    pipe = subprocess.PIPE
    try:
        process = subprocess.Popen(  # noqa: S603 - the program is the machine owner's choice, and no shell reads it
            argv, stdin=pipe, stdout=pipe, stderr=pipe, env=environment, cwd="/", bufsize=0, start_new_session=True
        )
    except (OSError, ValueError) as error:
        raise AttesterError(f"{argv[0]} cannot be run: {error}") from None
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Its whole group, also what it started and left behind. It is not reaped yet, so the number is still its."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    for stream in (process.stdin, process.stdout, process.stderr):
        _stream(stream).close()
    # What runs as another user cannot be ended from here; it is not waited for either.
    with suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE)


def _give(process: subprocess.Popen[bytes], given: bytes) -> None:
    # A program that takes its report data from the environment need not read it.
    with suppress(BrokenPipeError), _stream(process.stdin) as stream:
        stream.write(given)


def _heard(process: subprocess.Popen[bytes], deadline: float, name: str) -> Iterator[tuple[bool, bytes]]:
    """What comes, until both streams end: whether it is output, and the bytes."""
    with selectors.DefaultSelector() as selector:
        for stream in (_stream(process.stdout), _stream(process.stderr)):
            selector.register(stream, selectors.EVENT_READ)
        while selector.get_map():
            left = deadline - time.monotonic()
            ready = selector.select(left) if left > 0 else []
            if not ready:
                raise _late(name)
            for key, _ in ready:
                data = os.read(key.fd, _STEP)
                if not data:
                    selector.unregister(key.fileobj)
                yield key.fileobj is process.stdout, data


def _wait(process: subprocess.Popen[bytes], deadline: float, name: str) -> None:
    """Until it ends, without reaping it."""
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if time.monotonic() > deadline:
            raise _late(name)
        time.sleep(_PAUSE)


def _late(name: str) -> AttesterError:
    return AttesterError(f"{name} takes too long", reason=Reason.TIMEOUT)


def _stream(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise AttesterError("the program has no pipes")
    return stream
