"""Who may touch which pages of this process: mprotect(2), on memory that wasmtime mapped for a guest.

Only whole pages inside one memory of a guest are given here, and only while its store is open. A guest that touches a
page against its protection traps: wasmtime takes any fault of compiled code inside the store's memories for an access
out of bounds. A host that does so ends with the process, so nothing else touches them.
"""

import ctypes
import os
from typing import Final

PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
"""Of this machine: WebAssembly's are a multiple."""

NO_ACCESS: Final = 0
READ_ONLY: Final = 1
"""PROT_NONE and PROT_READ (sys/mman.h)."""

_mprotect: Final = ctypes.CDLL(None, use_errno=True).mprotect
_mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


def protect(address: int, length: int, protection: int) -> None:
    """Of `length` bytes from `address`, both multiples of `PAGE_BYTES`, in all threads at once. Raises `OSError`."""
    if _mprotect(address, length, protection):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
