"""`compose.yaml`'s one-shot service `init`: makes a fleet, and hands each party its own folder.

    python provision.py INIT_OPTION...

`sealedge init` makes the fleet in /authority/fleet. Below /fleet each folder is a volume, which its party mounts and no
other. trust/ comes last: where it is, all was handed over, and nothing is done again. What an interrupted start left is
made anew; nobody can have used it.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

MADE, VOLUMES = Path("/authority/fleet"), Path("/fleet")
DONE = "authority.pub.pem"


def main(options: list[str]) -> int:
    """The command. The exit status is that of `sealedge init`."""
    if (VOLUMES / "trust" / DONE).exists():
        sys.stdout.write("the fleet is there already\n")
        return 0
    shutil.rmtree(MADE, ignore_errors=True)
    status = subprocess.run([sys.executable, "-m", "sealedge", "init", str(MADE), *options], check=False).returncode
    if status == 0:
        for folder in [*parties(VOLUMES), VOLUMES / "trust"]:
            hand_over(MADE / folder.relative_to(VOLUMES), folder)
    return status


def parties(volumes: Path) -> Iterator[Path]:
    """The folders of all who get one, without trust/; each of them is a volume."""
    for folder in sorted(volumes.iterdir()):
        if folder.name in ("agents", "sensors", "consumers"):
            yield from sorted(folder.iterdir())
        elif folder.name != "trust":
            yield folder


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
