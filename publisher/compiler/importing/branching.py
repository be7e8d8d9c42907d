"""`If` whose condition is a constant becomes the branch that it takes."""

import onnx
from onnx import helper, numpy_helper

from publisher.compiler.graph import SEPARATOR
from publisher.compiler.importing.parsing import branches


def take_branches(model: onnx.ModelProto) -> bool:
    """Put branches in the place of each `If` of the main graph that is decided, in place. Whether there were any."""
    graph = model.graph
    tensors = {each.name: each for each in graph.initializer}
    nodes: list[onnx.NodeProto] = []
    taken = False
    for node in graph.node:
        if node.op_type != "If" or node.domain or node.input[0] not in tensors:
            nodes.append(node)
            continue
        inlined, constants = _branch(node, bool(numpy_helper.to_array(tensors[node.input[0]]).any()))
        nodes.extend(inlined)
        graph.initializer.extend(constants)
        taken = True
    if taken:
        del graph.node[:]
        graph.node.extend(nodes)
    return taken


def _branch(node: onnx.NodeProto, condition: bool) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """A branch's nodes and constants under names that are nowhere else, and the If's outputs made of its own."""
    wanted = "then_branch" if condition else "else_branch"
    body = next(each.g for each in node.attribute if each.name == wanted)
    inside = {each.name for each in body.initializer} | {name for each in body.node for name in each.output}
    prefix = next(name for name in node.output if name)
    renamed = {name: f"{prefix}{SEPARATOR}{name}" for name in sorted(inside - {""})}
    nodes = [_renamed(each, renamed) for each in body.node]
    constants = []
    for tensor in body.initializer:
        copy = onnx.TensorProto()
        copy.CopyFrom(tensor)
        copy.name = renamed[tensor.name]
        constants.append(copy)
    for info, name in zip(body.output, node.output, strict=True):
        if name:
            nodes.append(helper.make_node("Identity", [renamed.get(info.name, info.name)], [name]))
    return nodes, constants


def _renamed(node: onnx.NodeProto, names: dict[str, str]) -> onnx.NodeProto:
    """A node with other names, in the branches inside it too; what they define themselves hides a name outside."""
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    copy.input[:] = [names.get(each, each) for each in node.input]
    copy.output[:] = [names.get(each, each) for each in node.output]
    for graph in branches(copy):
        own = {each.name for each in (*graph.initializer, *graph.input)}
        own |= {name for each in graph.node for name in each.output}
        below = {old: new for old, new in names.items() if old not in own}
        nodes = [_renamed(each, below) for each in graph.node]
        del graph.node[:]
        graph.node.extend(nodes)
        for info in graph.output:
            info.name = below.get(info.name, info.name)
    return copy
