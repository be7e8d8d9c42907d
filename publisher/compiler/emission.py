"""A graph becomes one C program and its weights: a function a node, and `infer`, which calls them in order.

input   │ the input tensors, one after the other, row-major, little-endian
output  │ the output tensors, likewise
weights │ every constant, 64-byte aligned
arena   │ what is computed in between (planning.memory)
scratch │ what one step needs for itself
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from publisher.compiler.errors import UnsupportedError
from publisher.compiler.graph import Graph, Node
from publisher.compiler.operators import known_operators
from publisher.compiler.operators.registry import Emit
from publisher.compiler.planning.memory import ALIGNMENT, MemoryPlan, is_view, plan_memory
from publisher.compiler.step import Step

KERNELS: Final = Path(__file__).with_name("kernels")
WEIGHTS: Final = "weights.bin"


@dataclass(frozen=True, slots=True)
class Program:
    """`source` is C that embeds `weights` as the file `weights.bin`. Sizes are in bytes."""

    source: str
    weights: bytes
    input_bytes: int
    output_bytes: int
    arena_bytes: int
    scratch_bytes: int


class _Program:
    """The program while it is written: the `Storage` of its steps."""

    def __init__(self, graph: Graph, plan: MemoryPlan) -> None:
        self._graph, self._plan = graph, plan
        self.weights = bytearray()
        self.headers: dict[str, None] = {}
        self._constants: dict[bytes, int] = {}
        self._inputs = _offsets(graph, graph.inputs)

    def address(self, name: str) -> str:
        root = self._plan.roots.get(name, name)
        data = self._graph.values[root].data
        if data is not None:
            return self.constant(data)
        if root in self._inputs:
            return f"input + {self._inputs[root]}"
        return f"arena + {self._plan.offsets[root]}"

    def constant(self, data: NDArray[Any]) -> str:
        content = np.ascontiguousarray(data).astype(data.dtype.newbyteorder("<"), copy=False).tobytes()
        name = sha256(content).digest()
        if name not in self._constants:
            self.weights += bytes(-len(self.weights) % ALIGNMENT)
            self._constants[name] = len(self.weights)
            self.weights += content
        return f"weights + {self._constants[name]}"

    def include(self, header: str) -> None:
        self.headers[header] = None


def emit(graph: Graph) -> Program:
    """Write the program of a planned graph. Raises `UnsupportedError`, naming the operator."""
    known = known_operators()
    program = _Program(graph, plan := plan_memory(graph))
    steps = [(node, _step(node, graph, program, known)) for node in graph.nodes if not is_view(node)]
    scratch = max((step.scratch_bytes for _, step in steps), default=0)
    sizes = {
        "input": sum(graph.values[name].bytes for name in graph.inputs),
        "output": sum(graph.values[name].bytes for name in graph.outputs),
        "arena": plan.arena_bytes,
        "scratch": scratch,
    }
    out = _outputs(graph, program)
    source = _source(steps, program, sizes, out)
    return Program(source, bytes(program.weights), sizes["input"], sizes["output"], sizes["arena"], scratch)


def _step(node: Node, graph: Graph, program: _Program, known: Mapping[str, Emit]) -> Step:
    if node.operator not in known:
        raise UnsupportedError(node.operator, "is not known", "replace it, or use the fallback")
    step = Step(graph, program)
    known[node.operator](node, step)
    return step


def _offsets(graph: Graph, names: tuple[str, ...]) -> dict[str, int]:
    offsets, at = {}, 0
    for name in names:
        offsets[name] = at
        at += graph.values[name].bytes
    return offsets


def _outputs(graph: Graph, program: _Program) -> list[str]:
    offsets = _offsets(graph, graph.outputs)
    return [
        f"__builtin_memcpy(output + {offsets[name]}, {program.address(name)}, {graph.values[name].bytes});"
        for name in graph.outputs
    ]


def _source(steps: list[tuple[Node, Step]], program: _Program, sizes: Mapping[str, int], out: list[str]) -> str:
    lines = [
        "/* Made by sealedge build. */",
        '#include "module.h"',
        *(f'#include "{header}"' for header in sorted(program.headers)),
        f"static const unsigned char weights[] __attribute__((aligned({ALIGNMENT}))) = {{",
        f'#embed "{WEIGHTS}" if_empty(0)',
        "};",
        *(f"unsigned char {name}[{sizes[name]} + 1] ALIGNED;" for name in ("input", "output")),
        *(f"static unsigned char {name}[{sizes[name]} + 1] ALIGNED;" for name in ("arena", "scratch")),
        *(
            f"EXPORT({name}_size) unsigned {name}_size(void) {{ return {sizes[name]}; }}"
            for name in ("input", "output")
        ),
    ]
    for number, (node, step) in enumerate(steps):
        title = "".join(each for each in node.operator if each.isalnum() or each in "._")
        lines += [f"/* {title} */", f"static NOINLINE void step_{number}(void) {{", *step.lines, "}"]
    calls = [f"step_{number}();" for number in range(len(steps))]
    lines += ["EXPORT(infer) int infer(void) {", "invalid = 0;", *calls, *out]
    lines += [f"return invalid ? -1 : {sizes['output']};", "}", ""]
    return "\n".join(lines)
