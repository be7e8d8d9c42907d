"""Namespaces of Linux: a network without interfaces, no shared memory of others, and a root without a file.

A namespace of processes is not among them: a process enters one only by being started in it, and `seccomp` denies
signals, ptrace(2) and /proc without one (docs/adr/0026).
"""

import os
from typing import Final

from edge_agent.enclave.confinement.kernel import (
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWUSER,
    mount,
    unshare,
)

# linux/mount.h
_READ_ONLY, _NO_SETUID, _NO_DEVICES, _NO_EXECUTABLES = 1, 2, 4, 8
_RECURSIVE, _PRIVATE = 0x4000, 0x4_0000

_COVERED: Final = "/proc"
"""A folder that every Linux has: in this process's own view, the empty file system stands over it."""


def join_empty_network() -> None:
    """No interface is up, not even the loopback; abstract Unix sockets of others are out of reach."""
    unshare(CLONE_NEWNET)


def join_empty_ipc() -> None:
    """No System V shared memory and no POSIX message queue of another."""
    unshare(CLONE_NEWIPC)


def join_users() -> None:
    """A namespace of users, in which whoever started this may make the others. Its rights are dropped later."""
    unshare(CLONE_NEWUSER)


def empty_file_system() -> None:
    """A root that is empty and read-only. What was opened or mapped before stays."""
    unshare(CLONE_NEWNS)
    mount("none", "/", None, _RECURSIVE | _PRIVATE)
    flags = _READ_ONLY | _NO_SETUID | _NO_DEVICES | _NO_EXECUTABLES
    mount("none", _COVERED, "tmpfs", flags, "size=4k")
    os.chroot(_COVERED)
    os.chdir("/")
