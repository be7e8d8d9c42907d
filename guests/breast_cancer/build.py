"""Train, write the weights, compile: once, until the sources or the packages change."""

import io
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from guests.breast_cancer.patients import Patients
from guests.toolchain import compile_c, recipe_digest, write_whole
from schemas.model import TensorSpec

HERE: Final = Path(__file__).parent
SOURCES: Final = (HERE / "train.py", HERE / "model.c", HERE / "build.py")
PACKAGES: Final = ("numpy", "scipy", "scikit-learn", "ziglang")

LABELS: Final = ("benign", "malignant")
INPUTS: Final = (TensorSpec(name="measurements", dtype="float32", shape=(30,)),)
OUTPUTS: Final = (TensorSpec(name="probabilities", dtype="float32", shape=(len(LABELS),), labels=LABELS),)

Progress = Callable[[str, float], None]
"""Told what is being done, and how much is behind it: 0.0 to 1.0."""


@dataclass(frozen=True, slots=True)
class BuiltModel:
    """A module on disk. `correct` of `held_out` unseen patients are told rightly; `digest` is SHA-256 of the module."""

    path: Path
    digest: bytes
    correct: int
    held_out: int
    inputs: tuple[TensorSpec, ...] = INPUTS
    outputs: tuple[TensorSpec, ...] = OUTPUTS

    @property
    def accuracy(self) -> float:
        """The share of held-out patients that are told rightly, 0.0 to 1.0."""
        return self.correct / self.held_out

    def patients(self) -> Patients:
        """The held-out patients, as `held_out` gives them, without the second that scikit-learn takes to import."""
        import numpy as np  # noqa: PLC0415 - needs the extra `demo`

        with np.load(_patients_file(self.path), allow_pickle=False) as kept:
            return Patients(inputs=kept["inputs"], labels=kept["labels"])


def build(output_dir: Path, progress: Progress | None = None) -> BuiltModel:
    """`breast_cancer.wasm` in `output_dir`, made anew only when its recipe or the file itself has changed.

    Raises `ConfigurationError` when a package of the extra `demo` is missing, in one line that names it.
    """
    say = progress or _say_nothing
    recipe = recipe_digest(SOURCES, PACKAGES)
    path, note = output_dir / "breast_cancer.wasm", output_dir / "breast_cancer.json"
    built = _already_built(path, note, recipe)
    if built is None:
        correct, held_out_count = _make(path, say)
        built = BuiltModel(path, sha256(path.read_bytes()).digest(), correct, held_out_count)
        facts = {"recipe": recipe, "wasm": built.digest.hex(), "correct": correct, "held_out": held_out_count}
        write_whole(note, json.dumps(facts, indent=1).encode())
    say("ready", 1.0)
    return built


def held_out() -> Patients:
    """The 171 patients that training never saw: `inputs` float32[171, 30], `labels` int64[171], 1 is malignant.

    Raises `ConfigurationError` when scikit-learn is missing.
    """
    from guests.breast_cancer import train  # noqa: PLC0415 - needs the extra `demo`, and a second to import

    return train.patients()[1]


def _make(path: Path, say: Progress) -> tuple[int, int]:
    """Train and compile; how many held-out patients are told rightly, and how many there are."""
    say("loading", 0.0)
    import numpy as np  # noqa: PLC0415 - needs the extra `demo`

    from guests.breast_cancer import train  # noqa: PLC0415 - likewise, and a second to import

    seen, unseen = train.patients()
    say("training", 0.6)
    network = train.train(seen)
    say("compiling", 0.8)
    kept = io.BytesIO()
    np.savez(kept, inputs=unseen.inputs, labels=unseen.labels)
    write_whole(_patients_file(path), kept.getvalue())
    with tempfile.TemporaryDirectory() as generated:
        Path(generated, "weights.h").write_text(train.c_header(network), encoding="ascii")
        compile_c(HERE / "model.c", path, Path(generated))
    told = train.malignant(network, unseen.inputs) > 0.5
    return int((told == unseen.labels).sum()), len(unseen.labels)


def _already_built(path: Path, note: Path, recipe: str) -> BuiltModel | None:
    try:
        facts, module = json.loads(note.read_bytes()), path.read_bytes()
        digest = sha256(module).digest()
        if facts["recipe"] != recipe or facts["wasm"] != digest.hex() or not _patients_file(path).is_file():
            return None
        return BuiltModel(path, digest, int(facts["correct"]), int(facts["held_out"]))
    except (OSError, ValueError, KeyError, TypeError):
        # Whatever is not the note that belongs to the module is no reason to trust it: build anew.
        return None


def _patients_file(path: Path) -> Path:
    return path.with_name("held_out.npz")


def _say_nothing(_step: str, _done: float) -> None:
    """Progress that nobody watches."""
