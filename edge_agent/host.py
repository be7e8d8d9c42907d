"""The enclave as a child process: started, watched, ended and started again by its untrusted host.

Linux ends the child with the thread that started it (PR_SET_PDEATHSIG): start it from a thread that outlives it.
"""

import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from edge_agent.enclave.configuration import EnclaveConfiguration
from edge_agent.enclave.frames import FrameSocket
from edge_agent.enclave_client import EnclaveClient
from edge_agent.installed import installed
from edge_agent.measurement import DISTRIBUTIONS
from protocol.errors import ConfigurationError, EnclaveError

# `-I`: neither the working directory nor the environment chooses what is imported. `-S`: nor does a `.pth` file.
# `-B` and a prefix that cannot exist: no cached bytecode, which nobody measures, runs in place of the measured source.
_PYTHON: Final = (sys.executable, "-I", "-S", "-B", "-X", "pycache_prefix=/dev/null")


@cache
def command() -> tuple[str, ...]:
    """Runs an enclave on the descriptor that is appended; a TEE's launcher may stand in front.

    It imports what is measured, from where that lies: other folders are not searched. Raises `ConfigurationError`.
    """
    root = Path(__file__).parent.parent
    folders = dict.fromkeys(str(each) for each in (root, *(found.folder for found in installed(DISTRIBUTIONS))))
    return (*_PYTHON, str(root / "edge_agent" / "enclave" / "start.py"), *folders)


def list_sources() -> tuple[str, ...]:
    """The command that names the sources which an enclave imports (`edge_agent.bytecode`)."""
    return (*command(), "list")


START_SECONDS: Final = 60.0
COMPILE_SECONDS: Final = 120.0
"""What loading a model may take on top of what one inference may take, before the enclave counts as hanging."""

ENDING_SECONDS: Final = 2.0


class EnclaveProcess:
    """At most one enclave process at a time; a context manager that leaves none behind."""

    def __init__(
        self,
        configuration: EnclaveConfiguration,
        own_command: Sequence[str] | None = None,
        bytecode: Callable[[], IO[bytes] | None] | None = None,
    ) -> None:
        """`bytecode` opens, for each start, what `edge_agent.bytecode` keeps; only with the usual `command`."""
        self._configuration = configuration
        self._command = command() if own_command is None else tuple(own_command)
        self._bytecode = bytecode if own_command is None else None
        self._process: subprocess.Popen[bytes] | None = None
        self._begun: FrameSocket | None = None
        self._client: EnclaveClient | None = None
        self.answer_seconds = COMPILE_SECONDS + configuration.measured.limits.module.milliseconds / 1000
        """How long one call may take."""

    @property
    def client(self) -> EnclaveClient:
        """The enclave. Raises `EnclaveError` while none runs."""
        if self._client is None:
            raise EnclaveError("no enclave runs")
        return self._client

    @property
    def pid(self) -> int | None:
        """The process that runs, or None."""
        return None if self._process is None else self._process.pid

    def begin(self) -> None:
        """Start the process of the next enclave; `start` waits for it. What it needs, it imports meanwhile.

        Raises `ConfigurationError` for a command that cannot be started.
        """
        self.stop()
        ours, theirs = socket.socketpair()
        self._begun = FrameSocket(ours)
        try:
            with theirs:
                self._process = self._spawn(theirs.fileno())
        except BaseException:
            self.stop()
            raise

    def start(self) -> EnclaveClient:
        """A new enclave, with new keys, in place of any that runs.

        Raises `EnclaveError` where it does not come up: its own words, or how its process ended.
        """
        if self._begun is None:
            self.begin()
        return self._connected()

    def _connected(self) -> EnclaveClient:
        frames, self._begun = self._begun, None
        if frames is None:
            raise EnclaveError("no enclave was begun")
        try:
            frames.limit_waiting(START_SECONDS)
            self._client = EnclaveClient(frames, self._configuration, self._ending)
            frames.limit_waiting(self.answer_seconds)
        except BaseException:
            frames.close()
            self.stop()
            raise
        return self._client

    def stop(self) -> None:
        """End the enclave: by closing its socket, by force if it does not heed that. Does nothing where none runs."""
        client, self._client = self._client, None
        begun, self._begun = self._begun, None
        process, self._process = self._process, None
        for each in (client, begun):
            if each is not None:
                each.close()
        if process is not None:
            _end(process, ENDING_SECONDS)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _spawn(self, descriptor: int) -> "subprocess.Popen[bytes]":
        kept = self._bytecode() if self._bytecode is not None else None
        if kept is None:
            return _started(self._command, descriptor)
        with kept:
            return _started(self._command, kept.fileno(), descriptor)

    def _ending(self, hangs: bool) -> str:
        """How the process ended; by force if it hangs, since its client is of no use any more."""
        if self._process is None:
            return ""
        status = _end(self._process, 0 if hangs else ENDING_SECONDS)
        return f"signal {-status}, {signal.strsignal(-status)}" if status < 0 else f"exit status {status}"


def _started(command: Sequence[str], *descriptors: int) -> "subprocess.Popen[bytes]":
    try:
        return subprocess.Popen(  # noqa: S603 - the operator's own command, and no shell
            [*command, *map(str, descriptors)],
            pass_fds=descriptors,
            env={},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
    except OSError as error:
        raise ConfigurationError(f"{command[0]}: cannot be started: {error.strerror}") from error


def _end(process: "subprocess.Popen[bytes]", seconds: float) -> int:
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
