"""Whole models that the own generator does not know, through tinygrad: its ONNX front end and C, our toolchain and ABI.

Slower than the own generator (docs/models.md), and checked against onnxruntime like it. Which of them made a module
is always said.
"""

import subprocess
import sys
from typing import Any, Final

import cbor2

from protocol.errors import ConfigurationError, Finding
from publisher.compiler.constant_pages import weights_declared
from publisher.compiler.emission import Program
from publisher.compiler.errors import UnsupportedError
from publisher.compiler.graph import Graph
from publisher.compiler.importing import prepare_model_untrusted
from publisher.compiler.importing.bounds import CHILD_BYTES, CHILD_COPIES
from publisher.compiler.importing.refusing import explained, one_line
from publisher.compiler.importing.wishes import Wishes
from publisher.compiler.interface import fixed_interface, fixed_places

SECONDS: Final = 600
STACK_BYTES: Final = 256 * 1024
"""Its kernels may keep arrays in local variables."""
ENVIRONMENT: Final = {
    # Its own emulation as the device: no compiler is looked for. One thread, no cache of kernels between builds.
    "DEV": "PYTHON",
    "THREADS": "0",
    "CCACHE": "0",
    "CACHELEVEL": "0",
    # Sets are walked in the same order everywhere: the same model gives the same bytes.
    "PYTHONHASHSEED": "0",
    "PATH": "",
}
BOOTSTRAP: Final = (
    "import sys; sys.path[:] = sys.argv[3:]; "
    "from publisher.compiler.fallback_child import answer_standard_input; answer_standard_input(*sys.argv[1:3])"
)
TYPES: Final = ("float32", "float64", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "bool")


def write_with_tinygrad(model: bytes, wishes: Wishes, graph: Graph) -> Program:
    """The program of a model whose imported `graph` says what goes in and out.

    Raises `UnsupportedError` where tinygrad does not take the model, `ConfigurationError` where it cannot be run.
    """
    request = {
        "model": prepare_model_untrusted(model, wishes),
        "types": TYPES,
        "inputs": [(name, graph.values[name].dtype, list(graph.values[name].shape)) for name in graph.inputs],
        "outputs": [(name, graph.values[name].dtype) for name in graph.outputs],
    }
    written = _asked(request)
    with explained("the answer of tinygrad is not usable"):
        return _program(graph, written)


def _asked(request: dict[str, Any]) -> dict[str, Any]:
    room = CHILD_BYTES + CHILD_COPIES * len(request["model"])
    # `-P`: the working directory does not choose what is imported; `-I` would keep the environment out, too.
    command = [sys.executable, "-P", "-s", "-c", BOOTSTRAP, str(SECONDS), str(room), *sys.path]
    try:
        child = subprocess.run(  # noqa: S603 - this interpreter, on this package's code
            command, input=cbor2.dumps(request), env=ENVIRONMENT, capture_output=True, timeout=2 * SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise ConfigurationError(f"tinygrad did not end within {SECONDS} s of processor time") from None
    with explained("tinygrad gave no answer"):
        if child.returncode == 0:
            return dict(cbor2.loads(child.stdout))
        words = one_line(str(cbor2.loads(child.stdout))) if child.stdout else "it did not run, or needed too much"
    raise UnsupportedError("tinygrad", f"does not take the model: {words}", "replace the operator")


def _program(graph: Graph, written: dict[str, Any]) -> Program:
    places, copies = fixed_places(graph)
    sizes = {
        "input": sum(graph.values[name].bytes for name in graph.inputs),
        "output": sum(graph.values[name].bytes for name in graph.outputs),
    }
    # Bytes from outside may be anything: `_Bool` must be 0 or 1.
    for name in graph.inputs:
        if graph.values[name].dtype == "bool":
            at = f"({places.addresses[name]})[i]"
            copies.append(f"for (int i = 0; i < {graph.values[name].size}; i++) {at} = {at} != 0;")
    address = _Addresses(places.addresses)
    calls = [f"kernel_{number}({', '.join(map(address, given))});" for number, given in written["calls"]]
    lines = [
        "/* Made by sealedge build with tinygrad. */",
        '#pragma clang diagnostic ignored "-Weverything"',
        '#include "module.h"',
        *weights_declared(bytes(written["weights"])),
        f"static unsigned char arena[{int(written['arena'])} + 1] ALIGNED;",
        *places.declarations,
        *written["kernels"],
        *fixed_interface(graph, [*copies, *calls], [address(each) for each in written["outputs"]], sizes),
    ]
    source = "\n".join((*lines, ""))
    if not source.isascii():
        raise ConfigurationError("tinygrad wrote what is no C", finding=Finding("source", "ASCII", "other characters"))
    weights, arena = bytes(written["weights"]), int(written["arena"])
    return Program(source, weights, sizes["input"], sizes["output"], arena, 0, stack_bytes=STACK_BYTES)


class _Addresses:
    """C expressions for places."""

    def __init__(self, inputs: Any) -> None:
        self._inputs = inputs

    def __call__(self, place: Any) -> str:
        kind, offset = str(place[0]), int(place[1])
        if kind.startswith("input:"):
            return f"(void *)({self._inputs[kind.removeprefix('input:')]} + {offset})"
        if kind not in {"weights", "arena"}:
            raise ConfigurationError("tinygrad named an unknown buffer")
        return f"(void *)({kind} + {offset})"
