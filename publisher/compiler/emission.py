"""Graphs become one C program and its weights: a function a node, functions that call them in order, and the ABI.

weights │ every constant, 64-byte aligned, once (constant_pages)
arena   │ what is computed in between (planning.memory)
scratch │ what one step needs for itself
kept    │ what is carried from one pass over a sequence to the next (planning.carrying)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from protocol.errors import ConfigurationError, Finding
from publisher.compiler.constant_pages import CONSTANT_ENDS, are_many, weights_declared
from publisher.compiler.errors import UnsupportedError
from publisher.compiler.graph import Graph, Node
from publisher.compiler.importing.refusing import one_line
from publisher.compiler.interface import Placed, Places, fixed_interface, fixed_places, repeated_interface, slots
from publisher.compiler.operators import known_operators
from publisher.compiler.operators.registry import Emit
from publisher.compiler.planning.liveness import is_view
from publisher.compiler.planning.memory import ALIGNMENT, MemoryPlan, plan_memory
from publisher.compiler.repeating import Repeated
from publisher.compiler.step import Step

KERNELS: Final = Path(__file__).with_name("kernels")
STACK_BYTES: Final = 16 * 1024
"""Steps have a few hundred bytes of local variables, and no recursion. More would be put back after each request."""

MEMORY: Final = 2**31
"""Bytes that the enclave grants a module at most (guests/README.md)."""


@dataclass(frozen=True, slots=True)
class Program:
    """`source` is C that embeds `weights` as the file `weights.bin`. Sizes are in bytes, the largest there can be.

    `exports` are variables of the C program that callers see; `stack_bytes` is what local variables may take.
    """

    source: str
    weights: bytes = field(repr=False)
    input_bytes: int
    output_bytes: int
    arena_bytes: int
    scratch_bytes: int
    exports: tuple[str, ...] = ("input", "output")
    stack_bytes: int = STACK_BYTES

    @property
    def visible(self) -> tuple[str, ...]:
        """All variables that are exported: the ends of the weights, too, where the enclave keeps them from writing."""
        return (*self.exports, *(CONSTANT_ENDS if are_many(self.weights) else ()))


class _Written:
    """The program while it is written: what its graphs have in common."""

    def __init__(self) -> None:
        self.weights = bytearray()
        self.headers: dict[str, None] = {}
        self.definitions: dict[str, None] = {}
        self.lines: list[str] = []
        self.sizes = {"arena": 0, "scratch": 0, "kept": 0}
        self._constants: dict[bytes, int] = {}
        self._kept: dict[str, int] = {}
        self._steps = 0

    def constant(self, data: NDArray[Any]) -> str:
        content = np.ascontiguousarray(data).astype(data.dtype.newbyteorder("<"), copy=False).tobytes()
        name = sha256(content).digest()
        if name not in self._constants:
            self.weights += bytes(-len(self.weights) % ALIGNMENT)
            self._constants[name] = len(self.weights)
            self.weights += content
        return f"weights + {self._constants[name]}"

    def kept(self, name: str, size: int) -> str:
        if name not in self._kept:
            self._kept[name] = self.sizes["kept"]
            self.sizes["kept"] += -(-size // ALIGNMENT) * ALIGNMENT
        return f"kept + {self._kept[name]}"

    def function(self, node: Node, step: Step) -> str:
        """Write the function of a step; the call of it."""
        name = f"step_{self._steps}"
        self._steps += 1
        title = "".join(each for each in node.operator if each.isalnum() or each in "._")
        self.lines += [f"/* {title} */", f"static NOINLINE void {name}(void) {{", *step.lines, "}"]
        self.grow(scratch=step.scratch_bytes)
        return f"{name}();"

    def grow(self, **sizes: int) -> None:
        for name, size in sizes.items():
            self.sizes[name] = max(self.sizes[name], size)


class _Storage:
    """The `Storage` of one graph's steps: its values in the arena, its inputs in their places."""

    def __init__(self, written: _Written, graph: Graph, plan: MemoryPlan, places: Mapping[str, str]) -> None:
        self._written, self._graph, self._plan, self._places = written, graph, plan, places

    def address(self, name: str) -> str:
        root = self._plan.roots.get(name, name)
        data = self._graph.values[root].data
        if data is not None:
            return self._written.constant(data)
        return self._places[root] if root in self._places else f"arena + {self._plan.offsets[root]}"

    def constant(self, data: NDArray[Any]) -> str:
        return self._written.constant(data)

    def kept(self, name: str, size: int) -> str:
        return self._written.kept(name, size)

    def include(self, header: str) -> None:
        self._written.headers[header] = None

    def define(self, text: str) -> None:
        self._written.definitions[text] = None


