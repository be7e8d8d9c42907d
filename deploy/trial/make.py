"""`python deploy/trial/make.py FOLDER`: the trial's module, its description and readings, while an image is built."""

import shutil
import sys
from pathlib import Path

import wasmtime

HERE = Path(__file__).parent


def main(folder: Path) -> None:
    """Write `vibration.wasm` and what belongs to it into `folder`, which is made."""
    folder.mkdir(parents=True)
    (folder / "vibration.wasm").write_bytes(wasmtime.wat2wasm((HERE / "vibration.wat").read_text(encoding="ascii")))
    for name in ("vibration.toml", "readings.csv"):
        shutil.copyfile(HERE / name, folder / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
