"""The models that are measured, each with one real input."""

import logging
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx

from bench.efficientnet import efficientnet_lite0
from bench.models_packages import Floats, brain, packaged, picture, speech
from bench.models_timed import Subject
from bench.models_training import (
    CLASSICAL,
    brain_waves,
    breast_cancer,
    classical,
    gated_recurrent,
    perceptron,
    transformer,
)
from guests.breast_cancer.train import patients
from publisher.compiler.importing.wishes import Wishes

WHOLE, PART = "EfficientNet-Lite0 224", "EfficientNet-Lite0 blocks 0-10 96"
DETECTOR: Final = "rapidocr_onnxruntime", "models/ch_PP-OCRv4_det_infer.onnx"
SPEECH: Final = "silero_vad", "data/silero_vad_16k_sequence.onnx"
STATE: Final = 128
PHOTOGRAPHS: Final = (
    *("astronaut.png", "brick.png", "chelsea.png", "coffee.png", "grass.png", "gravel.png", "hubble_deep_field.jpg"),
    *("ihc.png", "moon.png", "retina.jpg", "rocket.jpg", "camera.png"),
)


def photograph(name: str, size: int) -> Floats:
    """As EfficientNet sees it: float32[1, 3, size, size]."""
    return _planes((picture(name, size).astype(np.float32) - 127) / 128)


def subjects() -> Iterator[Subject]:
    """All of them, each made when it is asked for: those that others are compared with come first."""
    yield Subject("MLP 30-16-1", breast_cancer(), {"x": patients()[1].inputs[:1]}, native=False)
    yield Subject("MLP 168-32-1", brain_waves(), {"x": brain("TEST")[0][:1]}, native=False)
    for name, size, blocks in ((PART, 96, 11), (WHOLE, 224, 16)):
        model = efficientnet_lite0(size, blocks)
        given = {"image": photograph("coffee.png", size)}
        yield Subject(name, model.SerializeToString(), given)
        yield Subject(f"{name} int8", quantised(model, size), given, native=False, float_form=name)
    yield detector(320)
    yield from (listener(1), listener(32))
    yield from (_classical(name) for name in CLASSICAL)
    yield _random("GRU 64-128, 32 steps", gated_recurrent, (32, 1, 64))
    yield _random("transformer block 64x128", transformer, (64, 128))


def detector(size: int) -> Subject:
    """PP-OCRv4's, on a page of a book."""
    page = picture("page.png", size).astype(np.float32) / 255
    mean, deviation = np.array((0.485, 0.456, 0.406), "f4"), np.array((0.229, 0.224, 0.225), "f4")
    given = _planes((page - mean) / deviation)
    return Subject(
        f"PP-OCRv4 det {size}", packaged(*DETECTOR).read_bytes(), {"x": given}, Wishes(shapes={"x": given.shape})
    )


def listener(frames: int) -> Subject:
    """silero-vad, in the middle of speech."""
    zeros = np.zeros((1, 1, STATE), np.float32)
    given = {"input": speech()[0][400 : 400 + frames], "h": zeros, "c": zeros}
    name = "silero-vad frame" if frames == 1 else f"silero-vad {frames} frames"
    return Subject(name, packaged(*SPEECH).read_bytes(), given, Wishes(dims={"sequence_length": frames}))


def quantised(model: onnx.ModelProto, size: int) -> bytes:
    """int8 by onnxruntime's own tool: QDQ, each output channel's weights with a scale of their own."""
    from onnxruntime.quantization import CalibrationDataReader, quantize_static  # noqa: PLC0415 - takes a second

    images = ({"image": photograph(name, size)} for name in PHOTOGRAPHS)
    # The name of its method is onnxruntime's.
    reader = type("Photographs", (CalibrationDataReader,), {"get_next": lambda _: next(images, None)})()
    logging.getLogger().setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "int8.onnx")
        quantize_static(model, path, reader, per_channel=True)
        return path.read_bytes()


def first() -> Subject:
    """Compiled before anything is timed: the first build on a machine compiles the C library, too."""
    return Subject("first", perceptron([(np.ones((2, 2)), np.ones(2))]), {"x": np.ones((1, 2), "f4")}, native=False)


def _classical(name: str) -> Subject:
    model, inputs = classical(name)
    return Subject(name, model, {"X": inputs[:1]}, native=False)


def _random(name: str, made: Callable[[], bytes], shape: tuple[int, ...]) -> Subject:
    return Subject(name, made(), {"x": np.random.default_rng(2).standard_normal(shape).astype(np.float32)})


def _planes(image: Any) -> Floats:
    return np.ascontiguousarray(image.transpose(2, 0, 1)[None], np.float32)
