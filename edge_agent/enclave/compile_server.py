"""A process that compiles for a confined enclave, which starts no process any more: a fork for each module.

It is forked before the enclave has made a key, and passes modules on without looking at them. Each is compiled in
a fork of its own, within limits of time and memory, and under a filter that leaves it memory, threads and a pipe:
a module that breaks the compiler has nothing but itself.

    question  seconds, processor seconds, data bytes, stack bytes, length, module
    answer    outcome, length, machine code or words
"""

import gc
import math
import os
import select
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable
from enum import IntEnum
from functools import partial
from typing import Final, NoReturn

import wasmtime

from edge_agent.enclave.compile_child import bound
from edge_agent.enclave.compiler import invalid_words, ran_out, too_slow
from edge_agent.enclave.confinement import close_all_but, filter_calls, stay_private
from edge_agent.enclave.confinement.system_calls import for_compile_server, for_compiler
from edge_agent.enclave.engine import compiled
from edge_agent.enclave.limits import HARD_CAPS, Limits
from protocol.errors import EnclaveError
from schemas.reason import Reason

_QUESTION: Final = struct.Struct("=dIQIQ")
_ANSWER: Final = struct.Struct("=iQ")
_AT_ONCE: Final = 2**20
MAX_OUTPUT: Final = 8 * int(HARD_CAPS["max_module_bytes"])


class Outcome(IntEnum):
    """How a compilation ended; below zero, by that signal. As exit statuses, these are none of Python's own."""

    DONE = 0
    INVALID = 3
    OUT_OF_MEMORY = 4
    FAULT = 5
    TOO_SLOW = 6


class CompileServer:
    """The enclave's end: a `Compiler`. Used from any number of threads; compiles one module at a time."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection, self._turn = connection, threading.Lock()

    def __call__(self, module: bytes, limits: Limits, max_stack_bytes: int) -> bytes:
        """Raises `EnclaveError`: model-invalid for what the module brought about, internal where nothing compiles."""
        seconds = math.ceil(limits.max_compile_seconds) * (os.cpu_count() or 1)
        bounds = (limits.max_compile_seconds, seconds, limits.max_compile_bytes, max_stack_bytes)
        with self._turn:
            outcome, output = self._exchange(_QUESTION.pack(*bounds, len(module)), module)
        if outcome == Outcome.INVALID:
            raise invalid_words(output)
        if outcome == Outcome.TOO_SLOW:
            raise too_slow(limits)
        if outcome == Outcome.FAULT:
            raise EnclaveError("the compiler does not run", reason=Reason.INTERNAL)
        if outcome != Outcome.DONE:
            raise ran_out(outcome, limits)
        return output

    def close(self) -> None:
        """The server ends when it sees the end of the stream."""
        self._connection.close()

    def _exchange(self, header: bytes, module: bytes) -> tuple[int, bytes]:
        try:
            self._connection.sendall(header)
            self._connection.sendall(module)
            outcome, size = _ANSWER.unpack(_exactly(self._connection, _ANSWER.size))
            return outcome, _exactly(self._connection, size)
        except (OSError, EOFError):
            raise EnclaveError("the compiler has ended", reason=Reason.INTERNAL) from None


def start_compile_server() -> CompileServer:
    """Fork a compile server. For a process with one thread that is isolated, and not yet filtered, alone."""
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        _become(lambda: _serve(theirs, ours))
    theirs.close()
    return CompileServer(ours)


def _serve(connection: socket.socket, other: socket.socket) -> None:
    other.close()
    close_all_but(connection.fileno())
    stay_private()
    filter_calls(for_compile_server())
    gc.freeze()  # what a fork does not touch is not copied
    while True:
        seconds, *bounds, size = _QUESTION.unpack(_exactly(connection, _QUESTION.size))
        outcome, output = _bounded(partial(_compile_to, _exactly(connection, size), *bounds), seconds)
        connection.sendall(_ANSWER.pack(outcome, len(output)))
        connection.sendall(output)


def _bounded(work: Callable[[int], int], seconds: float) -> tuple[int, bytes]:
    """Do work in a fork that writes to a pipe and returns its outcome; kill it when its time is up."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _become(lambda: work(writing))
    os.close(writing)
    output = _read_until(reading, time.monotonic() + seconds)
    os.close(reading)
    if output is None:
        os.kill(child, signal.SIGKILL)
    outcome = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return (Outcome.TOO_SLOW, b"") if output is None else (outcome, output)


def _read_until(pipe: int, end: float) -> bytes | None:
    """All that comes; None where it takes longer, or is more than machine code can be."""
    parts: list[bytes] = []
    size = 0
    ready = select.poll()
    ready.register(pipe, select.POLLIN)
    while size <= MAX_OUTPUT and ready.poll(max(0.0, end - time.monotonic()) * 1000):
        part = os.read(pipe, _AT_ONCE)
        if not part:
            return b"".join(parts)
        parts.append(part)
        size += len(part)
    return None


def _compile_to(module: bytes, processor_seconds: int, data_bytes: int, stack_bytes: int, pipe: int) -> int:
    bound(processor_seconds, data_bytes)
    close_all_but(pipe)
    stay_private()
    filter_calls(for_compiler(os.getpid()))
    try:
        output, outcome = compiled(module, stack_bytes), Outcome.DONE
    except wasmtime.WasmtimeError as refused:
        output, outcome = str(refused).encode(), Outcome.INVALID
    rest = memoryview(output)
    while rest:
        rest = rest[os.write(pipe, rest) :]
    return outcome


def _become(work: Callable[[], int | None]) -> NoReturn:
    """Be another process from here on: whatever happens, the code of the one that was forked does not go on."""
    status: int = Outcome.FAULT
    try:
        status = work() or 0
    except MemoryError:
        status = Outcome.OUT_OF_MEMORY
    except EOFError:
        status = 0
    finally:
        os._exit(status)


def _exactly(connection: socket.socket, size: int) -> bytes:
    """Raises `EOFError` where the other end has closed."""
    parts = []
    while size:
        part = connection.recv(min(size, _AT_ONCE))
        if not part:
            raise EOFError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
