"""A model may use every kernel at once: no header takes a name of another's, in whatever order they come."""

from dataclasses import replace
from pathlib import Path

import pytest

from publisher.compiler.emission import KERNELS, emit
from publisher.compiler.graph import Graph, Node, Value
from publisher.compiler.toolchain import compile_program

HEADERS = sorted(path.name for path in Path(KERNELS).glob("*.h"))


@pytest.mark.parametrize("headers", [HEADERS, HEADERS[::-1]], ids=["in order", "in reverse"])
def test_all_headers_compile_in_one_program(headers: list[str]) -> None:
    values = {name: Value(name, "float32", (1,)) for name in "xy"}
    program = emit(Graph((Node("Relu", ("x",), ("y",)),), values, ("x",), ("y",)))
    includes = "\n".join(f'#include "{name}"' for name in headers)
    assert compile_program(replace(program, source=f"{includes}\n{program.source}")).startswith(b"\0asm")
