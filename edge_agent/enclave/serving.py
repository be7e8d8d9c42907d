"""A process that gives up what an enclave does without, and is one: for one host, or for one after the other."""

import gc
import os
import socket
from dataclasses import dataclass
from functools import partial
from typing import Final

from edge_agent.enclave.assembly import assemble
from edge_agent.enclave.boundary import serve_untrusted
from edge_agent.enclave.compiling.compiler import Compiler, compile_in_child
from edge_agent.enclave.compiling.engine import engine_fingerprint
from edge_agent.enclave.confinement import filter_calls, isolate
from edge_agent.enclave.confinement.system_calls import for_enclave, for_listening_enclave
from edge_agent.enclave.frames import FrameSocket, listen_vsock, vsock_port
from edge_agent.enclave.loading import Fingerprint
from protocol.errors import SealedgeError

REFUSED, FAILED, MISUSED = 65, 70, 64
"""Exit statuses: EX_DATAERR, EX_SOFTWARE, EX_USAGE (sysexits.h)."""

SEPARATE_COMPILER: Final = "separate-compiler"


@dataclass(frozen=True, slots=True)
class Confined:
    """A process that has given up what it could: the words for it, and who compiles."""

    words: tuple[str, ...]
    compiler: Compiler
    fingerprint: Fingerprint


def serve_at(place: str, compiling: socket.socket | None) -> int:
    """Serve on a descriptor, or on `vsock:PORT`. `compiling` leads to a compile server. Returns the exit status."""
    if place.isdecimal():
        connection = socket.socket(fileno=int(place))
        return serve(connection, confine(connection.fileno(), compiling, listening=False))
    port = vsock_port(place)
    return MISUSED if port is None else serve_all(listen_vsock(port), compiling)


def confine(descriptor: int, compiling: socket.socket | None, *, listening: bool) -> Confined:
    """Keep the descriptors and give up the rest. Files can be opened no more; what is imported is imported.

    Claimed is what the compile server, which confines itself, has given up as well. Raises `EnclaveError` where it
    is not there.
    """
    # What is imported stays: no collection needs to look at it.
    gc.freeze()
    if compiling is None:
        words = isolate(descriptor) + _filtered(listening)
        return Confined(tuple(sorted(words)), compile_in_child, engine_fingerprint)
    from edge_agent.enclave.compiling.separate import SeparateCompiler  # noqa: PLC0415 - of Linux alone

    words = isolate(descriptor, compiling.fileno())
    compiler = SeparateCompiler(compiling)
    both = compiler.confinement() & {*words, *_filtered(listening)}
    fingerprint = partial(engine_fingerprint, compiling=compiler.compiled_probe)
    return Confined(tuple(sorted({*both, SEPARATE_COMPILER})), compiler, fingerprint)


def _filtered(listening: bool) -> list[str]:
    return filter_calls((for_listening_enclave if listening else for_enclave)(os.getpid()))


def serve(connection: socket.socket, confined: Confined) -> int:
    """Be one enclave, for as long as its host keeps the connection. Returns the exit status."""
    own = (confined.words, confined.compiler, confined.fingerprint)
    try:
        serve_untrusted(
            FrameSocket(connection),
            lambda configuration: assemble(configuration, os.urandom, *own),
            confined.words,
        )
    except SealedgeError:
        return REFUSED
    except Exception:  # its traceback may quote plaintext; the host was told where it arose
        return FAILED
    return 0


def serve_all(listener: socket.socket, compiling: socket.socket | None) -> int:
    """One enclave for each connection, with keys of its own; ends where one of them failed. Returns the exit status."""
    confined = confine(listener.fileno(), compiling, listening=True)
    while True:
        connection, _ = listener.accept()
        with connection:
            if serve(connection, confined) == FAILED:
                return FAILED
