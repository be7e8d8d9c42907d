"""Nodes that depend on no input are computed once, here."""

from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator

from publisher.compiler.graph import C_TYPES
from publisher.compiler.importing.bounds import FOLDED_BYTES
from publisher.compiler.importing.parsing import branches

RANDOM: Final = frozenset(
    {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial"}
)
Known = dict[str, NDArray[Any]]


def fold(model: onnx.ModelProto) -> bool:
    """Put constants in the place of the main graph's nodes that are constant, in place. Whether there were any."""
    graph = model.graph
    tensors = {each.name: each for each in graph.initializer}
    shapes = _fixed_shapes(graph)
    left, folded = [], {}
    for node in graph.node:
        made = _computed(node, model, tensors, shapes)
        if made is None:
            left.append(node)
        else:
            tensors.update(made)
            folded.update(made)
    if folded:
        graph.initializer.extend(folded.values())
        del graph.node[:]
        graph.node.extend(left)
    return bool(folded)


def _computed(
    node: onnx.NodeProto, model: onnx.ModelProto, tensors: dict[str, TensorProto], shapes: dict[str, tuple[int, ...]]
) -> dict[str, TensorProto] | None:
    """The outputs of a node that is constant; None for any other."""
    if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
        tensor = TensorProto()
        tensor.CopyFrom(node.attribute[0].t)
        tensor.name = node.output[0]
        return {tensor.name: tensor}
    if node.op_type in {"Shape", "Size"} and not node.domain and node.input[0] in shapes:
        inputs: Known = {node.input[0]: np.broadcast_to(np.float32(0), shapes[node.input[0]])}
    elif all(not name or name in tensors for name in node.input) and _is_folded(node, shapes):
        inputs = {name: numpy_helper.to_array(tensors[name]) for name in node.input if name}
    else:
        return None
    results = _evaluated(node, model, inputs)
    return results if results is None else {name: numpy_helper.from_array(each, name) for name, each in results.items()}


def _is_folded(node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]) -> bool:
    # Planning makes integer operators of what is dequantised, and folds what is left.
    if node.op_type in RANDOM | {"DequantizeLinear"} or any(True for _ in branches(node)):
        return False
    return all(8 * int(np.prod(shapes.get(name, ()), dtype=object)) <= FOLDED_BYTES for name in node.output)


def _evaluated(node: onnx.NodeProto, model: onnx.ModelProto, inputs: Known) -> Known | None:
    """What the operator's reference says; None where it has none, or cannot."""
    graph = onnx.GraphProto(name="constant", node=[node])
    graph.input.extend(onnx.ValueInfoProto(name=name) for name in inputs)
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in node.output if name)
    single = onnx.ModelProto(graph=graph, opset_import=model.opset_import, ir_version=model.ir_version)
    try:
        results = [np.asarray(each) for each in ReferenceEvaluator(single).run(None, inputs)]
    except Exception:  # the reference refuses in ways of its own; the node then stays
        return None
    names = [name for name in node.output if name]
    if any(each.dtype.name not in C_TYPES or each.nbytes > FOLDED_BYTES for each in results):
        return None
    return dict(zip(names, results, strict=True))


def _fixed_shapes(graph: onnx.GraphProto) -> dict[str, tuple[int, ...]]:
    found = {}
    for info in (*graph.input, *graph.value_info, *graph.output):
        tensor = info.type.tensor_type
        if tensor.HasField("shape") and all(each.HasField("dim_value") for each in tensor.shape.dim):
            found[info.name] = tuple(each.dim_value for each in tensor.shape.dim)
    return found
