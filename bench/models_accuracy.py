"""How many are right, on data that no model was trained on: every answer is a module's, in the enclave's runtime.

Held out are a third of the patients, the data set's own test file, every other face, and every tenth digit.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bench.efficientnet import efficientnet_lite0
from bench.models_packages import Floats, brain, digits, faces, packaged, speech
from bench.models_subjects import SPEECH, STATE, photograph
from bench.models_training import brain_waves, breast_cancer, small_images, with_head
from bench.table import Row, figure
from edge_agent.enclave.running.runtime import Runtime
from guests.breast_cancer.train import patients
from publisher.compiler.compiling import compile_model_untrusted
from publisher.compiler.importing.wishes import Wishes

CHUNK: Final = 32
"""Frames of speech in one request; the state goes on to the next."""

ESPRESSO: Final = 967
"""By ImageNet's numbers."""

Answer = Callable[[NDArray[Any]], Floats]


def rows(runtime: Runtime) -> list[Row]:
    """All figures; each is one count, so there are no quartiles."""
    return [each(runtime) for each in (patients_right, brains_right, speech_right, faces_right, digits_right, coffee)]


def patients_right(runtime: Runtime) -> Row:
    unseen = patients()[1]
    found = _each(module(runtime, breast_cancer()), unseen.inputs)
    return _counted("breast cancer, right of 171", (found[:, 0] >= 0.5) == (unseen.labels == 1))


def brains_right(runtime: Runtime) -> Row:
    inputs, positive = brain("TEST")
    found = _each(module(runtime, brain_waves()), inputs)
    return _counted("EEG, right of 293", (found[:, 0] >= 0.5) == positive)


def speech_right(runtime: Runtime) -> Row:
    frames, spoken = speech()
    found = np.concatenate(list(_speech(runtime, frames)))[: len(frames)]
    share = float(np.mean((found >= 0.5) == spoken))
    return figure("speech, right frames", [share], "share", note=f"of {len(frames)} frames, silero-vad at 0.5")


def faces_right(runtime: Runtime) -> Row:
    images, labels = faces()
    return _with_head(runtime, "faces, right of 100", images, labels, np.arange(len(images)) % 2 == 1)


def digits_right(runtime: Runtime) -> Row:
    images, labels = digits()
    return _with_head(runtime, "digits, right of 500", images, labels, np.arange(len(images)) % 10 == 0)


def coffee(runtime: Runtime) -> Row:
    answer = module(runtime, efficientnet_lite0(224).SerializeToString())
    found = int(answer(photograph("coffee.png", 224)).argmax())
    return figure("coffee.png, right of 1", [int(found == ESPRESSO)], "right", note=f"class {found} of 1000")


def module(runtime: Runtime, model: bytes, wishes: Wishes | None = None) -> Answer:
    """A model as a function of one input's bytes, compiled as `sealedge build` compiles it."""
    loaded = runtime.load(compile_model_untrusted(model, wishes or Wishes()).wasm)
    return lambda data: np.frombuffer(loaded.run(data.tobytes()), np.float32)


def _each(answer: Answer, inputs: Floats) -> Floats:
    return np.stack([answer(each) for each in inputs])


def _speech(runtime: Runtime, frames: Floats) -> Any:
    """The probabilities of each chunk, the last filled up with zeros."""
    answer = module(runtime, packaged(*SPEECH).read_bytes(), Wishes(dims={"sequence_length": CHUNK}))
    state = np.zeros(2 * STATE, np.float32)
    for start in range(0, len(frames), CHUNK):
        chunk = np.zeros((CHUNK, frames.shape[1]), np.float32)
        chunk[: len(frames) - start] = frames[start : start + CHUNK]
        found = answer(np.concatenate([chunk.ravel(), state]))
        state = found[CHUNK:]
        yield found[:CHUNK]


def _with_head(runtime: Runtime, name: str, images: Floats, labels: NDArray[Any], held_out: NDArray[np.bool_]) -> Row:
    seen = small_images(images)
    answer = module(runtime, with_head(seen[~held_out], labels[~held_out]))
    found = _each(answer, seen[held_out]).argmax(axis=1)
    return _counted(name, found == labels[held_out])


def _counted(name: str, right: NDArray[np.bool_]) -> Row:
    return figure(name, [int(right.sum())], "right", note=f"{right.mean():.1%}")
