"""The enclave's process, started by `edge_agent.host`: `python -m edge_agent.enclave DESCRIPTOR`.

The descriptor is one end of a socket pair. In a machine of its own (AWS Nitro) it is `vsock:PORT`, and one host after
the other is served there, each with an enclave of its own. All else comes through the socket; nothing is read from
the command line, the environment or a file.
"""

import os
import socket
import sys
from typing import Final

from edge_agent.enclave.confinement.kernel import IS_LINUX
from schemas.plugins import without_plugins

MISUSED: Final = 64
"""Exit status: EX_USAGE (sysexits.h)."""


def main(arguments: list[str]) -> int:
    """Serve until the host closes the socket. Returns the exit status."""
    if len(arguments) != 1 or not (_is_open(arguments[0]) or arguments[0].startswith("vsock:")):
        return MISUSED
    # Forked before the rest is imported: it shares no memory with what it does not need, and copies none of it.
    compiling = _compile_server() if IS_LINUX else None
    without_plugins()
    from edge_agent.enclave.serving import serve_at  # noqa: PLC0415

    return serve_at(arguments[0], compiling)


def _compile_server() -> socket.socket:
    from edge_agent.enclave.compiling.server import start_compile_server  # noqa: PLC0415 - of Linux alone

    return start_compile_server()


def _is_open(descriptor: str) -> bool:
    """Looked at before another takes its number."""
    try:
        os.fstat(int(descriptor))
    except (OSError, ValueError, OverflowError):
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
