"""What went into a module, for provenance and bill of materials: nothing of it depends on when or where.

The time stands in neither document unless SOURCE_DATE_EPOCH says which (reproducible-builds.org): the same model,
options and versions give the same bytes.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from protocol.errors import ConfigurationError, Finding
from publisher.compiler.cost import Cost
from publisher.compiler.toolchain import COMMON, WASM

PACKAGES: Final = {"sealedge": ("numpy", "onnx", "onnxruntime", "ziglang"), "tinygrad": ("tinygrad",)}
"""The packages whose versions decide the bytes: those of every build, and further ones by the compiler's name."""

LATEST: Final = 253_402_300_799
"""The last second of the year 9999."""


@dataclass(frozen=True, slots=True)
class Origin:
    """One build. `model` and `module` are the SHA-256 of the ONNX bytes as they were read, and of the wasm bytes.

    `options` are those of the command line that decide the module, as JSON would have them. `outside` names the files
    of constants that the model refers to, with their digests. `moment` is None unless SOURCE_DATE_EPOCH is set.
    """

    name: str
    model_name: str
    model: bytes
    model_bytes: int
    module: bytes
    module_bytes: int
    source: bytes
    compiler: str
    cost: Cost
    inputs: Sequence[str]
    outputs: Sequence[str]
    tolerance: float
    measure: str = "largest"
    options: Mapping[str, Any] = field(default_factory=dict)
    licence: str | None = None
    moment: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def flags(self) -> tuple[str, ...]:
        """What the C compiler was told."""
        return (*WASM, *COMMON)


def versions_of(compiler: str) -> dict[str, str]:
    """The versions of all that decides the module's bytes, by the packages' names."""
    names = [*PACKAGES["sealedge"], *(PACKAGES[compiler] if compiler != "sealedge" else ())]
    return {name: package_version(name) for name in sorted(names)}


def package_version(name: str) -> str:
    """An installed package's version; "unknown" where nobody says."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"


def sources_digest(folder: Path | None = None) -> bytes:
    """SHA-256 over this compiler's own files: each by its path's and its content's digest, in order."""
    folder = folder or Path(__file__).parent
    total = sha256()
    for path in sorted(each for each in folder.rglob("*") if each.suffix in {".py", ".h", ".c"}):
        total.update(sha256(path.relative_to(folder).as_posix().encode()).digest())
        total.update(sha256(path.read_bytes()).digest())
    return total.digest()


def check_licence(licence: str | None) -> None:
    """Raises `ConfigurationError` for what cannot be an SPDX expression; whether its names exist is not looked up."""
    if licence is not None and not re.fullmatch(r"[A-Za-z0-9.+()\- ]{1,256}", licence):
        finding = Finding("licence", "an SPDX expression, e.g. Apache-2.0", f"{licence[:80]!a}")
        raise ConfigurationError("this is no licence", finding=finding)


def moment_of(epoch: str | None) -> str | None:
    """SOURCE_DATE_EPOCH as RFC 3339 has it. Raises `ConfigurationError` where it is no time."""
    if epoch is None:
        return None
    if not (epoch.isascii() and epoch.isdecimal() and int(epoch[:20]) <= LATEST):
        raise ConfigurationError(f"SOURCE_DATE_EPOCH is no number of seconds since 1970: {epoch[:40]!a}")
    return datetime.fromtimestamp(int(epoch), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
