"""The filter of system calls (seccomp(2), mode 2): a list of what is allowed, as a program of classic BPF.

Written against the kernel's interface: a library for it is more code than this, and would have to be measured.
What is not on the list fails with EPERM. A call of another architecture ends the process: its numbers mean
something else.
"""

import ctypes
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from edge_agent.enclave.confinement.kernel import MACHINE, system_call
from edge_agent.enclave.confinement.system_calls import AARCH64, X86_64, Allowed, Test

# linux/bpf_common.h: loads of 32 bits, jumps that compare with a constant, and the rest
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
# linux/seccomp.h
_SET_MODE_FILTER, _ON_ALL_THREADS = 1, 1
_KILL_PROCESS, _ERRNO, _ALLOW = 0x8000_0000, 0x0005_0000, 0x7FFF_0000
# struct seccomp_data: both architectures are little-endian, so the low half of an argument comes first.
_NUMBER, _ARCHITECTURE, _ARGUMENTS, _ARGUMENT_SIZE = 0, 4, 16, 8
_EPERM, _ENOSYS = 1, 38

X32_BIT: Final = 0x4000_0000
"""Numbers from here on are x32's: other calls under the architecture of x86-64."""

Instruction = tuple[int, int, int, int]
"""`struct sock_filter`: code, how far to jump if true, if false, constant."""


class Architecture(NamedTuple):
    """`identifier` is AUDIT_ARCH_* (linux/audit.h)."""

    identifier: int
    numbers: Mapping[str, int]


ARCHITECTURES: Final = {
    "x86_64": Architecture(0xC000_003E, X86_64),
    "aarch64": Architecture(0xC000_00B7, AARCH64),
}
"""By what uname(2) calls the machine."""


def restrict(allowed: Iterable[Allowed]) -> None:
    """Allow these calls and no others, from now on, in every thread and child. Needs no_new_privs.

    Raises `OSError` where the kernel refuses, or the architecture is not known here.
    """
    found = ARCHITECTURES.get(MACHINE)
    if found is None:
        raise OSError(_ENOSYS, f"no filter of system calls for {MACHINE}")
    code = b"".join(struct.pack("=HBBI", *each) for each in program(found, tuple(allowed)))
    instructions = ctypes.create_string_buffer(code, len(code))
    header = _Program(len(code) // 8, ctypes.addressof(instructions))
    thread = system_call(found.numbers["seccomp"], _SET_MODE_FILTER, _ON_ALL_THREADS, header)
    if thread != 0:
        raise OSError(_EPERM, f"thread {thread} cannot be filtered")


def program(architecture: Architecture, allowed: Sequence[Allowed]) -> list[Instruction]:
    """The instructions of a filter."""
    numbers = architecture.numbers
    found: list[Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, architecture.identifier),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, X32_BIT),
        (_RETURN, 0, 0, _KILL_PROCESS),
    ]
    for each in allowed:
        if each.name in numbers:
            found += _rule(numbers[each.name], each)
    # The C library then calls clone(2), whose flags are not behind a pointer, where no filter can look.
    found += [(_EQUAL, 0, 1, numbers["clone3"]), (_RETURN, 0, 0, _ERRNO | _ENOSYS)]
    return [*found, (_RETURN, 0, 0, _ERRNO | _EPERM)]


def _rule(number: int, allowed: Allowed) -> list[Instruction]:
    if allowed.test is None:
        return [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    body = [(_LOAD, 0, 0, _ARGUMENTS + _ARGUMENT_SIZE * allowed.argument), *_test(allowed)]
    body += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _ERRNO | _EPERM)]
    return [(_EQUAL, 0, len(body), number), *body]


def _test(allowed: Allowed) -> list[Instruction]:
    """Goes on with the next instruction where the call is allowed, and jumps over it where not."""
    value = allowed.value
    if allowed.test is Test.EQUAL:
        return [(_EQUAL, 0, 1, value)]
    if allowed.test is Test.ANY_BIT:
        return [(_ANY_BIT, 0, 1, value)]
    if allowed.test is Test.NO_BIT:
        return [(_ANY_BIT, 1, 0, value)]
    return [(_AND, 0, 0, value), (_EQUAL, 1, 0, value)]


class _Program(ctypes.Structure):
    """`struct sock_fprog`."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))
