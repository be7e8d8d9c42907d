"""Landlock (linux/landlock.h): no access to any file by path, no TCP, no signals to processes outside.

What seccomp and an empty root shut already, shut once more by another part of the kernel, and for one that cannot
have the namespaces.
"""

import ctypes
import os
from typing import Final

from edge_agent.enclave.confinement.kernel import LANDLOCK_CREATE_RULESET, LANDLOCK_RESTRICT_SELF, system_call

_CREATE_RULESET_VERSION: Final = 1
_FILES: Final = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""By version of the interface, how many rights to files the kernel knows; version 5 and later know 16."""

_TCP: Final = 0b11
_SCOPES: Final = 0b11
"""Abstract Unix sockets, and signals."""


class _Ruleset(ctypes.Structure):
    """`struct landlock_ruleset_attr`: the rights that are handled, and so denied where no rule allows them."""

    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


def restrict_files() -> None:
    """Deny all that this kernel's Landlock can deny. Needs no_new_privs. Raises `OSError` where there is none."""
    version = system_call(LANDLOCK_CREATE_RULESET, None, 0, _CREATE_RULESET_VERSION)
    rights = _Ruleset((1 << _FILES[min(version, 5)]) - 1, _TCP if version >= 4 else 0, _SCOPES if version >= 6 else 0)
    # An older kernel takes a longer structure whose rest is zero.
    ruleset = system_call(LANDLOCK_CREATE_RULESET, rights, ctypes.sizeof(rights), 0)
    try:
        system_call(LANDLOCK_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
