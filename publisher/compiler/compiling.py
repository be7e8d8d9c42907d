"""The whole way from ONNX bytes to a module, by the own generator or by the fallback: which and why is said."""

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal

from publisher.compiler.emission import Program, emit
from publisher.compiler.graph import Graph
from publisher.compiler.importing import import_model_untrusted
from publisher.compiler.importing.wishes import Wishes
from publisher.compiler.planning import planned
from publisher.compiler.toolchain import compile_program

Choice = Literal["auto", "sealedge", "tinygrad"]
"""Which compiler: "auto" is sealedge's own, and tinygrad for a model that it does not know."""

STEPS: Final = ("reading the model", "writing C", "compiling C")


@dataclass(frozen=True, slots=True)
class CompiledModel:
    """`graph` is the model as it was imported. `why` says what kept the first compiler from it, or ""."""

    wasm: bytes = field(repr=False)
    graph: Graph
    program: Program = field(repr=False)
    compiler: str
    why: str

    @property
    def digest(self) -> bytes:
        """SHA-256 of the module."""
        return sha256(self.wasm).digest()


def compile_model_untrusted(
    model: bytes,
    wishes: Wishes,
    choice: Choice = "auto",
    *,
    cache: Path | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> CompiledModel:
    """A module that has not been checked yet. `wishes` fix what the model leaves open.

    Raises `ConfigurationError`; its `UnsupportedError` where no compiler that was allowed knows an operator.
    """
    progress(STEPS[0])
    graph = import_model_untrusted(
        model, dims=wishes.dims, shapes=wishes.shapes, constants=wishes.constants, folder=wishes.folder
    )
    progress(STEPS[1])
    program, compiler, why = _program(graph, choice)
    progress(STEPS[2])
    return CompiledModel(compile_program(program, cache=cache), graph, program, compiler, why)


def _program(graph: Graph, choice: Choice) -> tuple[Program, str, str]:  # noqa: ARG001 - one compiler so far
    return emit(planned(graph)), "sealedge", ""
