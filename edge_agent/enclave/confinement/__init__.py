"""What the enclave's process gives up before it makes a key; each measure by a word that stands in its claims.

This is not a TEE. Root, and whoever controls the kernel, still reads everything. What is given up here keeps out
the agent's own user, other processes, and a hostile module that broke out of wasmtime.
"""

import os
import resource
import signal
from collections.abc import Callable, Iterable
from typing import Final

from edge_agent.enclave.confinement import kernel, namespaces
from edge_agent.enclave.confinement.landlock import restrict_files
from edge_agent.enclave.confinement.seccomp import restrict
from edge_agent.enclave.confinement.system_calls import Allowed

MEASURES: Final = (
    "empty-file-system",
    "ipc-namespace",
    "landlock",
    "memory-locked",
    "network-namespace",
    "no-capabilities",
    "no-core-dumps",
    "no-new-privileges",
    "not-dumpable",
    "resource-limits",
    "seccomp",
    "separate-compiler",
    "unprivileged-user",
)
"""Every word that a process of its own can earn, in order."""

IN_PLACE: Final = "in-place"
"""The word of an enclave in its host's process: the whole machine is the TEE, or there is none."""

USER: Final = 61_111
"""Who an enclave becomes that root starts: above all users of people and services, and of systemd's own ranges."""

NOBODY: Final = 65_534
"""Where there is no such user: a container may know the first 65,536 alone, and fewer have this one."""

MAX_DESCRIPTORS: Final = 256
MAX_MEMORY_FILE: Final = 2**28
"""Bytes: no file can be written, but wasmtime keeps the initial memory of a module in one that has no name."""

_STANDARD_STREAMS: Final = 3

Step = tuple[str, Callable[[], None]]


def isolate(*descriptors: int) -> list[str]:
    """Keep `descriptors`, the standard streams and what is mapped; give up the rest, but for the calls themselves.

    For a child process alone, once, while it has one thread and no secret. Returns the words of what was done:
    what the system does not grant is left out, and nothing is raised. Files cannot be opened afterwards.
    """
    close_all_but(*descriptors)
    # A signal to the whole group (Ctrl-C, a service manager) is the host's to act on: it closes the boundary.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    done = _apply((("no-core-dumps", _no_core_dumps),))
    if not kernel.IS_LINUX:
        return [*done, *_apply((("resource-limits", _limit_resources),))]
    done += _isolate_on_linux()
    return done


def filter_calls(allowed: Iterable[Allowed]) -> list[str]:
    """The last step, after which only these system calls are left. Returns its word, or nothing."""
    return _apply((("seccomp", lambda: restrict(allowed)),)) if kernel.IS_LINUX else []


def stay_private() -> list[str]:
    """Of one process: what a fork, or another user, undoes. Also for children of a process that is isolated."""
    done = _apply((("memory-locked", kernel.lock_memory), ("not-dumpable", _not_dumpable)))
    # Linux forgets it whenever the user changes.
    _apply((("", lambda: kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)),))
    return done


def close_all_but(*descriptors: int) -> None:
    """Close every inherited descriptor but these and the standard streams."""
    highest = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    low = _STANDARD_STREAMS
    for each in sorted(each for each in descriptors if each >= low):
        os.closerange(low, each)
        low = each + 1
    os.closerange(low, highest if 0 < highest < 2**20 else 2**20)


def _isolate_on_linux() -> list[str]:
    steps: tuple[Step, ...] = (
        ("network-namespace", namespaces.join_empty_network),
        ("ipc-namespace", namespaces.join_empty_ipc),
        ("empty-file-system", namespaces.empty_file_system),
    )
    _apply((("", _let_memory_be_locked),))
    done = _apply(steps)
    done += _apply((("unprivileged-user", _leave_root),))
    # Where root's rights are not there, a namespace of users gives them, over the other namespaces alone.
    missing = tuple(each for each in steps if each[0] not in done)
    if missing and _apply((("users", namespaces.join_users),)):
        done += _apply(missing)
    done += stay_private()
    last: tuple[Step, ...] = (
        ("resource-limits", _limit_resources),
        ("no-capabilities", kernel.drop_capabilities),
        ("no-new-privileges", lambda: kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)),
        ("landlock", restrict_files),
    )
    return done + _apply(last)


def _apply(steps: Iterable[Step]) -> list[str]:
    done = []
    for word, step in steps:
        try:
            step()
        except (OSError, ValueError):
            continue
        done.append(word)
    return done


def _leave_root() -> None:
    """Raises `OSError` where the process stays root."""
    if os.geteuid() != 0:
        return
    os.setgroups([])
    try:
        os.setresgid(USER, USER, USER)
        os.setresuid(USER, USER, USER)
    except OSError:
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)


def _let_memory_be_locked() -> None:
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def _not_dumpable() -> None:
    """The files under /proc/PID are root's from here on, and ptrace(2) is refused."""
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)


def _no_core_dumps() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limit_resources() -> None:
    _lower(resource.RLIMIT_NOFILE, MAX_DESCRIPTORS)
    _lower(resource.RLIMIT_FSIZE, MAX_MEMORY_FILE)
    _lower(resource.RLIMIT_MSGQUEUE, 0) if kernel.IS_LINUX else None


def _lower(kind: int, most: int) -> None:
    hard = resource.getrlimit(kind)[1]
    bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (bound, bound))
