"""The child process of `fallback`: an ONNX model on standard input, C functions and their calls on standard output.

tinygrad keeps its settings in the environment and its state in the process, so it has a process of its own. Nothing is
computed here but what is constant: each kernel is written as C, and the buffers that it is called with are named.
"""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import cbor2

from publisher.compiler.importing.child import bound

ALIGNMENT: Final = 64
REFUSED: Final = 3

Place = tuple[str, int]
""""input:NAME", "weights" or "arena", and an offset in bytes."""


def answer_standard_input(processor_seconds: str, data_bytes: str) -> None:
    """Do what one request says, within limits; exit with `REFUSED` and words when tinygrad does not take the model."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    bound(int(processor_seconds), int(data_bytes))
    request = cbor2.loads(sys.stdin.buffer.read())
    try:
        output, status = cbor2.dumps(_written(request)), 0
    except Exception as refused:  # whatever tinygrad raises: NotImplementedError, RuntimeError, KeyError, …
        words = " ".join(f"{type(refused).__name__}: {refused}".split())
        output, status = cbor2.dumps(words[:300]), REFUSED
    answers.write(output)
    answers.flush()
    sys.exit(status)


class _Buffers:
    """Where the buffers of a schedule lie: inputs by name, what is known among the weights, the rest in the arena."""

    def __init__(self, inputs: dict[Any, str]) -> None:
        self._inputs = inputs
        self._places: dict[Any, Place] = {}
        self.weights = bytearray()
        self.arena = 0

    def place(self, value: Any) -> Place:
        """Of a buffer, or of a part of one under another type."""
        name = value.op.name
        if name == "BUFFER":
            return self._buffer(value)
        base, offset = self.place(value.src[0])
        if name == "SHRINK":
            return base, offset + int(value.src[1].arg) * value.src[0].dtype.itemsize
        if name in {"BITCAST", "RESHAPE", "CONTIGUOUS"}:
            return base, offset
        raise NotImplementedError(f"a buffer made by {name}")

    def _buffer(self, value: Any) -> Place:
        if value in self._inputs:
            return f"input:{self._inputs[value]}", 0
        if value not in self._places:
            self._places[value] = self._known(value.buffer) if value.buffer.is_allocated() else self._room(value)
        return self._places[value]

    def _known(self, buffer: Any) -> Place:
        self.weights += bytes(-len(self.weights) % ALIGNMENT)
        place = "weights", len(self.weights)
        self.weights += bytes(buffer.as_memoryview())
        return place

    def _room(self, value: Any) -> Place:
        size = int(value.src[0].arg) * value.dtype.itemsize
        place = "arena", self.arena
        self.arena += -(-size // ALIGNMENT) * ALIGNMENT
        return place


def _written(request: dict[str, Any]) -> dict[str, Any]:
    from tinygrad.dtype import dtypes  # noqa: PLC0415 - its settings are in the environment, which is there now
    from tinygrad.nn.onnx import OnnxRunner  # noqa: PLC0415 - likewise
    from tinygrad.tensor import Tensor  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        path.write_bytes(request["model"])
        runner = OnnxRunner(path)
        for name, value in runner.graph_values.items():
            if isinstance(value, Tensor):
                runner.graph_values[name] = value.to("PYTHON").contiguous().realize()
    types = {str(each): getattr(dtypes, each) for each in request["types"]}
    inputs = {
        name: Tensor.empty(*shape, dtype=types[dtype]).contiguous().realize()
        for name, dtype, shape in request["inputs"]
    }
    answers = runner(dict(inputs))
    outputs = [answers[name].cast(types[dtype]).contiguous() for name, dtype in request["outputs"]]
    schedule = Tensor.schedule_linear(*outputs)
    buffers = _Buffers({value.uop.base: name for name, value in inputs.items()})
    kernels, calls = _kernels(schedule, buffers)
    return {
        "kernels": kernels,
        "calls": calls,
        "outputs": [buffers.place(each.uop.base) for each in outputs],
        "weights": bytes(buffers.weights),
        "arena": buffers.arena,
    }


def _kernels(schedule: Any, buffers: _Buffers) -> tuple[list[str], list[tuple[int, list[Place]]]]:
    """Each kernel's C under the name `kernel_N`, and the calls in order."""
    from tinygrad.codegen import to_program  # noqa: PLC0415 - as above
    from tinygrad.helpers import Target  # noqa: PLC0415

    renderer = _renderer()(Target("PYTHON"))
    numbers: dict[str, int] = {}
    kernels: list[str] = []
    calls: list[tuple[int, list[Place]]] = []
    for call in schedule.src:
        kernel, *given = call.src
        if kernel.op.name != "SINK":
            raise NotImplementedError(f"a step made by {kernel.op.name}")
        program = to_program(kernel, renderer)
        name, source = program.arg.function_name, program.src[2].arg
        if tuple(program.arg.global_size) != (1, 1, 1) or program.arg.vars:
            raise NotImplementedError("a kernel for several threads")
        number = numbers.setdefault(source, len(kernels))
        if number == len(kernels):
            kernels.append(source.replace(f"void {name}(", f"static void kernel_{number}(", 1))
        calls.append((number, [buffers.place(given[each]) for each in program.arg.globals]))
    return kernels, calls


def _renderer() -> Any:
    from tinygrad.device import Compiler  # noqa: PLC0415 - as above
    from tinygrad.dtype import dtypes  # noqa: PLC0415
    from tinygrad.renderer.cstyle import ClangRenderer  # noqa: PLC0415

    class Renderer(ClangRenderer):
        """tinygrad's C for clang, for one thread and for wasm32, where `long` has four bytes."""

        has_threads = False
        type_map = {  # noqa: RUF012 - tinygrad's own form
            **ClangRenderer.type_map,
            dtypes.long: "long long",
            dtypes.ulong: "unsigned long long",
            dtypes.char: "signed char",
        }

        def __init__(self, target: Any) -> None:
            self.target, self.compiler = target, Compiler()

    return Renderer
