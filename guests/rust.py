"""Rust to WebAssembly with a `rustc` that has its standard library for WASI, as Debian's packages bring it.

`rustc`, `libstd-rust-dev-wasm32` and `lld`. No cargo: a guest is one file and std. The same source and the same rustc
give the same bytes, wherever they lie.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from guests.toolchain import COMPILER_SECONDS, write_whole
from protocol.errors import ConfigurationError, Finding

TARGETS: Final = ("wasm32-wasip1", "wasm32-wasi")
"""Names of WASI 0.1 in newer and in older rustc."""

FLAGS: Final = (
    *("--edition", "2021", "--crate-type", "cdylib", "-D", "warnings"),
    *("-C", "opt-level=2", "-C", "codegen-units=1", "-C", "panic=abort", "-C", "strip=symbols"),
    # The allocator of wasi-libc takes over the pages that it finds: the enclave's buffers have to come from it.
    *("-C", "link-arg=--export=malloc"),
)


def compile_rust(source: Path, output: Path) -> None:
    """Compile one Rust file to a module at `output`.

    Raises `ConfigurationError` where no rustc has a standard library for WASI, or it fails.
    """
    compiler, target = find_rustc()
    with tempfile.TemporaryDirectory() as scratch:
        # Paths stand in the messages of panics: compiled from its own folder, a source has none.
        shutil.copy(source, scratch)
        _run([str(compiler), "--target", target, *FLAGS, source.name, "-o", "module.wasm"], scratch)
        write_whole(output, Path(scratch, "module.wasm").read_bytes())


def find_rustc() -> tuple[Path, str]:
    """The first rustc of PATH that has the target's standard library, and the target; or the one that RUSTC names.

    Raises `ConfigurationError` where there is none.
    """
    for compiler in _compilers():
        for target in TARGETS:
            if _has_std(compiler, target):
                return compiler, target
    finding = Finding("rustc", f"one with std for {' or '.join(TARGETS)}", "none on PATH")
    raise ConfigurationError(
        "no Rust for WASI is here: install rustc, libstd-rust-dev-wasm32 and lld (Debian)", finding=finding
    )


def _compilers() -> Iterator[Path]:
    """Every one, not the first alone: rustup's stands before the system's, and may lack the target."""
    if said := os.environ.get("RUSTC"):
        yield Path(said)
        return
    for folder in os.get_exec_path():
        if (found := shutil.which("rustc", path=folder)) is not None:
            yield Path(found)


def _has_std(compiler: Path, target: str) -> bool:
    try:
        said = _run([str(compiler), "--print", "target-libdir", "--target", target])
    except ConfigurationError:
        return False
    return any(Path(said.strip()).glob("libstd-*.rlib"))


def _run(command: list[str], folder: str | None = None) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - the compiler, on this package's own sources
            command, cwd=folder, capture_output=True, text=True, timeout=COMPILER_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigurationError(f"{command[0]} does not run: {type(error).__name__}") from None
    if done.returncode != 0:
        raise ConfigurationError(f"rustc failed with {done.returncode}: {' '.join(done.stderr.split())[:500]}")
    return done.stdout
