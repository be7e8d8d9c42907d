"""Models through the compiler and into the enclave's own runtime, and what onnxruntime says about them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper, numpy_helper, shape_inference

from edge_agent.enclave.compiling.compiler import compile_here
from edge_agent.enclave.running.runtime import Limits, Runtime
from publisher.compiler.emission import Program, emit
from publisher.compiler.graph import Graph
from publisher.compiler.importing import import_model
from publisher.compiler.planning import planned
from publisher.compiler.toolchain import compile_program

MIB = 1024 * 1024
OPSET = 21
Arrays = Mapping[str, NDArray[Any]]
Inputs = Arrays | Sequence[NDArray[Any]]
Model = bytes | onnx.ModelProto


class Compiled:
    """A model as a module in the runtime: called with arrays, it returns arrays."""

    def __init__(self, model: Model | Graph) -> None:
        self.graph: Graph = model if isinstance(model, Graph) else graph_of(model)
        self.program: Program = emit(self.graph)
        self.wasm = compile_program(self.program)
        self._module = runtime().load(self.wasm)

    def __call__(self, inputs: Inputs) -> list[NDArray[Any]]:
        """The outputs, in the model's order."""
        given = [inputs[name] for name in self.graph.inputs] if isinstance(inputs, Mapping) else inputs
        values = [self.graph.values[name] for name in self.graph.inputs]
        data = b""
        for array, value in zip(given, values, strict=True):
            assert array.shape == value.shape, (value, array.shape)
            data += np.ascontiguousarray(array, value.dtype).tobytes()
        return self.split(self._module.run(data))

    def split(self, output: bytes) -> list[NDArray[Any]]:
        """What a module wrote, as the arrays it is."""
        arrays, at = [], 0
        for value in (self.graph.values[name] for name in self.graph.outputs):
            content = output[at : at + value.bytes]
            arrays.append(np.frombuffer(content, value.dtype).reshape(value.shape))
            at += value.bytes
        assert at == len(output)
        return arrays


def compiled(model: Model | Graph) -> Compiled:
    """The model, compiled for wasm32 and loaded."""
    return Compiled(model)


def graph_of(model: Model) -> Graph:
    """The model's graph, imported and planned."""
    return planned(import_model(model if isinstance(model, bytes) else model.SerializeToString()))


def together(graphs: Sequence[Graph]) -> Graph:
    """Planned graphs as one: `t0_x` is the `x` of the first. Each answers as it does alone."""
    parts = [_renamed(graph, f"t{number}_") for number, graph in enumerate(graphs)]
    nodes = tuple(node for part in parts for node in part.nodes)
    values = {name: value for part in parts for name, value in part.values.items()}
    inputs = tuple(name for part in parts for name in part.inputs)
    return Graph(nodes, values, inputs, tuple(name for part in parts for name in part.outputs))


def _renamed(graph: Graph, prefix: str) -> Graph:
    def own(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name and prefix + name for name in names)

    nodes = (replace(each, inputs=own(each.inputs), outputs=own(each.outputs)) for each in graph.nodes)
    values = {prefix + name: replace(each, name=prefix + name) for name, each in graph.values.items()}
    return replace(graph, nodes=tuple(nodes), values=values, inputs=own(graph.inputs), outputs=own(graph.outputs))


def against_onnxruntime(model: Model, inputs: Inputs, tolerance: float = 1e-4) -> list[NDArray[Any]]:
    """Compile, run, and compare with onnxruntime: errors are relative to the range of each output."""
    ran = compiled(model)
    named = inputs if isinstance(inputs, Mapping) else dict(zip(ran.graph.inputs, inputs, strict=True))
    found, expected = ran(inputs), by_onnxruntime(model, named)
    for name, one, other in zip(ran.graph.outputs, found, expected, strict=True):
        close(one, other, tolerance, name)
    return found


def by_onnxruntime(model: Model, inputs: Arrays) -> list[NDArray[Any]]:
    """What onnxruntime answers, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    data = model if isinstance(model, bytes) else model.SerializeToString()
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    wanted = {each.name for each in session.get_inputs()}
    answers = session.run(None, {name: each for name, each in inputs.items() if name in wanted})
    return [np.asarray(each) for each in answers]


def close(found: NDArray[Any], expected: NDArray[Any], tolerance: float = 1e-4, name: str = "") -> None:
    """Same type and shape; integers equal; floats within `tolerance` of the output's range, NaN and inf in place."""
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape), name
    if expected.dtype.kind != "f":
        np.testing.assert_array_equal(found, expected, name)
        return
    finite = expected[np.isfinite(expected)]
    scale = max(1e-30, float(np.ptp(finite)), float(np.abs(finite).max())) if finite.size else 1.0
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * scale, err_msg=name)


def model_of(
    nodes: Sequence[onnx.NodeProto],
    inputs: Arrays,
    outputs: Sequence[str],
    constants: Arrays | None = None,
    opset: int = OPSET,
    like: Arrays | None = None,
) -> onnx.ModelProto:
    """A model of nodes (`onnx.helper.make_node`) on inputs like these arrays.

    Types of outputs are inferred, unless they are `like` arrays.
    """
    given = [_info(name, array) for name, array in inputs.items()]
    weights = [numpy_helper.from_array(np.asarray(array), name) for name, array in (constants or {}).items()]
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 5)]
    model = helper.make_model(helper.make_graph(nodes, "g", given, [], weights), opset_imports=imports, ir_version=10)
    found = {each.name: each for each in shape_inference.infer_shapes(model, data_prop=True).graph.value_info}
    found |= {name: _info(name, array) for name, array in (like or {}).items()}
    model.graph.output.extend(found[name] for name in outputs)
    return model


def _info(name: str, array: NDArray[Any]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)


@cache
def runtime() -> Runtime:
    """One for all tests of a process, which grants models what they can need."""
    cap = Limits(
        max_module_bytes=128 * MIB,
        max_memory_bytes=1024 * MIB,
        max_input_bytes=32 * MIB,
        max_output_bytes=32 * MIB,
        max_seconds=60,
    )
    return Runtime(cap, compiler=compile_here)
