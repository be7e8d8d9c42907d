"""A compiled model on trial: in the enclave's own runtime, against onnxruntime, by answers and by time."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from edge_agent.enclave.compiling.limits import HARD_CAPS, Limits
from edge_agent.enclave.rewriting.module_format import PAGE_BYTES, parse_interface
from edge_agent.enclave.running.runtime import AnyModule, Runtime
from protocol.errors import EnclaveError
from publisher.compiler.check import (
    Answer,
    Arrays,
    Checked,
    Norm,
    Sample,
    check,
    largest,
    merged,
    require,
    root_mean_square,
    whole_ranges,
)
from publisher.compiler.compiling import CompiledModel
from publisher.compiler.errors import MismatchError
from publisher.compiler.graph import Graph, Value
from publisher.compiler.reference import Reference
from schemas.reason import Reason

ROUNDS: Final = (5, 50)
"""The least and the most runs of which a median is taken."""
ROUND_SECONDS: Final = 1.5

QUANTISED_LEAST, QUANTISED_MOST = 1 / 255, 0.1
"""What a quantised model may differ by in relation to its outputs' range: a quantum, and at most how much.

More than a quantum is twice what onnxruntime differs from itself by.

A sum that is next to a half becomes one quantum or the next, and what follows multiplies that: onnxruntime answers
otherwise where it makes integer operators of a model than where it computes the model as it is written. Differences of
quantised models are taken together, as the root of the mean square.
"""

WIDE: Final = Limits(
    max_module_bytes=int(HARD_CAPS["max_module_bytes"]),
    max_memory_bytes=int(HARD_CAPS["max_memory_bytes"]),
    max_input_bytes=int(HARD_CAPS["max_input_bytes"]),
    max_output_bytes=int(HARD_CAPS["max_output_bytes"]),
    max_seconds=HARD_CAPS["max_seconds"],
    max_compile_seconds=HARD_CAPS["max_compile_seconds"],
    max_compile_bytes=int(HARD_CAPS["max_compile_bytes"]),
)
"""What no configuration exceeds: a model that needs more runs nowhere."""


@dataclass(frozen=True, slots=True)
class Timed:
    """Medians of runs that took turns, on one thread, with the call; for onnxruntime without the way to its process."""

    module_seconds: float
    reference_seconds: float

    @property
    def ratio(self) -> float:
        """How many times longer the module takes."""
        return self.module_seconds / max(self.reference_seconds, 1e-9)


@dataclass(frozen=True, slots=True)
class Tried:
    """What the trial found. `memory_bytes` is the linear memory that the module needs, buffers included.

    `reference` is onnxruntime's version.
    """

    checked: Checked
    timed: Timed
    memory_bytes: int
    reference: str


@dataclass(frozen=True, slots=True)
class Form:
    """A model at one length of its open dimension, with inputs of that length; most models have one form."""

    graph: Graph
    samples: Sequence[Sample]


def try_module(
    compiled: CompiledModel,
    forms: Sequence[Form],
    refer: Callable[[Graph], Reference],
    tolerance: float,
    progress: Callable[[str], None],
    as_written: Callable[[Graph], Reference] | None = None,
) -> Tried:
    """Check the module in all forms, measure the last, and run it within the memory that is found to be enough.

    Quantised models are held to `as_written` besides: see `QUANTISED_MOST`.
    Raises `MismatchError` where the tolerance does not hold, `EnclaveError` where the runtime does not take it,
    `ConfigurationError` where onnxruntime does not.
    """
    progress("loading the module")
    runtime = Runtime(WIDE)
    try:
        machine_code = runtime.compiled(compiled.wasm)
        module = runtime.load(compiled.wasm, machine_code=machine_code)
        progress("comparing with onnxruntime")
        plain = as_written if is_quantised(compiled.graph) else None
        asked = _Asked(module, refer, plain, tolerance, whole_ranges(compiled.graph))
        shorter = [_try_form(asked, each)[0] for each in forms[:-1]]
        last, timed, version = _try_form(asked, forms[-1], ROUNDS)
        checked = merged([*shorter, last])
        memory = _memory_bytes(compiled)
        limits = replace(WIDE, max_memory_bytes=memory, max_output_bytes=max(1, compiled.program.output_bytes))
        narrow = runtime.load(compiled.wasm, limits, machine_code)
        answering(narrow, forms[-1].graph)(forms[-1].samples[0].inputs)
    finally:
        runtime.close()
    return Tried(checked, timed, memory, version)


def is_quantised(graph: Graph) -> bool:
    """Whether reals become quanta anywhere in a graph, planned or not."""
    words = ("QLinear", "qlinear", "quantised.", "QuantizeLinear", "DynamicQuantizeLinear")
    return any(node.operator.startswith(words) for node in graph.nodes)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What all forms have in common."""

    module: AnyModule
    refer: Callable[[Graph], Reference]
    as_written: Callable[[Graph], Reference] | None
    tolerance: float
    ranges: Mapping[str, float]

    @property
    def norm(self) -> Norm:
        """How differences are measured."""
        return largest if self.as_written is None else root_mean_square

    def tolerance_of(self, form: Form, expected: Answer) -> float:
        """What is tolerated; for quantised models, twice what onnxruntime's own ways differ by, if that is more."""
        if self.as_written is None:
            return self.tolerance
        with self.as_written(form.graph) as plain:
            outputs = form.graph.outputs
            own = check(form.samples, expected, plain.answer, outputs, self.tolerance, self.ranges, self.norm).error
        return max(self.tolerance, QUANTISED_LEAST, min(2 * own, QUANTISED_MOST))


