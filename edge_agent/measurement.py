"""What the enclave is: one digest over every file of code that it runs, for reference values and for simulation.

    measurement = SHA-256(CBOR ["sealedge/1", "measurement", [[name, value], ...]]), the pairs in order of name

Covered are the sources of `schemas`, `protocol` and `edge_agent.enclave`, file by file, the distributions that they
import, as installed, and the version of Python. Not covered are Python's own files; no other file runs, since the
enclave starts without `site`. A hardware TEE measures the whole image, these with it; here a host measures itself, and
can lie.
"""

import hashlib
import importlib.machinery
import os
import platform
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge_agent.installed import Installed, installed
from protocol.cbor import encode
from protocol.errors import ConfigurationError

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
_READ_BYTES: Final = 2**20


@dataclass(frozen=True, slots=True)
class Measurement:
    """`entries` are (path or `name==version`, SHA-256 in hex) pairs, and one (`python`, version)."""

    digest: bytes
    entries: tuple[tuple[str, str], ...]


def measure(root: Path | None = None, distributions: Sequence[str] = DISTRIBUTIONS) -> Measurement:
    """Measure the installation in `root` (this one's own by default): the same files give the same digest anywhere.

    Raises `ConfigurationError` for a file that cannot be read, or a distribution that is not installed.
    """
    root = root or Path(__file__).parent.parent
    entries = [("python", f"{platform.python_implementation().lower()} {platform.python_version()}")]
    try:
        entries += _listing(root, _sources(root))
        entries += [_measure_distribution(each) for each in installed(distributions)]
    except OSError as error:
        raise ConfigurationError(f"{error.filename}: cannot be measured: {error.strerror}") from error
    from protocol.messages import DOMAIN  # noqa: PLC0415 - an agent measures while it imports all of the schemas

    ordered = tuple(sorted(entries))
    return Measurement(hashlib.sha256(encode([DOMAIN, "measurement", ordered])).digest(), ordered)


def _sources(root: Path) -> Iterator[str]:
    for name in SOURCES:
        found = list(_code_in(str(root / name)))
        if not found:
            raise ConfigurationError(f"{root / name}: there is nothing to measure")
        yield from found


def _measure_distribution(found: Installed) -> tuple[str, str]:
    """Its folders are walked, since an added file would not be in its record."""
    paths = {path for top in found.tops for path in _code_in(str(found.folder / top))}
    listing = _listing(found.folder, sorted(paths, key=Path))
    return f"{found.name}=={found.version}", hashlib.sha256(encode(listing)).hexdigest()


def _listing(base: Path, paths: Iterable[str]) -> list[tuple[str, str]]:
    start = len(str(base)) + 1
    return [(path[start:].replace(os.sep, "/"), _sha256(path)) for path in paths]


def _code_in(path: str) -> Iterator[str]:
    """Importable files at or below a path, without the cache of compiled ones; links to folders are not followed."""
    if not Path(path).is_dir():
        if path.endswith(_CODE) and Path(path).is_file():
            yield path
        return
    with os.scandir(path) as entries:
        for each in entries:
            if each.is_dir(follow_symlinks=False):
                if each.name != _CACHE:
                    yield from _code_in(each.path)
            elif each.name.endswith(_CODE) and each.is_file():
                yield each.path


def _sha256(path: str) -> str:
    found = hashlib.sha256()
    with Path(path).open("rb", buffering=0) as file:
        while part := file.read(_READ_BYTES):
            found.update(part)
    return found.hexdigest()
