"""The default broker: a child process on loopback, open to every program of this machine.

It needs no protection of its own: nobody trusts it, and the messages protect themselves.
`mosquitto` keeps sessions and retained messages over a restart; `iotcore`, which pip installs, keeps neither.
"""

import atexit
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Literal

from broker.children import HOST, find_mosquitto, iotcore_command, mosquitto_command
from broker.ending import await_end
from broker.probe import answers_connect
from protocol.errors import ConfigurationError, TransportError

START_SECONDS = 5.0
STOP_SECONDS = 5.0
PORT_TRIES = 3


class Embedded:
    """A broker from `start` to `stop`, or for a `with` block. It ends with the process that started it.

    mosquitto ends with the starting thread, even: start it from one that stays.
    `directory` keeps mosquitto's sessions for the next time; without it they are removed at the end.

    Raises:
        ConfigurationError: mosquitto was asked for and is not installed.
    """

    def __init__(
        self,
        kind: Literal["auto", "mosquitto", "iotcore"] = "auto",
        port: int = 0,
        directory: Path | None = None,
    ) -> None:
        self._mosquitto = None if kind == "iotcore" else find_mosquitto()
        if kind == "mosquitto" and self._mosquitto is None:
            raise ConfigurationError("no mosquitto program is installed: install it, or use the kind iotcore")
        self.kind: Literal["mosquitto", "iotcore"] = "mosquitto" if self._mosquitto else "iotcore"
        self.port = port
        self._given = directory
        self._directory: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """What to give to `ConnectionSettings`; known once started."""
        return f"mqtt://{HOST}:{self.port}"

    @property
    def directory(self) -> Path | None:
        """Where configuration, log and mosquitto's sessions are, or None before `start`."""
        return self._directory

    @property
    def pid(self) -> int | None:
        """The process identifier of the broker, or None while it does not run."""
        return None if self._process is None else self._process.pid

    def start(self) -> "Embedded":
        """Start the broker, on the same port as before if there was one, and wait until it answers a CONNECT.

        Raises:
            TransportError: it ended, or did not answer in time; the message ends with its last words.
        """
        if self._process is not None and self._process.poll() is None:
            return self
        self._wait_for_end()
        atexit.register(self.stop)
        # Another program may take a free port before the broker does.
        for tries_left in reversed(range(PORT_TRIES if self.port == 0 else 1)):
            port = self.port or free_port()
            try:
                self._start_at(port)
            except TransportError:
                self.kill()
                if not tries_left:
                    self.stop()
                    raise
            else:
                self.port = port
                break
        return self

    def stop(self) -> None:
        """End the broker in order, and remove what it left behind. Safe to call twice."""
        atexit.unregister(self.stop)
        if self._process is not None:
            self._process.terminate()
        self._wait_for_end()
        if self._directory is not None and self._directory != self._given:
            shutil.rmtree(self._directory, ignore_errors=True)
        self._directory = None

    def kill(self) -> None:
        """End the broker as a power cut would; `start` begins it again with what it had on disk."""
        if self._process is not None:
            self._process.kill()
        self._wait_for_end()

    def __enter__(self) -> "Embedded":
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # The child

    def _start_at(self, port: int) -> None:
        _check_free(port)
        if self._directory is None:
            self._directory = self._given or Path(tempfile.mkdtemp(prefix="sealedge-broker-"))
        directory = self._directory.resolve()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        command = (
            mosquitto_command(self._mosquitto, directory, port) if self._mosquitto else iotcore_command(directory, port)
        )
        with (directory / "broker.log").open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - programs of ours or mosquitto, and no shell
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=log, cwd=directory
            )
        self._wait_until_it_answers(self._process, port, directory / "broker.log")

    def _wait_until_it_answers(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            if process.poll() is not None:
                raise TransportError(f"the embedded {self.kind} ended at once: {_last_words(log)}")
            if answers_connect(HOST, port):
                return
            time.sleep(0.01)
        raise TransportError(f"the embedded {self.kind} does not answer: {_last_words(log)}")

    def _wait_for_end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        await_end(process, STOP_SECONDS)
        if process.stdin is not None:
            process.stdin.close()


def free_port() -> int:
    """A port of loopback where nobody listens now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _check_free(port: int) -> None:
    """Refuse a port where somebody else listens, who might pass for the broker."""
    try:
        socket.create_server((HOST, port)).close()
    except OSError as error:
        raise TransportError(f"the port {port} is in use") from error


def _last_words(log: Path) -> str:
    """The last line of a log that says anything."""
    lines = [line.strip() for line in log.read_text("utf-8", "replace").splitlines()]
    return next((line for line in reversed(lines) if line), "it said nothing")
