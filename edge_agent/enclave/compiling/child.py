"""The child process of `compile_in_child`: module in, machine code out, within the limits it sets itself."""

import sys
from typing import Final

import wasmtime

from edge_agent.enclave.compiling.engine import compiled

REFUSED: Final = 3
"""The exit status when standard output says why the module is not valid."""


def compile_standard_input(processor_seconds: str, data_bytes: str, max_stack_bytes: str) -> None:
    """Compile standard input to standard output; exit with `REFUSED` and a reason when it is not valid.

    Arguments are whole numbers in text, from the command line that the parent wrote.
    """
    bound(int(processor_seconds), int(data_bytes))
    try:
        output, status = compiled(sys.stdin.buffer.read(), int(max_stack_bytes)), 0
    except wasmtime.WasmtimeError as refused:
        output, status = str(refused).encode(), REFUSED
    sys.stdout.buffer.write(output)
    sys.stdout.buffer.flush()
    sys.exit(status)


def bound(processor_seconds: int, data_bytes: int) -> None:
    """Lower this process's own limits.

    Linux counts private writable memory as data, reserved address space not; others bound the time alone.
    """
    if sys.platform == "linux":
        import resource  # noqa: PLC0415 - exists on POSIX alone

        resource.setrlimit(resource.RLIMIT_CPU, (processor_seconds, processor_seconds))
        resource.setrlimit(resource.RLIMIT_DATA, (data_bytes, data_bytes))
