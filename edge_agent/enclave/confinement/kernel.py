"""The calls of Linux by which a process gives up rights, through the C library that Python itself runs on.

Every call raises `OSError` with the kernel's own number where it is refused.
"""

import ctypes
import os
import platform
import sys
from typing import Final

# linux/prctl.h
PR_SET_PDEATHSIG: Final = 1
PR_SET_DUMPABLE: Final = 4
PR_SET_NO_NEW_PRIVS: Final = 38

# linux/sched.h
CLONE_NEWNS: Final = 0x0002_0000
CLONE_NEWIPC: Final = 0x0800_0000
CLONE_NEWUSER: Final = 0x1000_0000
CLONE_NEWNET: Final = 0x4000_0000

_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4
_CAPABILITY_VERSION_3: Final = 0x2008_0522

MACHINE: Final = platform.machine()
IS_LINUX: Final = sys.platform == "linux"

LANDLOCK_CREATE_RULESET, LANDLOCK_RESTRICT_SELF = 444, 446
"""Numbers of system calls that are the same on every architecture (asm-generic/unistd.h)."""


def prctl(option: int, value: int) -> None:
    """prctl(2) with one argument."""
    zero = ctypes.c_ulong(0)
    _check(_libc().prctl(option, ctypes.c_ulong(value), zero, zero, zero), "prctl")


def unshare(flags: int) -> None:
    """unshare(2): into new namespaces. A new one of users takes a process with a single thread."""
    _check(_libc().unshare(ctypes.c_int(flags)), "unshare")


def mount(source: str, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    """mount(2)."""
    words = [None if each is None else each.encode() for each in (source, target, kind, options)]
    _check(_libc().mount(words[0], words[1], words[2], ctypes.c_ulong(flags), words[3]), "mount")


def lock_memory() -> None:
    """mlockall(2): no page that is there, or ever will be, goes to a swap device.

    On fault: a reservation that nobody touches, of which wasmtime makes many, takes no memory.
    """
    _check(_libc().mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT), "mlockall")


def drop_capabilities() -> None:
    """capset(2): none is permitted, effective or inheritable."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    nothing = (ctypes.c_uint32 * 6)()
    _check(_libc().capset(header, nothing), "capset")


def system_call(number: int, *arguments: "int | ctypes.Array[ctypes.c_char] | ctypes.Structure | None") -> int:
    """A system call that the C library has no name for. Structures are handed over by reference."""
    passed = [
        ctypes.byref(each)
        if isinstance(each, ctypes.Structure | ctypes.Array)
        else ctypes.c_long(each)
        if isinstance(each, int)
        else each
        for each in arguments
    ]
    return _check(_libc().syscall(ctypes.c_long(number), *passed), f"system call {number}")


def _check(result: int, what: str) -> int:
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
