"""A process that compiles for a confined enclave, which starts no process any more: a fork for each module.

It is forked first, from a process that has imported little: what the enclave imports and makes later is not in its
memory. It gives up what the enclave gives up, says so, and passes modules on without looking at
them. Each is compiled in a fork of its own, within limits of time and memory, and under a filter that leaves it memory,
threads and a pipe: a module that breaks the compiler has nothing but itself.

    at the start  0, length, words for what it has given up
    question      seconds, processor seconds, data bytes, stack bytes, length, module
    answer        outcome, length, machine code or words
"""

import gc
import os
import resource
import select
import signal
import socket
import struct
import time
from collections.abc import Callable
from enum import IntEnum
from functools import partial
from typing import Final, NoReturn

from edge_agent.enclave.compiling.native import RefusedError, compiled
from edge_agent.enclave.confinement import close_all_but, filter_calls, isolate, stay_private
from edge_agent.enclave.confinement.system_calls import for_compile_server, for_compiler

QUESTION: Final = struct.Struct("=dIQIQ")
ANSWER: Final = struct.Struct("=iQ")
_AT_ONCE: Final = 2**20
MAX_OUTPUT: Final = 2**31
"""Bytes of machine code: eight times what the largest module has (`limits.HARD_CAPS`)."""


class Outcome(IntEnum):
    """How a compilation ended; below zero, by that signal. As exit statuses, these are none of Python's own."""

    DONE = 0
    INVALID = 3
    OUT_OF_MEMORY = 4
    FAULT = 5
    TOO_SLOW = 6


def start_compile_server() -> socket.socket:
    """Fork a compile server, from a process with one thread. Returns what leads to it (`separate`)."""
    ours, theirs = socket.socketpair()
    # What both share is looked at by no collection, which would write to it.
    gc.freeze()
    if os.fork() == 0:
        become(lambda: serve(theirs, ours))
    theirs.close()
    return ours


def serve(connection: socket.socket, other: socket.socket) -> None:
    """Give up what can be given up, say what, and compile until the other end closes: `EOFError`."""
    other.close()
    words = [*isolate(connection.fileno()), *filter_calls(for_compile_server())]
    _send(connection, Outcome.DONE, " ".join(words).encode("ascii"))
    gc.freeze()  # what a fork does not touch is not copied
    while True:
        seconds, *bounds, size = QUESTION.unpack(receive_exactly(connection, QUESTION.size))
        outcome, output = _bounded(partial(_compile_to, receive_exactly(connection, size), *bounds), seconds)
        _send(connection, outcome, output)


def _send(connection: socket.socket, outcome: int, output: bytes) -> None:
    connection.sendall(ANSWER.pack(outcome, len(output)))
    connection.sendall(output)


def _bounded(work: Callable[[int], int], seconds: float) -> tuple[int, bytes]:
    """Do work in a fork that writes to a pipe and returns its outcome; kill it when its time is up."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        become(lambda: work(writing))
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
    resource.setrlimit(resource.RLIMIT_CPU, (processor_seconds, processor_seconds))
    resource.setrlimit(resource.RLIMIT_DATA, (data_bytes, data_bytes))
    close_all_but(pipe)
    stay_private()
    filter_calls(for_compiler(os.getpid()))
    try:
        output, outcome = compiled(module, stack_bytes), Outcome.DONE
    except RefusedError as refused:
        output, outcome = str(refused).encode(), Outcome.INVALID
    rest = memoryview(output)
    while rest:
        rest = rest[os.write(pipe, rest) :]
    return outcome


def become(work: Callable[[], int | None]) -> NoReturn:
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


def receive_exactly(connection: socket.socket, size: int) -> bytes:
    """As many bytes. Raises `EOFError` where the other end has closed."""
    parts = []
    while size:
        part = connection.recv(min(size, _AT_ONCE))
        if not part:
            raise EOFError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
