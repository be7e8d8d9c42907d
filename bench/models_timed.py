"""One model, several ways: the module in the enclave's runtime, onnxruntime, and the same C compiled for this machine.

Each on one thread, and with the call: input bytes or arrays in, output out. A module's run is the enclave's, in an
instance that is put back to its first state at the end of each run, or in a new one where it cannot be.
"""

import ctypes
import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from edge_agent.enclave.running.runtime import Runtime
from publisher.compiler.check import Answer, Arrays, Sample, check, random_samples, whole_ranges
from publisher.compiler.compiling import CompiledModel, compile_model_untrusted
from publisher.compiler.emission import Program
from publisher.compiler.importing.wishes import Wishes
from publisher.compiler.toolchain import compile_program
from sealedge.operations.build_trial import WIDE, answering

Act = Callable[[], object]
LEAST_SECONDS: Final = 0.002
"""What is shorter is repeated so often, for one time."""
TIMES: Final = 3
"""The shortest of so many is the figure of a run: what else the machine does can only make them longer."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A model with one real input, by the names of its inputs. `float_form` names the subject that it is int8 of.

    `native` is for models whose computing is more than the call.
    """

    name: str
    model: bytes = field(repr=False)
    inputs: Mapping[str, NDArray[Any]] = field(repr=False)
    wishes: Wishes = field(default_factory=Wishes)
    native: bool = True
    float_form: str | None = None


class Built:
    """A subject, compiled and loaded. `seconds` is from ONNX bytes to the module, without trying it."""

    def __init__(self, subject: Subject, runtime: Runtime) -> None:
        started = time.perf_counter()
        self.compiled: CompiledModel = compile_model_untrusted(subject.model, subject.wishes)
        self.seconds = time.perf_counter() - started
        self.subject = subject
        self.module = runtime.load(self.compiled.wasm)
        self.session = session(subject.model)
        names = self.compiled.graph.inputs
        self._inputs: Arrays = tuple(np.ascontiguousarray(subject.inputs[name]) for name in names)
        self._asked = {each.name for each in self.session.get_inputs()}

    def acts(self) -> dict[str, Act]:
        """What is compared."""
        data = b"".join(each.tobytes() for each in self._inputs)
        given = self._named(self._inputs)
        acts: dict[str, Act] = {
            "module": lambda: self.module.run(data),
            "onnxruntime": lambda: self.session.run(None, given),
        }
        if self.subject.native:
            acts["native128"] = native(self.compiled.program, data)
        return acts

    def max_error(self) -> float:
        """The module's answers held against onnxruntime's: on the real input, and on random ones."""
        return self._differing(answering(self.module, self.compiled.form(1)))

    def reference_error(self) -> float:
        """The same of onnxruntime held against itself, where it changes nothing about the model."""
        return self._differing(self._by(session(self.subject.model, as_written=True)))

    def _differing(self, found: Answer) -> float:
        graph = self.compiled.form(1)
        samples = [*random_samples([graph.values[name] for name in graph.inputs], 1), Sample("sample", self._inputs)]
        ranges = whole_ranges(self.compiled.graph)
        return check(samples, self._by(self.session), found, graph.outputs, ranges=ranges).error

    def _by(self, asked: Any) -> Answer:
        def answer(inputs: Arrays) -> Arrays | None:
            try:
                found = asked.run(list(self.compiled.graph.outputs), self._named(inputs))
            except (RuntimeError, ValueError):
                return None
            return tuple(np.asarray(each) for each in found)

        return answer

    def _named(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        pairs = zip(self.compiled.graph.inputs, inputs, strict=True)
        return {name: each for name, each in pairs if name in self._asked}


def session(model: bytes, *, as_written: bool = False) -> Any:
    """onnxruntime on one thread, with all that it does to models by default, or with none of it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if as_written:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def native(program: Program, data: bytes) -> Act:
    """The same C for this machine, its vectors 128 bits wide: input in, `infer`, output out."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.so")
        path.write_bytes(compile_program(program, native=True))
        library = ctypes.CDLL(str(path))
    to, output = ((ctypes.c_char * 1).in_dll(library, name) for name in ("input", "output"))

    def act() -> bytes:
        ctypes.memmove(to, data, len(data))
        library.infer()
        return ctypes.string_at(ctypes.addressof(output), program.output_bytes)

    return act


def wide_runtime() -> Runtime:
    """The enclave's, which grants models whatever any configuration could."""
    return Runtime(WIDE)


def in_turn(acts: Mapping[str, Act], runs: int) -> dict[str, list[float]]:
    """Seconds of each act in each run. Every run begins with another one, so that none is always after the same."""
    often = {name: _repetitions(act) for name, act in acts.items()}
    names = list(acts)
    taken: dict[str, list[float]] = {name: [] for name in names}
    for run in range(runs):
        for name in _rotated(names, run):
            taken[name].append(min(_seconds(acts[name], often[name]) for _ in range(TIMES)))
    return taken


def _rotated(names: Sequence[str], by: int) -> list[str]:
    at = by % len(names)
    return [*names[at:], *names[:at]]


def _repetitions(act: Act) -> int:
    for _ in range(3):
        taken = _seconds(act, 1)
    return max(1, math.ceil(LEAST_SECONDS / taken))


def _seconds(act: Act, times: int) -> float:
    started = time.perf_counter()
    for _ in range(times):
        act()
    return (time.perf_counter() - started) / times
