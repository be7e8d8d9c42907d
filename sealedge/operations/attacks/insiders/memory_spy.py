"""Another program of the user that a process runs as, which reads that process's memory.

    python -m sealedge.operations.attacks.insiders.memory_spy PID < needles, one in hex a line

Prints how many of the needles it found, or `refused`. It has no right that the device's user does not have: root's are
given up first. Root itself reads the memory of everything that no TEE hides, and so does this program not claim.
"""

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

REFUSED: Final = "refused"
MOST_BYTES: Final = 2**28
"""Of one mapping: what wasmtime reserves, and does not use, is left out."""

_CAPABILITY_VERSION: Final = 0x20080522
SPY_SECONDS: Final = 60


def spy(pid: int, needles: Iterable[bytes]) -> int | None:
    """How many of these stand in a process's memory, as its own user may look; None where it may not."""
    command = [sys.executable, "-m", "sealedge.operations.attacks.insiders.memory_spy", str(pid)]
    said = "\n".join(each.hex() for each in needles)
    found = subprocess.run(command, input=said, capture_output=True, text=True, check=True, timeout=SPY_SECONDS)  # noqa: S603
    return None if found.stdout.strip() == REFUSED else int(found.stdout)


def drop_rights() -> None:
    """Give up what root may do beyond its own files (capset(2)); the process stays open to its own user."""
    if os.geteuid() == 0:
        header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
        ctypes.CDLL(None).capset(header, (ctypes.c_uint32 * 6)())


def become_user_of(pid: int) -> None:
    """Become the user that a process runs as, without any right of root's."""
    lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    user = next(int(line.split()[1]) for line in lines if line.startswith("Uid:"))
    if os.geteuid() == 0 and user != 0:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    drop_rights()


def search(pid: int, needles: Iterable[bytes]) -> int:
    """How many of these stand in what the process can write to. Raises `PermissionError`."""
    left = set(needles)
    every = len(left)
    with (
        Path(f"/proc/{pid}/maps").open("r", encoding="ascii") as maps,
        Path(f"/proc/{pid}/mem").open("rb", 0) as memory,
    ):
        for line in maps:
            place, rights = line.split()[:2]
            start, end = (int(each, 16) for each in place.split("-"))
            if "r" in rights and end - start <= MOST_BYTES:
                left -= _found(memory.fileno(), start, end - start, left)
    return every - len(left)


def _found(descriptor: int, start: int, size: int, needles: set[bytes]) -> set[bytes]:
    try:
        held = os.pread(descriptor, size, start)
    except PermissionError:
        raise
    except OSError:
        # A mapping that the kernel keeps for itself.
        return set()
    return {each for each in needles if each in held}


def main(pid: int) -> None:
    """Print what is found."""
    needles = [bytes.fromhex(line) for line in sys.stdin]
    become_user_of(pid)
    try:
        found = str(search(pid, needles))
    except PermissionError:
        found = REFUSED
    sys.stdout.write(found)


if __name__ == "__main__":
    main(int(sys.argv[1]))
