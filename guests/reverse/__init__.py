"""The smallest guest: gives back its input in reverse and says so in its log, as an example of the convention."""

from pathlib import Path

from guests.toolchain import compile_c


def build(output_dir: Path) -> Path:
    """Compile `reverse.wasm` into `output_dir`. Raises `ConfigurationError` when ziglang is missing."""
    path = output_dir / "reverse.wasm"
    compile_c(Path(__file__).parent / "reverse.c", path)
    return path
