"""The enclave's end of a compile server (`edge_agent.enclave.compiling.server`): a `Compiler`."""

import math
import os
import socket
import threading

from edge_agent.enclave.compiling.compiler import invalid_words, ran_out, too_slow
from edge_agent.enclave.compiling.features import PROBE
from edge_agent.enclave.compiling.limits import Limits
from edge_agent.enclave.compiling.server import ANSWER, QUESTION, Outcome, receive_exactly
from protocol.errors import EnclaveError
from schemas.reason import Reason


class SeparateCompiler:
    """Used from any number of threads; compiles one module at a time."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection, self._turn = connection, threading.Lock()

    def __call__(self, module: bytes, limits: Limits, max_stack_bytes: int) -> bytes:
        """Raises `EnclaveError`: model-invalid for what the module brought about, internal where nothing compiles."""
        seconds = math.ceil(limits.max_compile_seconds) * (os.cpu_count() or 1)
        bounds = (limits.max_compile_seconds, seconds, limits.max_compile_bytes, max_stack_bytes)
        with self._turn:
            outcome, output = self._exchange(QUESTION.pack(*bounds, len(module)), module)
        if outcome == Outcome.INVALID:
            raise invalid_words(output)
        if outcome == Outcome.TOO_SLOW:
            raise too_slow(limits)
        if outcome == Outcome.FAULT:
            raise EnclaveError("the compiler does not run", reason=Reason.INTERNAL)
        if outcome != Outcome.DONE:
            raise ran_out(outcome, limits)
        return output

    def confinement(self) -> frozenset[str]:
        """What the server has given up, which it says once, at its start. Raises `EnclaveError` where it has ended."""
        try:
            _, size = ANSWER.unpack(receive_exactly(self._connection, ANSWER.size))
            return frozenset(receive_exactly(self._connection, size).decode("ascii").split())
        except (OSError, EOFError):
            raise _ended() from None

    def compiled_probe(self, max_stack_bytes: int) -> bytes:
        """The machine code of `PROBE`: a compiler that runs there is none that this process keeps in its memory."""
        return self(PROBE, Limits(), max_stack_bytes)

    def close(self) -> None:
        """The server ends when it sees the end of the stream."""
        self._connection.close()

    def _exchange(self, header: bytes, module: bytes) -> tuple[int, bytes]:
        try:
            self._connection.sendall(header)
            self._connection.sendall(module)
            outcome, size = ANSWER.unpack(receive_exactly(self._connection, ANSWER.size))
            return outcome, receive_exactly(self._connection, size)
        except (OSError, EOFError):
            raise _ended() from None


def _ended() -> EnclaveError:
    return EnclaveError("the compiler has ended", reason=Reason.INTERNAL)
