"""Compiling in a child process: a hostile module can cost minutes, gigabytes or a crash, but not the enclave's.

`compile_in_child` starts one for each module, `server` forks one for an enclave that starts no process, and
`compile_here` is for TEEs that know no processes.

Cranelift's time grows with the square of some things: a valid module of one mebibyte can take it minutes, and the
compiler cannot be interrupted. So a child compiles, under limits of time and memory that the operating system keeps,
and hands back machine code over a pipe. The child is the enclave's own code on the enclave's own machine: nothing
touches a disk, and what it returns is trusted like the enclave itself.
"""

import math
import os
import sys
from collections.abc import Callable
from typing import Final

import wasmtime

from edge_agent.enclave.compiling.child import REFUSED
from edge_agent.enclave.compiling.engine import compiled
from edge_agent.enclave.compiling.limits import Limits
from edge_agent.enclave.rewriting.module_format import invalid
from protocol.errors import EnclaveError, Finding
from schemas.reason import Reason

Compiler = Callable[[bytes, Limits, int], bytes]
"""Module bytes, limits and stack bytes to what `engine.compiled` returns. Raises `EnclaveError` (model-invalid)."""

PYTHON_EXCEPTION: Final = 1
"""How Python exits after an exception that nobody caught."""

# `-I` keeps the working directory and the environment from choosing what is imported; the path is the parent's.
BOOTSTRAP: Final = (
    "import sys; sys.path[:] = sys.argv[4:]; "
    "from edge_agent.enclave.compiling.child import compile_standard_input; compile_standard_input(*sys.argv[1:4])"
)


def compile_in_child(module: bytes, limits: Limits, max_stack_bytes: int) -> bytes:
    """A `Compiler` within `max_compile_seconds` and `max_compile_bytes`; `EnclaveError` (internal) if none starts."""
    import subprocess  # noqa: PLC0415 - an enclave with a compile server starts no process

    try:
        child = subprocess.run(  # noqa: S603 - this interpreter, on the enclave's own code
            _command(limits, max_stack_bytes),
            input=module,
            capture_output=True,
            timeout=limits.max_compile_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise too_slow(limits) from None
    except OSError as fault:
        raise EnclaveError(f"the compiler does not start: {fault.strerror}", reason=Reason.INTERNAL) from None
    if child.returncode == REFUSED:
        raise invalid_words(child.stdout)
    if child.returncode != 0 or not child.stdout:
        raise _fault(child.returncode, child.stderr, limits)
    return child.stdout


def _fault(status: int, words: bytes, limits: Limits) -> EnclaveError:
    """Of a child that a signal or its limits ended, which the module brought about, or that Python ended."""
    if status == PYTHON_EXCEPTION and not words.rstrip().endswith(b"MemoryError"):
        last = one_line(words.rstrip().rpartition(b"\n")[2].decode(errors="replace"))
        return EnclaveError(f"the compiler does not run: {last}", reason=Reason.INTERNAL)
    return ran_out(status, limits)


def invalid_words(words: bytes) -> EnclaveError:
    """Of a module that wasmtime refused, in its words."""
    return invalid(one_line(words.decode(errors="replace")))


def too_slow(limits: Limits) -> EnclaveError:
    """Of a module that takes too long."""
    return EnclaveError(
        f"compiling the module takes longer than {limits.max_compile_seconds} s",
        reason=Reason.MODEL_INVALID,
        finding=Finding("milliseconds of compiling", f"at most {limits.max_compile_seconds * 1000:g}", "more"),
    )


def ran_out(status: int, limits: Limits) -> EnclaveError:
    """Of a module whose compiler ended by itself."""
    return invalid(f"the compiler ended with {status}: it ran out of {limits.max_compile_bytes} bytes, or crashed")


def compile_here(module: bytes, _limits: Limits, max_stack_bytes: int) -> bytes:
    """A `Compiler` in this process, for TEEs that start no process: bounds neither time nor memory."""
    try:
        return compiled(module, max_stack_bytes)
    except wasmtime.WasmtimeError as refused:
        raise invalid(one_line(str(refused))) from None


def one_line(text: str) -> str:
    """wasmtime's words, which quote the module: printable ASCII, short, on one line."""
    words = " ".join(text.split())
    return "".join(character if " " <= character <= "~" else "?" for character in words)[:200]


def _command(limits: Limits, max_stack_bytes: int) -> list[str]:
    processor_seconds = math.ceil(limits.max_compile_seconds) * (os.cpu_count() or 1)
    bounds = (str(processor_seconds), str(limits.max_compile_bytes), str(max_stack_bytes))
    return [sys.executable, "-I", "-c", BOOTSTRAP, *bounds, *sys.path]
