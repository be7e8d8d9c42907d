"""The enclave's process: `python -m edge_agent.enclave DESCRIPTOR`, started by `edge_agent.host`.

The descriptor is one end of a socket pair. All else comes through it; nothing is read from the command line, the
environment or a file.
"""

import os
import socket
import sys

from edge_agent.enclave.assembly import assemble
from edge_agent.enclave.boundary import serve_untrusted
from edge_agent.enclave.confinement import confine
from edge_agent.enclave.frames import FrameSocket
from protocol.errors import SealedgeError

REFUSED, FAILED, MISUSED = 65, 70, 64
"""Exit statuses: EX_DATAERR, EX_SOFTWARE, EX_USAGE (sysexits.h)."""


def main(arguments: list[str]) -> int:
    """Serve until the host closes the socket. Returns the exit status."""
    if len(arguments) != 1 or not arguments[0].isdecimal():
        return MISUSED
    descriptor = int(arguments[0])
    confine(descriptor)
    frames = FrameSocket(socket.socket(fileno=descriptor))
    try:
        serve_untrusted(frames, lambda configuration: assemble(configuration, os.urandom))
    except SealedgeError:
        return REFUSED
    except Exception:  # its traceback may quote plaintext; the host was told where it arose
        return FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
