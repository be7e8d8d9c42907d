"""The processes: started, listened to line by line, fed, killed, started again, and ended together."""

import json
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any, Final, Self

from bench.processes import family
from broker.ending import await_end
from soak.fleet import Program, environment
from soak.ledger import Sent

STOP_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Heard:
    """A line that a process said on stdout or stderr, as JSON; `at` in seconds, monotonic."""

    party: str
    line: Mapping[str, Any]
    at: float

    @property
    def event(self) -> str:
        """What is told on stderr; "" for a line of stdout, which is output."""
        return str(self.line.get("event", ""))


@dataclass(frozen=True, slots=True)
class Given:
    """A reading that is about to be given to a sensor, as its row of this number."""

    sensor: str
    row: int
    sent: Sent


class Processes:
    """All that run, by name. Everything they say arrives in `heard`, in order of arrival."""

    def __init__(self, programs: Mapping[str, Program]) -> None:
        self._programs = programs
        self._running: dict[str, subprocess.Popen[str]] = {}
        self._stopping: set[str] = set()
        self.heard: queue.Queue[Heard | Given] = queue.Queue()

    def start(self, name: str) -> None:
        """Start it, or start it again."""
        program = self._programs[name]
        is_broker = name == "broker"
        process = subprocess.Popen(  # noqa: S603 - this very program, and the broker that was found
            program.command,
            cwd=program.folder,
            env=environment(),
            stdin=subprocess.PIPE if program.is_fed else subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if is_broker else subprocess.PIPE,
            stderr=subprocess.DEVNULL if is_broker else subprocess.PIPE,
            text=True,
        )
        self._running[name] = process
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                threading.Thread(target=self._listen, args=(name, stream), daemon=True).start()

    def revive(self, name: str) -> None:
        """Start one again that ended by itself. A sensor is not: its rows would begin anew."""
        if self._programs[name].is_fed:
            self._stopping.add(name)
        else:
            self.start(name)

    def feed(self, name: str, line: str) -> bool:
        """A line to its standard input; this waits while it takes no more. False where it has ended."""
        stream = self._running[name].stdin
        try:
            if stream is not None:
                stream.write(line + "\n")
                stream.flush()
        except OSError:
            return False
        return True

    def end_of_feed(self, name: str) -> None:
        """The end of its standard input: it ends by itself when all is told."""
        self._stopping.add(name)
        stream = self._running[name].stdin
        if stream is not None:
            with suppress(OSError):
                stream.close()

    def kill(self, victim: str) -> None:
        """As kill -9 does: a party, which is gone when this returns, or the agent's enclave, if it has one now."""
        if victim == "enclave":
            for pid in self.pids("enclave")[:1]:
                os.kill(pid, signal.SIGKILL)
            return
        self._running[victim].kill()
        self._running[victim].wait()

    def pids(self, name: str) -> list[int]:
        """Of a party alone; of the enclave with its children, which compile. Empty where it is not there now."""
        try:
            if name == "enclave":
                return family(self._running["agent"].pid)[1:]
            return [self._running[name].pid]
        except (OSError, KeyError):
            return []

    def is_running(self, name: str) -> bool:
        """Whether it was started and has not ended."""
        return name in self._running and self._running[name].poll() is None

    def ended_by_themselves(self) -> list[str]:
        """Those that were not stopped and are gone."""
        return [name for name in self._running if name not in self._stopping and not self.is_running(name)]

    def end(self) -> list[str]:
        """SIGTERM to all, the broker last. Returns what had to be killed."""
        killed = []
        for name in (*(each for each in self._running if each != "broker"), "broker"):
            process = self._running.get(name)
            if process is None:
                continue
            self._stopping.add(name)
            process.terminate()
            if await_end(process, STOP_SECONDS):
                killed.append(name)
        return killed

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_about_the_block: object) -> None:
        self.end()

    def _listen(self, name: str, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                self.heard.put(Heard(name, _parsed(line), time.monotonic()))


def _parsed(line: str) -> Mapping[str, Any]:
    with suppress(ValueError):
        found = json.loads(line)
        if isinstance(found, dict):
            return found
    return {"event": "line", "text": line.rstrip("\n")}
