"""`compose.yaml`'s one-shot service `init`: makes a fleet, and hands each party its own folder.

    python provision.py INIT_OPTION...

`sealedge init` makes the fleet in /authority/fleet. Folders below /fleet that a volume is mounted on get what the fleet
has in the same place; a party mounts its own volume and trust/, and no other. trust/ comes last: where it is, all was
handed over, and nothing is done again. What an interrupted start left is made anew; nobody can have used it.
"""

import shutil
import subprocess
import sys
from pathlib import Path

MADE, VOLUMES = Path("/authority/fleet"), Path("/fleet")
TRUST, DONE = "trust", "authority.pub.pem"


def main(options: list[str]) -> int:
    """The command. Exit status 0, that of `sealedge init`, or 2: a volume is for nobody."""
    if (VOLUMES / TRUST / DONE).exists():
        sys.stdout.write("the fleet is there already\n")
        return 0
    shutil.rmtree(MADE, ignore_errors=True)
    command = [sys.executable, "-m", "sealedge", "init", str(MADE), *options]
    status = subprocess.run(command, check=False).returncode  # noqa: S603 - the options are compose.yaml's
    if status != 0:
        return status
    places = [path.relative_to(VOLUMES) for path in sorted(VOLUMES.rglob("*"), key=is_trust) if path.is_mount()]
    for place in places:
        if not (MADE / place).is_dir():
            sys.stderr.write(f"provision: a volume is mounted on {VOLUMES / place}, and the fleet has no {place}\n")
            return 2
    for place in places:
        hand_over(MADE / place, VOLUMES / place)
    return 0


def is_trust(path: Path) -> bool:
    """A key that puts trust/ behind all others."""
    return path == VOLUMES / TRUST


def hand_over(source: Path, volume: Path) -> None:
    """Copy with modes, in place of whatever the volume holds; of trust/, what says that all is done at the end."""
    for old in volume.iterdir():
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    for each in sorted(source.iterdir(), key=lambda path: path.name == DONE):
        if each.is_dir():
            shutil.copytree(each, volume / each.name)
        else:
            shutil.copy2(each, volume / each.name)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
