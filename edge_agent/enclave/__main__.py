"""The enclave's process, started by `edge_agent.host`: `python -m edge_agent.enclave DESCRIPTOR`.

The descriptor is one end of a socket pair. In a machine of its own (AWS Nitro) it is `vsock:PORT`, and one host after
the other is served there, each with an enclave of its own. All else comes through the socket; nothing is read from
the command line, the environment or a file.
"""

import gc
import os
import socket
import sys
from dataclasses import dataclass
from typing import Final

from edge_agent.enclave.assembly import assemble
from edge_agent.enclave.boundary import serve_untrusted
from edge_agent.enclave.compile_server import start_compile_server
from edge_agent.enclave.compiler import Compiler, compile_in_child
from edge_agent.enclave.confinement import filter_calls, isolate
from edge_agent.enclave.confinement.kernel import IS_LINUX
from edge_agent.enclave.confinement.system_calls import for_enclave, for_listening_enclave
from edge_agent.enclave.frames import FrameSocket, listen_vsock, vsock_port
from protocol.errors import SealedgeError

REFUSED, FAILED, MISUSED = 65, 70, 64
"""Exit statuses: EX_DATAERR, EX_SOFTWARE, EX_USAGE (sysexits.h)."""

SEPARATE_COMPILER: Final = "separate-compiler"


@dataclass(frozen=True, slots=True)
class Confined:
    """A process that has given up what it could: the words for it, and who compiles."""

    words: tuple[str, ...]
    compiler: Compiler


def main(arguments: list[str]) -> int:
    """Serve until the host closes the socket. Returns the exit status."""
    if len(arguments) == 1 and arguments[0].isdecimal():
        connection = socket.socket(fileno=int(arguments[0]))
        confined = confine(connection.fileno(), listening=False)
        return serve(connection, confined)
    port = vsock_port(arguments[0]) if len(arguments) == 1 else None
    if port is None:
        return MISUSED
    return serve_all(listen_vsock(port))


def confine(descriptor: int, *, listening: bool) -> Confined:
    """Keep the descriptor and give up the rest. Files can be opened no more; what is imported is imported."""
    words = isolate(descriptor)
    compiler: Compiler = compile_in_child
    # What is imported stays: a collection that looked at it would write to pages that two processes share.
    gc.freeze()
    if IS_LINUX:
        compiler = start_compile_server()
        words.append(SEPARATE_COMPILER)
    words += filter_calls((for_listening_enclave if listening else for_enclave)(os.getpid()))
    return Confined(tuple(sorted(words)), compiler)


def serve(connection: socket.socket, confined: Confined) -> int:
    """Be one enclave, for as long as its host keeps the connection. Returns the exit status."""
    try:
        serve_untrusted(
            FrameSocket(connection),
            lambda configuration: assemble(configuration, os.urandom, confined.words, confined.compiler),
            confined.words,
        )
    except SealedgeError:
        return REFUSED
    except Exception:  # its traceback may quote plaintext; the host was told where it arose
        return FAILED
    return 0


def serve_all(listener: socket.socket) -> int:
    """One enclave for each connection, with keys of its own; ends where one of them failed. Returns the exit status."""
    confined = confine(listener.fileno(), listening=True)
    while True:
        connection, _ = listener.accept()
        with connection:
            if serve(connection, confined) == FAILED:
                return FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
