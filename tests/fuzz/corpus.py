"""Inputs that are kept: in `.fuzz` on this machine, and the smallest that reach as much in an archive beside this file.

The archive is the work of `python -m tests.fuzz --keep`: libFuzzer's merge of what was found, the seeds left out.
"""

import tarfile
from collections.abc import Iterable, Mapping
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Final

from tests.fuzz.bounds import MAX_BYTES

FOLDER: Final = Path(".fuzz")
ARCHIVE: Final = Path(__file__).with_name("corpus.tar.xz")

MOST: Final = 6 * 1024
"""Bytes that the archive keeps of one target, the smallest inputs first."""


def slug(name: str) -> str:
    """The name of a target as a folder."""
    return "".join(each if each.isalnum() else "-" for each in name)


def folder(kind: str, name: str) -> Path:
    """A folder of this machine for one target, made where it is not there."""
    found = FOLDER / kind / slug(name)
    found.mkdir(parents=True, exist_ok=True)
    return found


def named(content: bytes) -> str:
    """What a file of this content is called: the same content is kept once."""
    return sha256(content).hexdigest()[:20]


def lay_out(name: str, seeds: Iterable[bytes]) -> Path:
    """The corpus of a target with its seeds, and with what the archive keeps of it."""
    found = folder("corpus", name)
    for content in (*seeds, *archived().get(name, ())):
        (found / named(content)).write_bytes(content)
    return found


def archived() -> dict[str, list[bytes]]:
    """What the archive keeps, by target."""
    found: dict[str, list[bytes]] = {}
    if ARCHIVE.exists():
        with tarfile.open(ARCHIVE, "r:xz") as archive:
            for each in archive:
                content = archive.extractfile(each)
                if content is not None:
                    found.setdefault(each.name.rpartition("/")[0], []).append(content.read())
    return found


def smallest(contents: Iterable[bytes], known: Iterable[bytes], most: int = MOST) -> list[bytes]:
    """The smallest of these that are no seeds, as many as there is room for."""
    found, size = [], 0
    for content in sorted(set(contents) - set(known), key=lambda each: (len(each), each)):
        size += len(content)
        if size > most or len(content) > MAX_BYTES:
            break
        found.append(content)
    return found


def archive(kept: Mapping[str, Iterable[bytes]]) -> None:
    """Write the archive anew: the same inputs give the same bytes."""
    with tarfile.open(ARCHIVE, "w:xz", format=tarfile.USTAR_FORMAT, preset=9) as written:
        for name, contents in sorted(kept.items()):
            for content in sorted(contents):
                entry = tarfile.TarInfo(f"{name}/{named(content)}")
                entry.size = len(content)
                written.addfile(entry, BytesIO(content))
