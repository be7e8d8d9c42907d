"""`sealedge run`: a module on this machine, in the enclave's runtime and within the limits of an agent."""

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge_agent.enclave.compiling.limits import Limits
from edge_agent.enclave.configuration import EnclaveLimits
from edge_agent.enclave.running.runtime import AnyModule, Runtime
from protocol.carried import sent_inputs, shown_outputs, state_bytes
from protocol.errors import ConfigurationError
from publisher.package import MAX_MODULE, ModelDescription
from schemas.model import TensorSpec
from sealedge.client.lengths import is_open
from sealedge.client.tensors import (
    class_names_untrusted,
    decode_array_untrusted,
    encode_inputs,
    sized_untrusted,
    split_outputs_untrusted,
)
from sealedge.operations.describe import load_description
from sealedge.operations.model_files import MAX_ARRAY_BYTES, cast, fitted, named, read_arrays, read_regular
from storage.files import write_private

GRANTED: Final = Limits.granted(EnclaveLimits().module)
"""What an agent grants unless it is configured otherwise."""

MAX_INFERENCES: Final = 10_000

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Ran:
    """Inferences in the order of the inputs: what the module answered, and its median time, with the call."""

    outputs: tuple[TensorSpec, ...]
    answers: tuple[Mapping[str, bytes], ...]
    seconds: float
    log: bytes

    def array(self, spec: TensorSpec) -> Array:
        """An output of all inferences: of its own shape for one, else along a further first dimension."""
        arrays = [decode_array_untrusted(spec, each[spec.name]) for each in self.answers]
        return arrays[0] if len(arrays) == 1 else np.stack(arrays)

    def labels(self, spec: TensorSpec) -> list[tuple[str, ...]]:
        """The class names of an output, for each inference."""
        return [class_names_untrusted(spec, each[spec.name]) for each in self.answers]


def run_described(module: Path, description: ModelDescription, files: Mapping[str, Path]) -> Ran:
    """Run on arrays. `files` are .npy files by an input's name, or one file under "".

    What is state begins as zeros and goes from each inference to the next, as in one session.

    Raises `ConfigurationError` for what does not fit the description, `EnclaveError` as an agent would.
    """
    inputs = _inputs(sent_inputs(description), files)
    outputs, log = shown_outputs(description), bytearray()
    state = bytes(state_bytes(description))
    answers, seconds = [], []
    runtime = Runtime(GRANTED)
    try:
        loaded = runtime.load(read_regular(module, MAX_MODULE), GRANTED.narrowed(description.limits))
        for each in inputs:
            output, took = _run(loaded, each + state, log)
            cut = len(output) - len(state)
            output, state = output[:cut], output[cut:]
            outputs = sized_untrusted(shown_outputs(description), output)
            answers.append(split_outputs_untrusted(outputs, output))
            seconds.append(took)
    finally:
        runtime.close()
    return Ran(outputs, tuple(answers), statistics.median(seconds), bytes(log))


def run_raw(module: Path, files: Mapping[str, Path]) -> tuple[bytes, bytes]:
    """The output and the log of a module that nobody described, on the bytes of one file, or of its array."""
    if set(files) != {""}:
        raise ConfigurationError("without a description a module takes one --input FILE, without a name")
    data = read_regular(files[""], MAX_ARRAY_BYTES)
    if files[""].suffix == ".npy":
        data = read_arrays(files[""])[""].tobytes()
    runtime, log = Runtime(GRANTED), bytearray()
    try:
        output, _ = _run(runtime.load(read_regular(module, MAX_MODULE)), data, log)
    finally:
        runtime.close()
    return output, bytes(log)


def find_description(module: Path, said: Path | None) -> ModelDescription | None:
    """What was said, or what stands beside the module; None where nothing does."""
    path = said or module.with_suffix(".toml")
    if said is None and not path.exists():
        return None
    # Which tiers may hold the model is for its publisher to say; here nothing leaves this machine.
    return load_description(path, "tried-here", ("simulated",))


def write_outputs(path: Path, ran: Ran) -> None:
    """One output as .npy, several as .npz with their names."""
    arrays = {spec.name: ran.array(spec) for spec in ran.outputs}
    content = BytesIO()
    if path.suffix == ".npz":
        np.savez(content, allow_pickle=False, **arrays)
    elif len(arrays) == 1:
        np.save(content, next(iter(arrays.values())), allow_pickle=False)
    else:
        raise ConfigurationError(f"{path}: the model has {len(arrays)} outputs: write them to a .npz file")
    write_private(path, content.getvalue())


def _inputs(specs: Sequence[TensorSpec], files: Mapping[str, Path]) -> list[bytes]:
    names = [spec.name for spec in specs]
    if set(files) == {""}:
        found = named(read_arrays(files[""]), names, files[""])
    else:
        found = {name: _single(path) for name, path in files.items()}
        found = named(found, names, Path("--input"))
    if is_open(specs):
        return [
            encode_inputs(
                specs, {spec.name: cast(spec.name, found[spec.name], spec.dtype, spec.shape) for spec in specs}
            )
        ]
    columns = [fitted(spec.name, found[spec.name], spec.dtype, spec.shape) for spec in specs]
    if len(set(map(len, columns))) != 1 or not 1 <= len(columns[0]) <= MAX_INFERENCES:
        raise ConfigurationError(f"the inputs are not as many of each, and 1 to {MAX_INFERENCES}")
    return [encode_inputs(specs, dict(zip(names, each, strict=True))) for each in zip(*columns, strict=True)]


def _single(path: Path) -> Array:
    arrays = read_arrays(path)
    if len(arrays) != 1:
        raise ConfigurationError(f"{path}: holds {len(arrays)} arrays, and one was to be of one input")
    return next(iter(arrays.values()))


def _run(module: AnyModule, data: bytes, log: bytearray) -> tuple[bytes, float]:
    started = time.perf_counter()
    output = module.run(data, log)
    return output, time.perf_counter() - started
