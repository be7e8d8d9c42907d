"""Which system calls the processes of an enclave make, by name, and what those names are as numbers.

Nothing here opens a file, makes a socket, runs a program, or touches another process: where a call could, its
arguments are on the list too. Executable memory is never writable; wasmtime's machine code is written first.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final, NamedTuple


class Test(Enum):
    """What a call's argument (its low 32 bits) must be held against `value` for the call to be allowed."""

    EQUAL = "equal"
    ANY_BIT = "any-bit"
    NO_BIT = "no-bit"
    NOT_ALL_BITS = "not-all-bits"


class Allowed(NamedTuple):
    """One call that is allowed: always, or where one argument, counted from 0, passes a test."""

    name: str
    argument: int = 0
    test: Test | None = None
    value: int = 0


_CLONE_THREAD: Final = 0x0001_0000
_CLONE_NEW: Final = 0x7E02_0000
"""Every flag of clone(2) that makes a namespace (linux/sched.h)."""

_PROT_WRITE_EXEC: Final = 0x2 | 0x4
_PR_SET_PDEATHSIG: Final = 1
_SIGKILL: Final = 9

_COMMON: Final = (
    "brk",
    "clock_getres",
    "clock_gettime",
    "clock_nanosleep",
    "close",
    "exit",
    "exit_group",
    "fstat",
    "futex",
    "getpid",
    "getrandom",
    "gettid",
    "lseek",
    "madvise",
    "membarrier",
    "mremap",
    "munmap",
    "nanosleep",
    "poll",
    "ppoll",
    "read",
    "restart_syscall",
    "rseq",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sched_getaffinity",
    "sched_yield",
    "set_robust_list",
    "sigaltstack",
    "write",
    "writev",
)
_SOCKET: Final = ("recvfrom", "sendto", "getsockopt", "setsockopt", "getsockname", "shutdown")
# wasmtime keeps the initial memory of modules in memory files, from which instances are mapped copy-on-write.
_MEMORY_FILES: Final = ("memfd_create", "ftruncate", "fcntl")


def for_enclave(pid: int) -> tuple[Allowed, ...]:
    """Of the enclave: one socket that is there, memory, threads, randomness, time. `pid` is its own."""
    return (*_plain(_SOCKET), *_plain(_COMMON), *_plain(_MEMORY_FILES), *_confined(pid))


def for_listening_enclave(pid: int) -> tuple[Allowed, ...]:
    """As `for_enclave`, and it accepts connections at a socket that listens already."""
    return (*for_enclave(pid), Allowed("accept4"))


def for_compile_server() -> tuple[Allowed, ...]:
    """Of the process that starts a compiler for each module: forks, bounds, waits for, and kills its children."""
    return (
        *_plain((*_SOCKET, *_COMMON, "pipe2", "wait4", "seccomp")),
        Allowed("clone", 0, Test.NO_BIT, _CLONE_NEW),
        Allowed("kill", 1, Test.EQUAL, _SIGKILL),
        # Of a child, which confines itself further: to die with its parent, and its own limits.
        Allowed("prctl", 0, Test.EQUAL, _PR_SET_PDEATHSIG),
        Allowed("prlimit64", 0, Test.EQUAL, 0),
        Allowed("tgkill"),
        *_memory(),
    )


def for_compiler(pid: int) -> tuple[Allowed, ...]:
    """Of a compiler: memory and threads, and a pipe to write to."""
    return (*_plain(_COMMON), *_confined(pid))


def _plain(names: tuple[str, ...]) -> tuple[Allowed, ...]:
    return tuple(map(Allowed, names))


def _confined(pid: int) -> tuple[Allowed, ...]:
    """Threads but no process; signals to oneself, by which a process aborts, and to nobody else."""
    return (
        Allowed("clone", 0, Test.ANY_BIT, _CLONE_THREAD),
        Allowed("kill", 0, Test.EQUAL, pid),
        Allowed("tgkill", 0, Test.EQUAL, pid),
        *_memory(),
    )


def _memory() -> tuple[Allowed, ...]:
    return (
        Allowed("mmap", 2, Test.NOT_ALL_BITS, _PROT_WRITE_EXEC),
        Allowed("mprotect", 2, Test.NOT_ALL_BITS, _PROT_WRITE_EXEC),
    )


X86_64: Final[Mapping[str, int]] = {
    "accept4": 288,
    "brk": 12,
    "clock_getres": 229,
    "clock_gettime": 228,
    "clock_nanosleep": 230,
    "clone": 56,
    "clone3": 435,
    "close": 3,
    "exit": 60,
    "exit_group": 231,
    "fcntl": 72,
    "fstat": 5,
    "ftruncate": 77,
    "futex": 202,
    "getpid": 39,
    "getrandom": 318,
    "getsockname": 51,
    "getsockopt": 55,
    "gettid": 186,
    "kill": 62,
    "lseek": 8,
    "madvise": 28,
    "membarrier": 324,
    "memfd_create": 319,
    "mmap": 9,
    "mprotect": 10,
    "mremap": 25,
    "munmap": 11,
    "nanosleep": 35,
    "pipe2": 293,
    "poll": 7,
    "ppoll": 271,
    "prctl": 157,
    "prlimit64": 302,
    "read": 0,
    "recvfrom": 45,
    "restart_syscall": 219,
    "rseq": 334,
    "rt_sigaction": 13,
    "rt_sigprocmask": 14,
    "rt_sigreturn": 15,
    "sched_getaffinity": 204,
    "sched_yield": 24,
    "seccomp": 317,
    "sendto": 44,
    "set_robust_list": 273,
    "setsockopt": 54,
    "shutdown": 48,
    "sigaltstack": 131,
    "tgkill": 234,
    "wait4": 61,
    "write": 1,
    "writev": 20,
}
"""asm/unistd_64.h."""

AARCH64: Final[Mapping[str, int]] = {
    "accept4": 242,
    "brk": 214,
    "clock_getres": 114,
    "clock_gettime": 113,
    "clock_nanosleep": 115,
    "clone": 220,
    "clone3": 435,
    "close": 57,
    "exit": 93,
    "exit_group": 94,
    "fcntl": 25,
    "fstat": 80,
    "ftruncate": 46,
    "futex": 98,
    "getpid": 172,
    "getrandom": 278,
    "getsockname": 204,
    "getsockopt": 209,
    "gettid": 178,
    "kill": 129,
    "lseek": 62,
    "madvise": 233,
    "membarrier": 283,
    "memfd_create": 279,
    "mmap": 222,
    "mprotect": 226,
    "mremap": 216,
    "munmap": 215,
    "nanosleep": 101,
    "pipe2": 59,
    "ppoll": 73,
    "prctl": 167,
    "prlimit64": 261,
    "read": 63,
    "recvfrom": 207,
    "restart_syscall": 128,
    "rseq": 293,
    "rt_sigaction": 134,
    "rt_sigprocmask": 135,
    "rt_sigreturn": 139,
    "sched_getaffinity": 123,
    "sched_yield": 124,
    "seccomp": 277,
    "sendto": 206,
    "set_robust_list": 99,
    "setsockopt": 208,
    "shutdown": 210,
    "sigaltstack": 132,
    "tgkill": 131,
    "wait4": 260,
    "write": 64,
    "writev": 66,
}
"""asm-generic/unistd.h. It has no poll(2): the C library calls ppoll(2)."""
