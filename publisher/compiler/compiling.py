"""The whole way from ONNX bytes to a module, by the own generator or by the fallback: which and why is said."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal

from protocol.errors import ConfigurationError
from publisher.compiler.emission import Program, emit, emit_repeated
from publisher.compiler.errors import UnsupportedError
from publisher.compiler.fallback import write_with_tinygrad
from publisher.compiler.graph import Graph, Value
from publisher.compiler.importing import import_model_untrusted
from publisher.compiler.importing.wishes import Wishes
from publisher.compiler.open_length import import_open_untrusted
from publisher.compiler.planning import planned
from publisher.compiler.repeating import Dim, Repeated
from publisher.compiler.toolchain import compile_program

Choice = Literal["auto", "sealedge", "tinygrad"]
"""Which compiler: "auto" is sealedge's own, and tinygrad for a model that it does not know."""

STEPS: Final = ("reading the model", "writing C", "compiling C")


@dataclass(frozen=True, slots=True)
class CompiledModel:
    """`graph` is the model as it was imported, for one element where a dimension is open; then there is `repeated`.

    `why` says what kept the first compiler from it, or "".
    """

    wasm: bytes = field(repr=False)
    graph: Graph
    program: Program = field(repr=False)
    compiler: str
    why: str
    repeated: Repeated | None = None

    @property
    def digest(self) -> bytes:
        """SHA-256 of the module."""
        return sha256(self.wasm).digest()

    @property
    def lengths(self) -> tuple[int, ...]:
        """Lengths of the open dimension that are worth a trial, the longest last; 1 where none is open."""
        if self.repeated is None:
            return (1,)
        least, most = self.repeated.minimum, self.repeated.maximum
        return tuple(sorted({least, least + 1, (least + most) // 2 | 1, most} & set(range(least, most + 1))))

    def form(self, length: int) -> Graph:
        """What callers see of the model at this length: its inputs and outputs, and no nodes."""
        values = {name: self._formed(name, length) for name in (*self.graph.inputs, *self.graph.outputs)}
        return replace(self.graph, nodes=(), values=values)

    def axis(self, name: str) -> tuple[int, int] | None:
        """Which dimension of an input or output is open, and how many elements it has for each one counted."""
        axis = None if self.repeated is None else self.repeated.axes[name]
        if self.repeated is None or axis is None:
            return None
        return axis, self.graph.values[name].shape[axis] // min(self.repeated.graphs)

    def _formed(self, name: str, length: int) -> Value:
        value, found = self.graph.values[name], self.axis(name)
        shape = list(value.shape)
        if found is not None:
            axis, each = found
            shape[axis] = each * length
        return Value(name, value.dtype, tuple(shape))


def compile_model_untrusted(
    model: bytes,
    wishes: Wishes,
    choice: Choice = "auto",
    *,
    open_dim: Dim | None = None,
    cache: Path | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> CompiledModel:
    """A module that has not been checked yet. `wishes` fix what the model leaves open, but for `open_dim`.

    Raises `ConfigurationError`; its `UnsupportedError` where no compiler that was allowed knows an operator.
    """
    progress(STEPS[0])
    if open_dim is not None and choice == "tinygrad":
        raise ConfigurationError("tinygrad compiles no open dimension: give its length")
    if open_dim is not None:
        return _open(model, wishes, open_dim, cache, progress)
    graph = import_model_untrusted(
        model, dims=wishes.dims, shapes=wishes.shapes, constants=wishes.constants, folder=wishes.folder
    )
    progress(STEPS[1])
    program, compiler, why = _program(model, wishes, graph, choice)
    progress(STEPS[2])
    return CompiledModel(compile_program(program, cache=cache), graph, program, compiler, why)


def _open(model: bytes, wishes: Wishes, dim: Dim, cache: Path | None, progress: Callable[[str], None]) -> CompiledModel:
    """By the own generator: the fallback knows no open lengths."""
    repeated = import_open_untrusted(model, dim, wishes)
    progress(STEPS[1])
    program = emit_repeated(replace(repeated, graphs={count: planned(each) for count, each in repeated.graphs.items()}))
    progress(STEPS[2])
    wasm = compile_program(program, cache=cache)
    return CompiledModel(wasm, repeated.graphs[min(repeated.graphs)], program, "sealedge", "", repeated)


def _program(model: bytes, wishes: Wishes, graph: Graph, choice: Choice) -> tuple[Program, str, str]:
    """By the own generator where it is allowed and knows the model, else by tinygrad, with the reason."""
    if choice == "tinygrad":
        return write_with_tinygrad(model, wishes, graph), "tinygrad", "it was asked for"
    try:
        return emit(planned(graph)), "sealedge", ""
    except UnsupportedError as unknown:
        if choice == "sealedge":
            raise
        return _fallback(model, wishes, graph, unknown), "tinygrad", f"the operator {unknown.operator} {unknown.why}"


def _fallback(model: bytes, wishes: Wishes, graph: Graph, unknown: UnsupportedError) -> Program:
    """By tinygrad. Where that cannot either, what the generator says names the operator, and what to do."""
    try:
        return write_with_tinygrad(model, wishes, graph)
    except UnsupportedError:
        remedy = unknown.finding.expected if unknown.finding is not None else ""
        why = f"{unknown.why}, and the fallback does not take the model"
        raise UnsupportedError(unknown.operator, why, remedy.replace(", or use the fallback", "")) from None
