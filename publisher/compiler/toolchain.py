"""C to wasm32 with the compiler in the `ziglang` package: the same source and version give the same bytes.

The C library is wasi-libc's mathematics, linked in; nothing of it is imported from outside.
"""

import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from protocol.errors import ConfigurationError, Finding
from publisher.compiler.constant_pages import WEIGHTS
from publisher.compiler.emission import KERNELS, Program
from publisher.compiler.exports import without_export

COMMON: Final = (
    *("-std=c23", "-O3", "-ffp-contract=off", "-fno-strict-aliasing", "-Wall", "-Werror", "-g0", "-s"),
    # Constants can be large and tables unused in a model that folds them.
    *("-Wno-unused-function", "-Wno-unused-const-variable", "-Wno-unused-variable"),
)
WASM: Final = (*("-target", "wasm32-wasi", "-mexec-model=reactor", "-mcpu=generic+simd128"),)
NATIVE: Final = ("-mcpu=x86_64_v2", "-shared", "-fPIC")
"""The same C for this machine at 128 bits, to compare with."""

COMPILER_SECONDS: Final = 600
SOURCE_BYTES: Final = 2**24
"""Of C: networks of a hundred layers need a fiftieth of it."""


def compile_program(program: Program, *, native: bool = False, cache: Path | None = None) -> bytes:
    """The module's bytes (or a shared library's). `cache` keeps the compiled C library between builds.

    Raises `ConfigurationError` when the compiler fails or is missing, and for more C than it should be given.
    """
    if len(program.source) > SOURCE_BYTES:
        finding = Finding("bytes of C", f"at most {SOURCE_BYTES}", str(len(program.source)))
        raise ConfigurationError("the model has too many layers to compile", finding=finding)
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch, "model.c").write_text(program.source, encoding="ascii")
        Path(scratch, WEIGHTS).write_bytes(program.weights)
        flags = NATIVE if native else (*WASM, *_linked(program))
        made = Path(scratch, "made")
        arguments = [*flags, *COMMON, "-I", str(KERNELS), "--embed-dir=.", "model.c", "-o", str(made)]
        _run(arguments, scratch, cache or Path.home() / ".cache" / "sealedge" / "zig")
        return made.read_bytes() if native else without_export(made.read_bytes(), b"_initialize")


def _linked(program: Program) -> tuple[str, ...]:
    exports = (f"-Wl,--export={name}" for name in program.visible)
    # It lies below everything else, so that its overflow traps. Zig would take 16 MiB of each instance for it.
    return (f"-Wl,-z,stack-size={program.stack_bytes}", *exports)


def _run(arguments: list[str], scratch: str, cache: Path) -> None:
    environment = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": str(cache), "ZIG_LOCAL_CACHE_DIR": f"{scratch}/local"}
    with subprocess.Popen(  # noqa: S603 - this interpreter, on what this package wrote
        [sys.executable, "-m", "ziglang", "cc", *arguments],
        cwd=scratch,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as compiler:
        try:
            _, said = compiler.communicate(timeout=COMPILER_SECONDS)
        except subprocess.TimeoutExpired:
            raise ConfigurationError(f"the C compiler did not end within {COMPILER_SECONDS} s") from None
        finally:
            _end(compiler)
    if compiler.returncode != 0:
        words = " ".join(said.decode(errors="replace").split())
        raise ConfigurationError(f"the C compiler failed with {compiler.returncode}: {words[:800]}")


def _end(compiler: subprocess.Popen[bytes]) -> None:
    """The compiler and the processes that it started, which would go on without it."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(compiler.pid, signal.SIGKILL)
