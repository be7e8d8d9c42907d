"""`python -m guests.build NAME [FOLDER]`: one guest of this folder, from its source to a module.

The guests `c`, `rust` and `assemblyscript` do the same, each in its language: reverse/ holds their sources.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from guests.assemblyscript import compile_assemblyscript
from guests.rust import compile_rust
from guests.toolchain import compile_c
from protocol.errors import ConfigurationError

HERE: Final = Path(__file__).parent
Compile = Callable[[Path, Path], None]

GUESTS: Final[Mapping[str, tuple[Path, Compile]]] = {
    "c": (HERE / "reverse" / "reverse.c", compile_c),
    "rust": (HERE / "reverse" / "reverse.rs", compile_rust),
    "assemblyscript": (HERE / "reverse" / "reverse.ts", compile_assemblyscript),
    "smoothing": (HERE / "smoothing" / "smoothing.c", compile_c),
}
"""By name: the source, and what compiles it. `breast_cancer` is trained first: guests/breast_cancer/build.py."""


def build(name: str, folder: Path) -> Path:
    """Compile a guest to `NAME.wasm` in `folder`; the same tools give the same bytes.

    Raises `ConfigurationError` where a compiler is missing, in one line that says which.
    """
    source, compiled = GUESTS[name]
    path = folder / f"{name}.wasm"
    compiled(source, path)
    return path


def main(arguments: list[str] | None = None) -> int:
    """The command: 0 where the module was made, 2 where something it needs is missing."""
    parser = argparse.ArgumentParser(prog="python -m guests.build", description="Compile a guest to WebAssembly.")
    parser.add_argument("name", choices=sorted(GUESTS))
    parser.add_argument("folder", nargs="?", type=Path, default=Path("build"))
    said = parser.parse_args(arguments)
    try:
        path = build(said.name, said.folder)
    except ConfigurationError as error:
        sys.stderr.write(f"guests.build: {error.diagnostics}\n")
        return 2
    sys.stdout.write(f"{path}: {path.stat().st_size} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
