"""Where an installed distribution lies and what it brought: read from its `.dist-info` folder.

`importlib.metadata` answers the same and more; it brings Python's mail package and archives along, into a process
that stays for months.
"""

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from protocol.errors import ConfigurationError

_SUFFIX: Final = ".dist-info"
_SEPARATORS: Final = re.compile(r"[-_.]+")


@dataclass(frozen=True, slots=True)
class Installed:
    """A distribution in `folder`; `tops` are the folders and modules there that it brought, by name."""

    name: str
    version: str
    folder: Path
    tops: tuple[str, ...]


def installed(names: Sequence[str], folders: Sequence[str] | None = None) -> list[Installed]:
    """The distributions of these names, each in the first of the folders (Python's own path) that has it.

    Raises `ConfigurationError` for one that is not there, or does not say what it installed.
    """
    found: dict[str, Path] = {}
    for folder in sys.path if folders is None else folders:
        for each in _information(folder):
            found.setdefault(_normalized(each.name.partition("-")[0]), each)
    for name in names:
        if _normalized(name) not in found:
            raise ConfigurationError(f"the distribution {name} is not installed")
    return [_described(name, found[_normalized(name)]) for name in names]


def _described(name: str, information: Path) -> Installed:
    version = next((line for line in _lines(information, "METADATA") if line.startswith("Version:")), "")
    tops = {top for line in _lines(information, "RECORD") if (top := _top(line)) is not None}
    if not version or not tops:
        raise ConfigurationError(f"{information}: does not say what is installed")
    return Installed(name, version.partition(":")[2].strip(), information.parent, tuple(sorted(tops)))


def _top(line: str) -> str | None:
    """The first part of a path in RECORD; None for scripts, which lie elsewhere, and for the information itself."""
    top = line.lstrip('"').partition(",")[0].partition("/")[0]
    return None if top in ("", "..", "__pycache__") or top.endswith(_SUFFIX) else top


def _information(folder: str) -> list[Path]:
    try:
        names = os.listdir(folder or ".")  # noqa: PTH208 - names alone, of a folder with hundreds
    except OSError:
        return []  # an archive, or nothing: as in Python's own search
    return [Path(folder, each) for each in names if each.endswith(_SUFFIX)]


def _lines(information: Path, name: str) -> list[str]:
    try:
        return (information / name).read_text("utf-8").splitlines()
    except OSError as error:
        raise ConfigurationError(f"{information / name}: cannot be read: {error.strerror}") from error


def _normalized(name: str) -> str:
    """As the packaging standards compare names (PEP 503)."""
    return _SEPARATORS.sub("-", name).lower()
