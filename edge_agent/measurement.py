"""What the enclave is: one digest over every file of code that it runs, for reference values and for simulation.

    measurement = SHA-256(CBOR ["sealedge/1", "measurement", [[name, value], ...]]), the pairs in order of name

Covered are the sources of `schemas`, `protocol` and `edge_agent.enclave`, file by file, the distributions that they
import, as installed, and the version of Python. Not covered are Python's own files and what `site` runs at its start.
A hardware TEE measures the whole image, these with it; here a host measures itself, and can lie.
"""

import hashlib
import importlib.machinery
import importlib.metadata
import platform
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from protocol.cbor import encode
from protocol.errors import ConfigurationError
from protocol.messages import DOMAIN, digest

SOURCES: Final = ("schemas", "protocol", "edge_agent/__init__.py", "edge_agent/enclave")
"""Relative to the folder of the installation."""

DISTRIBUTIONS: Final = (
    "annotated-types",
    "cbor2",
    "cffi",
    "cryptography",
    "pydantic",
    "pydantic-core",
    "typing-extensions",
    "typing-inspection",
    "wasmtime",
)
"""All that the enclave's process imports besides the standard library."""

_CODE: Final = (*importlib.machinery.all_suffixes(), ".so", ".dylib", ".dll")
_CACHE: Final = "__pycache__"


@dataclass(frozen=True, slots=True)
class Measurement:
    """`entries` are (path or `name==version`, SHA-256 in hex) pairs, and one (`python`, version)."""

    digest: bytes
    entries: tuple[tuple[str, str], ...]


def measure(root: Path | None = None, distributions: Iterable[str] = DISTRIBUTIONS) -> Measurement:
    """Measure the installation in `root` (this one's own by default): the same files give the same digest anywhere.

    Raises `ConfigurationError` for a file that cannot be read, or a distribution that is not installed.
    """
    root = root or Path(__file__).parent.parent
    entries = [("python", f"{platform.python_implementation().lower()} {platform.python_version()}")]
    try:
        entries += [(path.relative_to(root).as_posix(), _sha256(path)) for path in _sources(root)]
        entries += [_measure_distribution(name) for name in distributions]
    except OSError as error:
        raise ConfigurationError(f"{error.filename}: cannot be measured: {error.strerror}") from error
    ordered = tuple(sorted(entries))
    return Measurement(digest(encode([DOMAIN, "measurement", ordered])), ordered)


def _sources(root: Path) -> Iterator[Path]:
    for name in SOURCES:
        found = list(_code_in(root / name))
        if not found:
            raise ConfigurationError(f"{root / name}: there is nothing to measure")
        yield from found


def _measure_distribution(name: str) -> tuple[str, str]:
    try:
        found = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        raise ConfigurationError(f"the distribution {name} is not installed") from None
    base = Path(str(found.locate_file("")))
    paths = {path for top in _tops(found) for path in _code_in(base / top)}
    listing = [(path.relative_to(base).as_posix(), _sha256(path)) for path in sorted(paths)]
    return f"{name}=={found.version}", digest(encode(listing)).hex()


def _tops(found: importlib.metadata.Distribution) -> set[str]:
    """The top-level folders and modules that it installed: walked, since an added file would not be in its record."""
    tops = {path.parts[0] for path in found.files or () if path.parts[0] != ".."}
    return {top for top in tops if not top.endswith(".dist-info") and top != _CACHE}


def _code_in(path: Path) -> Iterator[Path]:
    """The importable files at or below a path, without the cache of compiled ones."""
    for each in path.rglob("*") if path.is_dir() else (path,):
        if each.name.endswith(_CODE) and _CACHE not in each.parts and each.is_file():
            yield each


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
