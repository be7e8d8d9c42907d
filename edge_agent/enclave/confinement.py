"""What the enclave's process gives up before it makes a key.

This is not a TEE, and not yet the whole of what an operating system can do: there is no system call filter, no
namespace, no locked memory. Root, and whoever controls the kernel, still reads everything. What is given up here
costs nothing: debuggers and core dumps of the same user, inherited files, new privileges, a life without the host.
"""

import ctypes
import os
import resource
import signal
import sys
from typing import Final

from protocol.errors import ConfigurationError

# linux/prctl.h
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4
_PR_SET_NO_NEW_PRIVS: Final = 38

_STANDARD_STREAMS: Final = 3


def confine(descriptor: int) -> None:
    """Keep `descriptor` and the standard streams, and give up the rest. For the child process alone, once.

    Raises `ConfigurationError` where the system refuses any of it.
    """
    _close_all_but(descriptor)
    # A signal to the whole group (Ctrl-C, a service manager) is the host's to act on: it closes the boundary.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if sys.platform == "linux":
            _confine_on_linux()
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"the enclave's process cannot be confined: {error}") from error


def _confine_on_linux() -> None:
    _prctl(_PR_SET_DUMPABLE, 0)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _close_all_but(descriptor: int) -> None:
    highest = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    os.closerange(_STANDARD_STREAMS, descriptor)
    os.closerange(descriptor + 1, highest if 0 < highest < 2**20 else 2**20)


def _prctl(option: int, value: int) -> None:
    """prctl(2). Raises `OSError`."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option}")
