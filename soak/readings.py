"""Readings, each with the output that it must have: the model computed in the clear, before anything is sent.

Each reading is one of its own: between a benign and a malignant patient, where the model is in doubt, so that no two
readings of a run have one output. An answer that belongs to another request is a wrong one.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from guests.breast_cancer.patients import Patients
from soak.ledger import Output

Floats = NDArray[np.float32]
Command = Callable[..., str]
"""Runs `sealedge` with these arguments to its end."""

BATCH: Final = 10_000
"""As many as `sealedge run` takes at a time."""

DOUBT: Final = 0.001
"""How far from certain an output is at least: beyond, too many are alike."""

BAD_EVERY: Final = 25
"""One reading out of so many holds an infinity, which the model does not take."""

Reading = tuple[str, Output | None]
"""A line of JSON, and what is expected; None: it must be refused."""


def drawn(patients: Patients, run: Callable[[Floats], Floats], count: int, seed: int) -> list[Reading]:
    """So many readings. `run` computes in the clear: float32[n, 30] to float32[n, 2]."""
    rng, found = np.random.default_rng(seed), dict[Output, Floats]()
    while len(found) < count:
        mixed = _mixed(patients, rng)
        for reading, output in zip(mixed, run(mixed).tolist(), strict=True):
            if DOUBT < output[0] < 1 - DOUBT:
                found.setdefault(tuple(output), reading)
    chosen = list(found.items())[:count]
    return [_line(number, reading, output, rng) for number, (output, reading) in enumerate(chosen, start=1)]


def in_the_clear(sealedge: Command, module: Path, description: Path, folder: Path) -> Callable[[Floats], Floats]:
    """The module run by `sealedge run`, without a fleet."""

    def run(readings: Floats) -> Floats:
        given, made = folder / "readings.npy", folder / "outputs.npy"
        np.save(given, readings)
        sealedge("run", str(module), "--description", str(description), "--input", str(given), "--output", str(made))
        outputs: Floats = np.load(made)
        return outputs

    return run


def _mixed(patients: Patients, rng: np.random.Generator) -> Floats:
    benign, malignant = (rng.choice(patients.inputs[patients.labels == label], BATCH) for label in (0, 1))
    share = rng.random((BATCH, 1), dtype=np.float32)
    mixed: Floats = (share * benign + (1 - share) * malignant).astype(np.float32)
    return mixed


def _line(number: int, reading: Floats, output: Output, rng: np.random.Generator) -> Reading:
    if number % BAD_EVERY:
        return json.dumps(reading.tolist()), output
    bad = reading.copy()
    bad[rng.integers(len(bad))] = np.inf
    return json.dumps(bad.tolist()), None
