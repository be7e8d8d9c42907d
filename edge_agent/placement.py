"""Enclaves that are no child of their host: in its own process, or in another machine of the same hypervisor.

`edge_agent.host` has the usual one, and the same three: `start`, `stop`, `client`.
"""

import os
import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from edge_agent.enclave.boundary import serve_untrusted
from edge_agent.enclave.configuration import EnclaveConfiguration
from edge_agent.enclave.confinement import IN_PLACE, MEASURES
from edge_agent.enclave.frames import FrameSocket, connect_vsock
from edge_agent.enclave_client import EnclaveClient
from edge_agent.host import COMPILE_SECONDS, START_SECONDS
from protocol.errors import ConfigurationError, Finding, SealedgeError
from protocol.party import Noted

ENDING_SECONDS: Final = 2.0


class EnclavePlace(Protocol):
    """Where an enclave runs."""

    def begin(self) -> None:
        """Let it come up, if that takes time in which something else can be done. Raises `SealedgeError`."""

    def start(self) -> EnclaveClient:
        """A new enclave, with new keys, in place of any that runs. Raises `SealedgeError`."""

    def stop(self) -> None:
        """End it. Does nothing where none runs."""


class _Connected(ABC):
    def __init__(self, configuration: EnclaveConfiguration) -> None:
        self._configuration = configuration
        self._client: EnclaveClient | None = None

    def begin(self) -> None:
        """End any that runs. The next is there already, or comes up in this process."""
        self.stop()

    def start(self) -> EnclaveClient:
        """A new enclave. Raises `EnclaveError` where it does not come up, `TransportError` where it is not there."""
        self.stop()
        frames = self._connect()
        try:
            frames.limit_waiting(START_SECONDS)
            self._client = EnclaveClient(frames, self._configuration)
            frames.limit_waiting(COMPILE_SECONDS + self._configuration.measured.limits.module.milliseconds / 1000)
        except BaseException:
            frames.close()
            self.stop()
            raise
        return self._client

    def stop(self) -> None:
        """Close the socket, which ends the enclave."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    @abstractmethod
    def _connect(self) -> FrameSocket: ...


class EnclaveOverVsock(_Connected):
    """An enclave that listens in a machine of its own: `python -m edge_agent.enclave vsock:PORT` there."""

    def __init__(self, configuration: EnclaveConfiguration, connect: Callable[[float], socket.socket], /) -> None:
        super().__init__(configuration)
        self._dial = connect

    @classmethod
    def at(cls, configuration: EnclaveConfiguration, cid: int, port: int) -> "EnclaveOverVsock":
        """The enclave of that context identifier, at that port."""
        return cls(configuration, lambda seconds: connect_vsock(cid, port, seconds))

    def _connect(self) -> FrameSocket:
        return FrameSocket(self._dial(START_SECONDS))


class EnclaveInPlace(_Connected):
    """An enclave in a thread of its host's process, for machines that are the TEE as a whole.

    It stands behind the same boundary, so that a fault in it is a crash of it alone; but the host can read all of
    its memory, and one that hangs cannot be ended. Its claims say so: the one word `in-place`.
    """

    def __init__(self, configuration: EnclaveConfiguration) -> None:
        super().__init__(configuration)
        self._thread: threading.Thread | None = None

    def stop(self) -> None:
        """Close the socket, and wait for a moment until the thread has ended."""
        super().stop()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(ENDING_SECONDS)

    def _connect(self) -> FrameSocket:
        ours, theirs = socket.socketpair()
        self._thread = threading.Thread(target=_serve, args=(theirs,), name="enclave", daemon=True)
        self._thread.start()
        return FrameSocket(ours)


def _serve(connection: socket.socket) -> None:
    # Imported here: a host whose enclave is elsewhere needs neither the runtime nor the memory that it takes.
    from edge_agent.enclave.assembly import assemble  # noqa: PLC0415

    words = (IN_PLACE,)
    with connection:
        try:
            serve_untrusted(FrameSocket(connection), lambda found: assemble(found, os.urandom, words), words)
        except SealedgeError:
            return
        except Exception:  # its traceback may quote plaintext; the host was told where it arose
            return


def confined(client: EnclaveClient, *, strict: bool) -> Noted:
    """What an enclave's process has given up and what not, for the log.

    Raises `ConfigurationError` where `strict` demands every measure and one is missing.
    """
    missing = [each for each in MEASURES if each not in client.confinement]
    if strict and missing:
        raise ConfigurationError(
            "the enclave's process cannot be confined as strictly as the settings demand",
            finding=Finding("confinement", "every measure", f"without {_words(missing)}"),
        )
    return Noted("enclave-confined", {"measures": _words(client.confinement), "missing": _words(missing)})


def _words(words: Iterable[str]) -> str:
    return " ".join(words) or "none"
