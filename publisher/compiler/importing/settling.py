"""Shapes, constants and branches depend on one another: they are settled in rounds."""

from typing import Final

import onnx
from onnx import shape_inference

from publisher.compiler.importing.branching import take_branches
from publisher.compiler.importing.describing import described, with_defaults
from publisher.compiler.importing.folding import fold
from publisher.compiler.importing.order import reads
from publisher.compiler.importing.parsing import branches
from publisher.compiler.importing.refusing import explained
from publisher.compiler.importing.simplifying import has_extensions

ROUNDS: Final = 64


def settled(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with every shape and constant that can be known. Raises `ConfigurationError` where they do not fit."""
    strict = not has_extensions(model)
    with_defaults(model)
    for _ in range(ROUNDS):
        with explained("the shapes in the model do not fit together"):
            model = shape_inference.infer_shapes(model, strict_mode=strict, data_prop=True)
        if not (fold(model) | take_branches(model) | described(model)):
            break
    prune(model)
    return model


def decided(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model settled if it has branches: onnxruntime 1.32 crashes on some whose conditions are constant."""
    return settled(model) if any(node.op_type == "If" for node in model.graph.node) else model


def prune(model: onnx.ModelProto) -> None:
    """Drop nodes, constants, optional outputs and operator sets that nobody uses, in place. Inputs stay."""
    graph = model.graph
    wanted = {each.name for each in graph.output}
    kept = []
    for node in reversed(graph.node):
        if wanted.intersection(node.output):
            _drop_optional_outputs(node, model, wanted)
            wanted |= reads(node)
            kept.append(node)
    del graph.node[:]
    graph.node.extend(reversed(kept))
    constants = {each.name: each for each in graph.initializer if each.name in wanted}
    del graph.initializer[:]
    graph.initializer.extend(constants.values())
    # onnxruntime imports all the operator sets that it knows.
    used = {each.domain: each for each in model.opset_import if each.domain in {"", *(node.domain for node in kept)}}
    del model.opset_import[:]
    model.opset_import.extend(used.values())


def _drop_optional_outputs(node: onnx.NodeProto, model: onnx.ModelProto, wanted: set[str]) -> None:
    if any(True for _ in branches(node)):
        return
    version = {each.domain: each.version for each in model.opset_import}.get(node.domain, 0)
    if not onnx.defs.has(node.op_type, version, node.domain):
        return
    schema = onnx.defs.get_schema(node.op_type, version, node.domain)
    outputs = list(node.output)
    for number, (name, said) in enumerate(zip(outputs, schema.outputs, strict=False)):
        if name not in wanted and said.option == onnx.defs.OpSchema.FormalParameterOption.Optional:
            outputs[number] = ""
    while outputs and not outputs[-1]:
        outputs.pop()
    node.output[:] = outputs
