"""Endorsements as files: the folder that `sealedge endorsements import` fills and that verifiers read at their start.

    DIR/{name}.der|.pem|.json|.crl      names: see verifier.endorsements

AMD's intermediate certificates come with sealedge, since the evidence of several clouds leaves them out. They are
what any other endorsement is: worth nothing unless their chain ends in a pinned root. The folder's own stand above.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from protocol.errors import ConfigurationError
from protocol.messages import digest
from storage.files import read_bytes
from verifier import endorsements
from verifier.endorsements import HeldEndorsements, check_name

SUFFIXES: Final = (".der", ".pem", ".json", ".crl")
MAX_FILES: Final = 10_000
MAX_BYTES: Final = 1 << 20
"""Of one file; a long revocation list has some 100,000."""

MAX_TOTAL: Final = 64 << 20
ISSUERS: Final = Path(endorsements.__file__).with_name("issuers")
"""By a module's file: a working directory that holds a folder `verifier` would stand for the package itself."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One file of the folder."""

    name: str
    path: Path
    content: bytes

    @property
    def sha256(self) -> str:
        """Over the file."""
        return digest(self.content).hex()


def read_endorsements(folder: Path | None) -> HeldEndorsements:
    """The endorsements of a folder above those that come with sealedge. Raises `ConfigurationError`."""
    return _issuers() if folder is None else _held(folder).over(_issuers())


def kept_in(folder: Path) -> Iterator[Kept]:
    """The folder's files, by name in order. Raises `ConfigurationError`: too many, too large, empty, no name."""
    total = 0
    for path in _paths(folder):
        content = read_bytes(path, max_bytes=MAX_BYTES)
        if not content:
            raise ConfigurationError(f"{path}: is empty, and no endorsement is")
        total += len(content)
        if total > MAX_TOTAL:
            raise ConfigurationError(f"{folder}: holds more than {MAX_TOTAL} bytes")
        yield Kept(_name(folder, path), path, content)


def path_of(folder: Path, name: str, suffix: str) -> Path:
    """Where an endorsement of this name is kept. Raises `ConfigurationError` for a name that is none."""
    check_name(name)
    return folder / f"{name}{suffix}"


@lru_cache(maxsize=1)
def _issuers() -> HeldEndorsements:
    return _held(ISSUERS)


def _held(folder: Path) -> HeldEndorsements:
    held: dict[str, bytes] = {}
    for kept in kept_in(folder):
        if kept.name in held:
            raise ConfigurationError(f"{kept.path}: there is another file for {kept.name}")
        held[kept.name] = kept.content
    return HeldEndorsements(held)


def _paths(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise ConfigurationError(f"{folder}: is no folder")
    found: list[Path] = []
    for path in folder.rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            found.append(path)
        if len(found) > MAX_FILES:
            raise ConfigurationError(f"{folder}: holds more than {MAX_FILES} files")
    return sorted(found)


def _name(folder: Path, path: Path) -> str:
    if path.suffix not in SUFFIXES:
        raise ConfigurationError(f"{path}: an endorsement's file ends in {', '.join(SUFFIXES)}")
    name = path.relative_to(folder).with_suffix("").as_posix()
    try:
        check_name(name)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from None
    return name
