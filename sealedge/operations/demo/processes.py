"""The parties as processes: started, listened to line by line, and ended together."""

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from broker.ending import await_end
from protocol.errors import SealedgeError

Said = dict[str, Any]
STOP_SECONDS = 8.0


class PartyFailedError(SealedgeError):
    """A process of the demo ended, or did not say what was waited for."""


class Troupe:
    """Processes of `sealedge` commands, run by the module `program`.

    Everything they say arrives in one queue, in order of arrival.
    """

    def __init__(self, folder: Path, tell: Callable[[Said], None], program: str = "sealedge") -> None:
        self._folder, self._tell, self._program = folder, tell, program
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._said: queue.Queue[Said] = queue.Queue()
        self._readers: list[threading.Thread] = []
        self.heard: list[Said] = []

    def start(self, name: str, *arguments: str, feed: bool = False) -> None:
        """Start `sealedge ARGUMENTS`; its JSON lines on stdout and stderr are said under `name`.

        With `feed` its standard input is written by `write` and `close`.
        """
        process = subprocess.Popen(  # noqa: S603 - this very program, or the benchmark's
            [sys.executable, "-m", self._program, *arguments],
            cwd=self._folder,
            stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"},
        )
        self._processes[name] = process
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                reader = threading.Thread(target=self._read, args=(name, stream), daemon=True)
                reader.start()
                self._readers.append(reader)

    def write(self, name: str, line: str) -> None:
        """A line to a process's standard input."""
        stream = self._processes[name].stdin
        if stream is None:
            raise PartyFailedError(f"{name} reads no standard input")
        try:
            stream.write(line + "\n")
            stream.flush()
        except OSError:
            raise PartyFailedError(f"{name} reads no more: {self._last_words(name)}") from None

    def close(self, name: str) -> None:
        """The end of a process's standard input."""
        stream = self._processes[name].stdin
        if stream is not None:
            stream.close()

    def wait_for(self, what: Callable[[Said], bool], why: str, seconds: float = 60.0) -> Said:
        """Listen until something is said that fits. Raises `PartyFailedError` if it is not, or a process ends badly."""
        until = time.monotonic() + seconds
        while True:
            left = until - time.monotonic()
            if left <= 0:
                raise PartyFailedError(f"waited {seconds:.0f} s in vain for {why}; last heard: {self._last_words()}")
            try:
                said = self._said.get(timeout=min(left, 0.25))
            except queue.Empty:
                self._check_alive()
                continue
            self.heard.append(said)
            self._tell(said)
            if what(said):
                return said

    def wait_for_end(self, name: str, seconds: float = 60.0) -> int:
        """Listen until a process has ended and been heard to its end. Returns its exit status."""
        ended = {"party": name, "event": "process-ended"}
        said = self.wait_for(lambda said: ended.items() <= said.items(), f"the end of {name}", seconds)
        return int(said["status"])

    def memory(self, name: str, kind: str = "Pss") -> int | None:
        """Bytes that a process and its children hold, or None where Linux does not tell.

        `Pss` shares pages that several map among them; `Rss` counts them for each.
        """
        pid = self._processes[name].pid
        found = [_memory(each, kind) for each in (pid, *_children(pid))]
        return None if None in found else sum(each or 0 for each in found)

    def pid(self, name: str) -> int:
        """The identifier of a party's process."""
        return self._processes[name].pid

    def stop(self, name: str) -> None:
        """SIGTERM to one process; it leaves in order."""
        self._processes[name].terminate()

    def end(self) -> list[str]:
        """SIGTERM to all, then wait. Returns the names of those that had to be killed."""
        for process in self._processes.values():
            if process.poll() is None:
                process.terminate()
        until, killed = time.monotonic() + STOP_SECONDS, []
        for name, process in self._processes.items():
            if await_end(process, max(0.1, until - time.monotonic())):
                killed.append(name)
        for reader in self._readers:
            reader.join(1.0)
        return killed

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def _read(self, name: str, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                self._said.put(_parsed(name, line.rstrip("\n")))
        process = self._processes[name]
        if stream is process.stdout:
            self._said.put({"party": name, "event": "process-ended", "status": process.wait()})

    def _check_alive(self) -> None:
        for name, process in self._processes.items():
            status = process.poll()
            if status not in (None, 0) and self._said.empty():
                raise PartyFailedError(f"{name} ended with status {status}: {self._last_words(name)}")

    def _last_words(self, name: str | None = None) -> str:
        heard = (said for said in self.heard if said["event"] != "process-ended")
        words = [said for said in heard if name is None or said["party"] == name]
        return json.dumps(words[-1]) if words else "nothing"


def _parsed(name: str, line: str) -> Said:
    at = time.perf_counter()
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        return {"party": name, "event": "line", "text": line, "at": at}
    return {"event": "output", **found, "party": name, "at": at}


def _memory(pid: int, kind: str) -> int | None:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{kind}:")), None)


def _children(pid: int) -> Sequence[int]:
    try:
        named = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
    except OSError:
        return []
    return [int(each) for each in named]
