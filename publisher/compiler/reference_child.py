"""onnxruntime in a process of its own: a model that crashes it, or fills the memory, ends this process alone.

stdin   │ one line of JSON: what `reference.Reference` sends first │ the model │ inputs, as often as wanted
stdout  │ one line of JSON for the model, then for each input; after an answer the bytes of its outputs
"""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from publisher.compiler.importing.binding import bind_inputs
from publisher.compiler.importing.bounds import CHILD_COPIES
from publisher.compiler.importing.child import bound
from publisher.compiler.importing.external import embed_external_data
from publisher.compiler.importing.parsing import parse_untrusted
from publisher.compiler.importing.precision import widen

PROCESSOR_SECONDS: Final = 3600
"""For all answers together; who asks waits `reference.ANSWER_SECONDS` for each."""
DATA_BYTES: Final = 2**33
"""What onnxruntime may use besides `CHILD_COPIES` times the model."""

Tensors = list[tuple[str, str, tuple[int, ...]]]
"""Name, numpy's name of the type, shape."""


def answer_standard_input() -> None:
    """Serve until stdin ends."""
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    # What onnxruntime and its parts print must not end up among the answers.
    sys.stdout = sys.stderr
    asked = json.loads(source.readline())
    bound(PROCESSOR_SECONDS, DATA_BYTES + CHILD_COPIES * asked["bytes"])
    inputs: Tensors = [(name, dtype, tuple(shape)) for name, dtype, shape in asked["inputs"]]
    try:
        session = _session(_as_imported(source.read(asked["bytes"]), asked), asked["as_written"])
    except Exception as refused:
        # onnxruntime's exceptions have no root of their own.
        _say(sink, {"error": _one_line(refused)})
        return
    _say(sink, {"version": onnxruntime.__version__})
    while data := source.read(asked["input_bytes"] + 1):
        _answer(session, _arrays(data[1:], inputs), asked, sink)


def _as_imported(data: bytes, asked: Mapping[str, Any]) -> bytes:
    """The model with its outside constants, bound inputs and float16 as the importer has them; else as it was."""
    model = parse_untrusted(data)
    outside = any(each.external_data for each in model.graph.initializer)
    embed_external_data(model, Path(asked["folder"]) if asked["folder"] else None)
    bind_inputs(model.graph, asked["constants"])
    return model.SerializeToString() if widen(model) or outside or asked["constants"] else data


def _session(model: bytes, as_written: bool) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    if as_written:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _arrays(data: bytes, inputs: Tensors) -> dict[str, NDArray[Any]]:
    found, at = {}, 0
    for name, dtype, shape in inputs:
        end = at + int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        found[name] = np.frombuffer(data[at:end], dtype).reshape(shape)
        at = end
    return found


def _answer(
    session: onnxruntime.InferenceSession, inputs: Mapping[str, NDArray[Any]], asked: Mapping[str, Any], sink: BinaryIO
) -> None:
    known = {each.name for each in session.get_inputs()}
    given = {name: array for name, array in inputs.items() if name in known}
    started = time.perf_counter()
    try:
        answers = session.run(asked["outputs"], given)
    except Exception as refused:
        _say(sink, {"refused": _one_line(refused)})
        return
    seconds = time.perf_counter() - started
    labels = [asked["labels"].get(name, ()) for name in asked["outputs"]]
    arrays = [np.asarray(_plain(each, named), order="C") for each, named in zip(answers, labels, strict=True)]
    _say(sink, {"seconds": seconds, "outputs": [(each.dtype.name, each.shape) for each in arrays]})
    for array in arrays:
        sink.write(array.tobytes())
    sink.flush()


def _plain(answer: Any, labels: Sequence[str]) -> NDArray[Any]:
    """An output as the compiler gives it: a ZipMap's probabilities without names, a class's number for its name."""
    if isinstance(answer, list):
        return np.array([list(each.values()) for each in answer], np.float32)
    array = np.asarray(answer)
    if array.dtype.kind not in "OUS":
        return array
    numbers = {label: number for number, label in enumerate(labels)}
    return np.array([numbers.get(str(each), -1) for each in array.ravel()], np.int64).reshape(array.shape)


def _say(sink: BinaryIO, words: Mapping[str, Any]) -> None:
    sink.write(json.dumps(words).encode() + b"\n")
    sink.flush()


def _one_line(fault: Exception) -> str:
    return " ".join(str(fault).split())[:400]


if __name__ == "__main__":
    answer_standard_input()
