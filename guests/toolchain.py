"""C to WebAssembly with the compiler in the `ziglang` package, without any C library.

The same sources and the same ziglang give the same bytes, wherever they lie.
"""

import importlib.metadata
import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Final

from protocol.errors import ConfigurationError

FLAGS: Final = (
    *("-target", "wasm32-freestanding", "-mcpu=generic+simd128", "-std=c11", "-nostdlib", "-Wl,--no-entry"),
    *("-O2", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror"),
    # Zig would take a mebibyte, all of which is written over after each request.
    "-Wl,-z,stack-size=65536",
    # Debug sections hold paths: they would make the bytes depend on where the build ran.
    *("-g0", "-s"),
)
COMPILER_SECONDS: Final = 120


def compile_c(source: Path, output: Path, include: Path | None = None) -> None:
    """Compile one C file to a Wasm module at `output`; `include` is a further directory for headers.

    Raises `ConfigurationError` when ziglang is not installed or the compiler fails.
    """
    if importlib.util.find_spec("ziglang") is None:
        raise ConfigurationError("the C compiler is missing: install sealedge[demo], which brings ziglang")
    headers = () if include is None else ("-I", str(include))
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch, "module.wasm")
        _run_compiler([*FLAGS, *headers, str(source), "-o", str(made)], scratch)
        write_whole(output, made.read_bytes())


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that a reader finds all of it or the one before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_bytes(content)
    part.replace(path)


def recipe_digest(sources: Iterable[Path], packages: Iterable[str]) -> str:
    """What a build depends on, in hexadecimal: the sources' bytes, the packages' versions, the compiler's flags.

    Raises `ConfigurationError` when a package is not installed.
    """
    recipe = sha256(repr(FLAGS).encode())
    for source in sources:
        recipe.update(sha256(source.read_bytes()).digest())
    for package in packages:
        recipe.update(f"{package} {_version(package)}\n".encode())
    return recipe.hexdigest()


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        raise ConfigurationError(f"{package} is missing: install sealedge[demo]") from None


def _run_compiler(arguments: list[str], scratch: str) -> None:
    caches = {"ZIG_GLOBAL_CACHE_DIR": f"{scratch}/global", "ZIG_LOCAL_CACHE_DIR": f"{scratch}/local"}
    try:
        done = subprocess.run(  # noqa: S603 - this interpreter, on this package's own sources
            [sys.executable, "-m", "ziglang", "cc", *arguments],
            env={**os.environ, **caches},
            capture_output=True,
            timeout=COMPILER_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ConfigurationError(f"the C compiler did not end within {COMPILER_SECONDS} s") from None
    if done.returncode != 0:
        words = " ".join(done.stderr.decode(errors="replace").split())
        raise ConfigurationError(f"the C compiler failed with {done.returncode}: {words[:500]}")
