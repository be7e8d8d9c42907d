"""A TPM in software (swtpm), on loopback, for the demo and for tests: it proves that the code works, and no more.

Its seeds are files. Whoever can read them can be this machine.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import broker
from broker.ending import await_end
from protocol.errors import ConfigurationError, Finding, TransportError

HOST: Final = "127.0.0.1"
START_SECONDS: Final = 20.0
STOP_SECONDS: Final = 5.0

_LAUNCHER: Final = Path(broker.__file__).with_name("launcher.py")


class SoftwareTpm:
    """A swtpm for a `with` block. It ends with the thread that started it.

    `folder` keeps its seeds and non-volatile memory. Within the block, `stop` and `start` are what switching a machine
    off and on is for its TPM; its two ports stay its own meanwhile. Raises `ConfigurationError` where swtpm is not
    installed.
    """

    def __init__(self, folder: Path) -> None:
        program = shutil.which("swtpm")
        if program is None:
            finding = Finding("swtpm", "the program", "none: apt install swtpm tpm2-tools")
            raise ConfigurationError("swtpm is not installed", finding=finding)
        self._program, self._folder, self._port = program, folder, 0
        self._held: tuple[socket.socket, ...] = ()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def tcti(self) -> str:
        """How it is reached; known once started, and the same after the next start."""
        return f"swtpm:host={HOST},port={self._port}"

    def start(self) -> Self:
        """Start it and wait until it listens. Raises `TransportError`."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self._held:
            self._held = _two_held_ports()
            self._port = int(self._held[0].getsockname()[1])
        self._process = self._spawn(self._port)
        if not self._listens(self._port + 1):
            self.stop()
            raise TransportError("swtpm does not come up")
        return self

    def stop(self) -> None:
        """End it: its PCRs are gone, its seeds stay. Does nothing where it does not run."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        await_end(process, STOP_SECONDS)

    def close(self) -> None:
        """End it for good: its ports are anybody's again."""
        self.stop()
        _close(self._held)
        self._held = ()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _spawn(self, port: int) -> "subprocess.Popen[bytes]":
        launcher = (sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid()), "")
        at = f"bindaddr={HOST},port="
        # The library behind a swtpm: TCTI finds the control channel one port above (Tss2_Tcti_Swtpm_Init(3)).
        sockets = ("--server", f"type=tcp,{at}{port}", "--ctrl", f"type=tcp,{at}{port + 1}")
        arguments = ("socket", "--tpm2", "--tpmstate", f"dir={self._folder}", *sockets)
        return subprocess.Popen(  # noqa: S603 - swtpm with arguments of our own, and no shell
            [*launcher, self._program, *arguments, "--flags", "not-need-init,startup-clear"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _listens(self, port: int) -> bool:
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and self._process is not None and self._process.poll() is None:
            try:
                socket.create_connection((HOST, port), 1.0).close()
            except OSError:
                time.sleep(0.01)
            else:
                return self._process.poll() is None
        return False


def _two_held_ports() -> tuple[socket.socket, socket.socket]:
    """Two neighbouring ports, bound but not listened on: no other program is given them as free ones."""
    while True:
        lower, upper = socket.socket(), socket.socket()
        try:
            lower.bind((HOST, 0))
            upper.bind((HOST, int(lower.getsockname()[1]) + 1))
        except (OSError, OverflowError):
            _close((lower, upper))
            continue
        for each in (lower, upper):
            # Set when they are bound: swtpm, which sets it too, may bind them as well, and nobody could before.
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return lower, upper


def _close(sockets: Iterable[socket.socket]) -> None:
    for each in sockets:
        each.close()
