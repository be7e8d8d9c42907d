"""Becomes a broker that dies with the process that started it: run as a script, never imported.

    python -I -S launcher.py PARENT_PID USER PROGRAM ARGUMENT...

Drops root for USER ("" keeps who we are), asks Linux for SIGTERM when the starting thread dies, and becomes PROGRAM.
A `preexec_fn` would do the same, but is not safe in a program with threads.
"""

import ctypes
import os
import pwd
import signal
import sys

PR_SET_PDEATHSIG = 1


def drop_root(user: str) -> None:
    """Become `user`, with no group but its own. Before asking for the signal: changing users forgets it (prctl(2))."""
    entry = pwd.getpwnam(user)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


def die_with(parent: int) -> None:
    """Ask for SIGTERM when the parent dies, and leave now if it is dead already."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(1)


def main() -> None:
    """Read the arguments and become the program."""
    parent, user, *command = sys.argv[1:]
    if user:
        drop_root(user)
    die_with(int(parent))
    os.execv(command[0], command)  # noqa: S606 - the program and its arguments come from broker.embedded alone


if __name__ == "__main__":
    main()
