"""A scripted enclave behind the real boundary, served from a thread as a child process would serve it."""

import socket
import threading

from edge_agent.enclave.boundary import serve_untrusted
from edge_agent.enclave.frames import FrameSocket
from edge_agent.enclave_client import EnclaveClient
from tests.support.scripted_enclave import CONFIGURATION, ScriptedEnclave

NOW = 1_800_000_000.25


class Inside:
    """A server in a thread, as a child process would be one."""

    def __init__(self, enclave: ScriptedEnclave) -> None:
        self.enclave, self.fault = enclave, None
        ours, theirs = socket.socketpair()
        self._frames = FrameSocket(theirs)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        self.client = EnclaveClient(FrameSocket(ours), CONFIGURATION)

    def _serve(self) -> None:
        try:
            serve_untrusted(self._frames, lambda _configuration: self.enclave)
        except Exception as fault:
            self.fault = fault
        finally:
            self._frames.close()

    def close(self) -> None:
        self.client.close()
        self._thread.join(5)
        assert not self._thread.is_alive()