def _try_form(asked: _Asked, form: Form, rounds: tuple[int, int] = (1, 1)) -> tuple[Checked, Timed, str]:
    answer = answering(asked.module, form.graph)
    with asked.refer(form.graph) as reference:
        tolerance = asked.tolerance_of(form, reference.answer)
        checked = check(form.samples, reference.answer, answer, form.graph.outputs, tolerance, asked.ranges, asked.norm)
        require(checked)
        return checked, _timed(answer, reference, form.samples, rounds), reference.version


def answering(module: AnyModule, graph: Graph) -> Answer:
    """A loaded module as a function of arrays. It returns None for input-invalid, and raises other `EnclaveError`s."""

    def answer(inputs: Arrays) -> Arrays | None:
        data = b"".join(each.tobytes() for each in inputs)
        try:
            return split(module.run(data), [graph.values[name] for name in graph.outputs])
        except EnclaveError as fault:
            if fault.reason is Reason.INPUT_INVALID:
                return None
            raise

    return answer


def split(output: bytes, values: Sequence[Value]) -> Arrays:
    """The output of a module as arrays. Raises `MismatchError` where it has another length."""
    if len(output) != sum(each.bytes for each in values):
        raise MismatchError("the module's output has another length than the model's")
    arrays, at = [], 0
    for each in values:
        arrays.append(np.frombuffer(output[at : at + each.bytes], each.dtype).reshape(each.shape))
        at += each.bytes
    return tuple(arrays)


def _timed(answer: Answer, reference: Reference, samples: Sequence[Sample], rounds: tuple[int, int]) -> Timed:
    """In turns, so that what else the machine does falls on both."""
    inputs = next(each.inputs for each in samples if reference.answer(each.inputs) is not None)
    own: list[float] = []
    others: list[float] = []
    ends = time.monotonic() + ROUND_SECONDS
    while len(own) < rounds[0] or (len(own) < rounds[1] and time.monotonic() < ends):
        started = time.perf_counter()
        answer(inputs)
        own.append(time.perf_counter() - started)
        reference.answer(inputs)
        others.append(reference.seconds)
    return Timed(statistics.median(own), statistics.median(others))


def _memory_bytes(compiled: CompiledModel) -> int:
    """What the module starts with; and the pages for both buffers, where the enclave chooses where they lie."""
    interface = parse_interface(compiled.wasm)
    pages = interface.memory_pages
    if "perform_inference" in interface.exports:
        moved = compiled.program.input_bytes + compiled.program.output_bytes
        pages += -(-moved // PAGE_BYTES) + 2
    return pages * PAGE_BYTES
