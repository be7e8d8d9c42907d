"""Where there is speech: silero-vad's own model on pyannote-audio's own sample, in chunks whose state goes on."""

import importlib.util
import wave
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from publisher.compiler.emission import emit
from publisher.compiler.importing import import_model_untrusted
from publisher.compiler.planning import planned
from publisher.compiler.toolchain import compile_program
from tests.support.compiling import by_onnxruntime, close, runtime

RATE, FRAME, CONTEXT, CHUNK, STATE = 16000, 512, 64, 32, 128
pytestmark = pytest.mark.slow
Floats = NDArray[np.float32]


def packaged(package: str, path: str) -> Path:
    """A file inside a package, which is not imported: it wants much that is not needed here."""
    try:
        found = importlib.util.find_spec(package)
    except ModuleNotFoundError:
        found = None
    for folder in found.submodule_search_locations or () if found else ():
        if (file := Path(folder, path)).exists():
            return file
    pytest.skip(f"the package {package} is not installed")


def frames() -> Floats:
    """Each frame after the end of the one before it."""
    with wave.open(str(packaged("pyannote", "audio/sample/sample.wav"))) as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (RATE, 1, 2)
        samples = np.frombuffer(sound.readframes(sound.getnframes()), "<i2").astype("f4") / 32768
    count = len(samples) // FRAME
    padded = np.concatenate([np.zeros(CONTEXT, "f4"), samples])
    return np.stack([padded[t * FRAME : t * FRAME + CONTEXT + FRAME] for t in range(count)])


def labels(count: int) -> NDArray[np.bool_]:
    """Whether somebody speaks in the middle of each frame."""
    spoken = np.zeros(count, bool)
    for line in packaged("pyannote", "audio/sample/sample.rttm").read_text().splitlines():
        start, length = (float(each) for each in line.split()[3:5])
        middles = (np.arange(count) + 0.5) * FRAME / RATE
        spoken |= (middles >= start) & (middles < start + length)
    return spoken


def test_speech_is_found_as_onnxruntime_finds_it() -> None:
    model = packaged("silero_vad", "data/silero_vad_16k_sequence.onnx").read_bytes()
    graph = planned(import_model_untrusted(model, dims={"sequence_length": CHUNK}))
    assert graph.inputs == ("input", "h", "c")
    module = runtime().load(compile_program(emit(graph)))
    given = frames()
    state = np.zeros(2 * STATE, "f4")
    found = []
    for start in range(0, len(given), CHUNK):
        chunk = np.zeros((CHUNK, CONTEXT + FRAME), "f4")
        chunk[: len(given) - start] = given[start : start + CHUNK]
        out = np.frombuffer(module.run(chunk.tobytes() + state.tobytes()), "f4")
        found.append(out[:CHUNK])
        state = out[CHUNK:]
    speech = np.concatenate(found)[: len(given)]
    zeros = np.zeros((1, 1, STATE), "f4")
    expected = by_onnxruntime(model, {"input": given, "h": zeros, "c": zeros})[0]
    close(speech, expected, 1e-4)
    spoken = labels(len(given))
    assert len(given) == 937
    share = float(np.mean((speech >= 0.5) == spoken))
    assert share >= 0.985, share
