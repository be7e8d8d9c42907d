"""AssemblyScript to WebAssembly with the compiler of npm's registry, as package-lock.json pins it by its hashes.

Node.js runs the compiler. The same source and the same lock file give the same bytes, wherever they lie.
"""

import fcntl
import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from guests.toolchain import COMPILER_SECONDS, write_whole
from protocol.errors import ConfigurationError

FLAGS: Final = (
    *("-O2", "--noAssert", "--runtime", "stub"),
    # Without this, a module imports what JavaScript would offer: the enclave offers no such thing.
    *("--use", "abort="),
)


def compile_assemblyscript(source: Path, output: Path) -> None:
    """Compile one file to a module at `output`, with the compiler of the package.json beside it.

    Raises `ConfigurationError` as `install` does, and where the compiler fails.
    """
    folder = source.parent
    install(folder)
    node, compiler = _program("node"), folder / "node_modules" / "assemblyscript" / "bin" / "asc.js"
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch, "module.wasm")
        _run([node, str(compiler), source.name, "-o", str(made), *FLAGS], folder)
        write_whole(output, made.read_bytes())


def install(folder: Path) -> None:
    """Install what the folder's lock file names, unless it is there; one process at a time.

    Raises `ConfigurationError` where node or npm is missing, or npm fails: it knows no such package, or no registry.
    """
    _program("node")
    npm = _program("npm")
    with Path(folder, "package.json").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_installed(folder):
            # Scripts of packages are not run, and nothing is taken that is not what the lock file has the hash of.
            _run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], folder)


def _is_installed(folder: Path) -> bool:
    """Whether what the lock file names is there: npm keeps a copy beside it, which lacks the package's own entry."""
    kept = folder / "node_modules" / ".package-lock.json"
    if not kept.exists():
        return False
    wanted = json.loads((folder / "package-lock.json").read_text("utf-8"))["packages"]
    found = json.loads(kept.read_text("utf-8"))["packages"]
    return bool({name: each for name, each in wanted.items() if name} == found)


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise ConfigurationError(f"{name} is missing: install Node.js 20 or newer, with npm")
    return found


def _run(command: list[str], folder: Path) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - npm and node, on this package's own sources
            command, cwd=folder, capture_output=True, text=True, timeout=COMPILER_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigurationError(f"{command[0]} does not run: {type(error).__name__}") from None
    if done.returncode != 0:
        words = " ".join((done.stderr or done.stdout).split())
        raise ConfigurationError(f"{Path(command[0]).name} failed with {done.returncode}: {words[:500]}")