def emit(graph: Graph) -> Program:
    """Write the program of a planned graph. Raises `UnsupportedError`, naming the operator."""
    written = _Written()
    places, copies = fixed_places(graph)
    calls, storage = _run(written, graph, places.addresses)
    outputs = tuple(storage.address(name) for name in graph.outputs)
    sizes = {"input": _bytes(graph, graph.inputs), "output": _bytes(graph, graph.outputs)}
    interface = fixed_interface(graph, [*copies, *calls], outputs, sizes)
    return _program(written, places, interface, sizes, ("input", "output"))


def emit_repeated(repeated: Repeated) -> Program:
    """Write the program of planned graphs for the lengths of one dimension. Raises `UnsupportedError`."""
    written = _Written()
    places = slots(repeated.graphs.values())
    placed = []
    for count, graph in sorted(repeated.graphs.items(), reverse=True):
        calls, storage = _run(written, graph, places.addresses)
        outputs = tuple(storage.address(name) for name in graph.outputs)
        placed.append(Placed(count, graph, tuple(calls), places.addresses, outputs))
    sizes = {"input": repeated.input_bytes, "output": repeated.output_bytes}
    return _program(written, places, repeated_interface(repeated, placed), sizes, ())


def _run(written: _Written, graph: Graph, places: Mapping[str, str]) -> tuple[list[str], _Storage]:
    """Write the steps of a graph; the calls of them in order, and where its values are."""
    known = known_operators()
    plan = plan_memory(graph)
    written.grow(arena=plan.arena_bytes)
    storage = _Storage(written, graph, plan, places)
    _check_views(graph)
    steps = [(node, _step(node, graph, storage, known)) for node in graph.nodes if not is_view(node)]
    return [written.function(node, step) for node, step in steps], storage


def _check_views(graph: Graph) -> None:
    """No operator looks at these: what is read under another shape must have as many bytes."""
    for node in filter(is_view, graph.nodes):
        source, view = graph.values[node.inputs[0]], graph.values[node.outputs[0]]
        if (source.dtype, source.bytes) != (view.dtype, view.bytes):
            raise ConfigurationError(f"{node.operator}: a tensor of shape {source.shape} is no {view.shape}")


def _step(node: Node, graph: Graph, storage: _Storage, known: Mapping[str, Emit]) -> Step:
    if node.operator not in known:
        raise UnsupportedError(node.operator, "is not known", "replace it, or use the fallback")
    step = Step(graph, storage)
    try:
        known[node.operator](node, step)
    except (ArithmeticError, LookupError, TypeError, ValueError) as fault:
        # Of inputs and attributes that ONNX forbids but its checker lets pass, e.g. weights of another rank.
        message = f"an operator {node.operator} is not as ONNX says it is: {one_line(repr(fault))}"
        raise ConfigurationError(message) from fault
    return step


def _bytes(graph: Graph, names: Sequence[str]) -> int:
    return sum(graph.values[name].bytes for name in names)


def _program(
    written: _Written, places: Places, interface: list[str], sizes: Mapping[str, int], exports: tuple[str, ...]
) -> Program:
    head = [
        "/* Made by sealedge build. */",
        '#include "module.h"',
        *(f'#include "{header}"' for header in sorted(written.headers)),
        *weights_declared(written.weights),
        *(f"static unsigned char {name}[{size} + 1] ALIGNED;" for name, size in written.sizes.items()),
    ]
    total = sum(written.sizes.values()) + len(written.weights) + sum(sizes.values())
    if total > MEMORY:
        finding = Finding("bytes", f"at most {MEMORY}", str(total))
        raise ConfigurationError("the model needs more memory than a module can have", finding=finding)
    source = "\n".join([*head, *places.declarations, *written.definitions, *written.lines, *interface, ""])
    arena, scratch = written.sizes["arena"] + written.sizes["kept"], written.sizes["scratch"]
    return Program(source, bytes(written.weights), sizes["input"], sizes["output"], arena, scratch, exports)
