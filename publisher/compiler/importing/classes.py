"""Classes by name become classes by number: modules give out numbers, and the manifest has their names.

A value that is words is followed from where it is made (class labels, tables of words) to the model's outputs, and is
int64 all along: the place of the word among the names.
"""

from typing import Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from publisher.compiler.errors import UnsupportedError
from publisher.compiler.importing.refusing import quoted, refused

Names = tuple[str, ...]

MOST_CLASSES: Final = 65_536
LABELLED: Final = {
    "LinearClassifier": "classlabels_ints",
    "SVMClassifier": "classlabels_ints",
    "TreeEnsembleClassifier": "classlabels_int64s",
}
"""Classifiers, and the attribute that holds their classes' numbers."""

PASSING: Final = frozenset({"Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Transpose", "Gather", "Slice"})
"""Operators whose output holds the same words as their first input."""


def classes_as_numbers(model: onnx.ModelProto) -> dict[str, Names]:
    """Change the model in place; the names of classes by the name of the output that numbers or scores them.

    ZipMap gives way to the probabilities it would have named. Raises `UnsupportedError` where words are computed with.
    """
    graph = model.graph
    words = {each.name: _vocabulary(each) for each in graph.initializer if each.data_type == TensorProto.STRING}
    scores: dict[str, Names] = {}
    for node in list(graph.node):
        if node.op_type == "ZipMap" and node.domain == "ai.onnx.ml":
            _unzip(graph, node, scores)
        elif node.op_type in LABELLED and node.domain == "ai.onnx.ml":
            _number(node, LABELLED[node.op_type], words, scores)
        elif node.op_type == "LabelEncoder":
            _encode(node, words)
        else:
            _pass_on(node, words)
    _retype(graph, words)
    found = {**words, **scores}
    return {each.name: found[each.name] for each in graph.output if each.name in found}


def _vocabulary(tensor: TensorProto) -> Names:
    """The words of a constant, whose places take their place in it."""
    names = tuple(each.decode("utf-8", "replace") for each in tensor.string_data)
    _check(names)
    numbers = np.arange(len(names), dtype=np.int64).reshape(tuple(tensor.dims))
    tensor.CopyFrom(numpy_helper.from_array(numbers, tensor.name))
    return names


def _check(names: Names) -> None:
    if len(names) > MOST_CLASSES:
        raise refused("the model has too many classes", "classes", f"at most {MOST_CLASSES}", len(names))
    for name in names:
        if not name.isprintable() or len(name) > 1024:
            raise refused(f"a class of the model cannot be printed: {quoted(name)}", "class", "a short name", "another")


def _number(node: onnx.NodeProto, attribute: str, words: dict[str, Names], scores: dict[str, Names]) -> None:
    """A classifier's classes by name get the numbers of their places."""
    found = next((each for each in node.attribute if each.name == "classlabels_strings" and each.strings), None)
    if found is None:
        return
    names = tuple(each.decode("utf-8", "replace") for each in found.strings)
    _check(names)
    node.attribute.remove(found)
    for other in [each for each in node.attribute if each.name == attribute]:
        node.attribute.remove(other)
    node.attribute.append(helper.make_attribute(attribute, range(len(names))))
    words[node.output[0]] = names
    if len(node.output) > 1:
        scores[node.output[1]] = names


def _unzip(graph: onnx.GraphProto, node: onnx.NodeProto, scores: dict[str, Names]) -> None:
    """An Identity in the place of a ZipMap; its output becomes the tensor of probabilities."""
    attributes = {each.name: each for each in node.attribute}
    texts = tuple(
        each.decode("utf-8", "replace") for each in getattr(attributes.get("classlabels_strings"), "strings", ())
    )
    numbers = tuple(str(each) for each in getattr(attributes.get("classlabels_int64s"), "ints", ()))
    _check(names := texts or numbers)
    scores[node.output[0]] = names
    node.CopyFrom(helper.make_node("Identity", node.input, node.output, node.name))
    for info in graph.output:
        if info.name == node.output[0]:
            info.CopyFrom(helper.make_tensor_value_info(info.name, TensorProto.FLOAT, (None, len(names))))


def _encode(node: onnx.NodeProto, words: dict[str, Names]) -> None:
    """LabelEncoder: words that come in or go out are numbered by a table of their own."""
    attributes = {each.name: each for each in node.attribute}
    for side in ("keys", "values"):
        texts = attributes.get(f"{side}_strings") or attributes.get("classes_strings")
        table = attributes.get(f"{side}_tensor")
        if texts is None and (table is None or table.t.data_type != TensorProto.STRING):
            continue
        if side == "keys" or texts is None or texts.name == "classes_strings":
            raise UnsupportedError("LabelEncoder", "takes words as they are", "encode words as numbers beforehand")
        default = attributes.get("default_string")
        last = default.s.decode("utf-8", "replace") if default is not None else "_Unused"
        names = (*(each.decode("utf-8", "replace") for each in texts.strings), last)
        _check(names)
        for each in (texts, default):
            if each is not None:
                node.attribute.remove(each)
        node.attribute.append(helper.make_attribute("values_int64s", range(len(names) - 1)))
        node.attribute.append(helper.make_attribute("default_int64", len(names) - 1))
        words[node.output[0]] = names


def _pass_on(node: onnx.NodeProto, words: dict[str, Names]) -> None:
    said = [name for name in node.input if name in words]
    if not said:
        return
    is_first = said == [node.input[0]]
    if is_first and (node.op_type in PASSING or node.op_type == "ArrayFeatureExtractor"):
        words[node.output[0]] = words[said[0]]
    elif is_first and node.op_type == "Cast" and node.attribute[0].i == TensorProto.STRING:
        words[node.output[0]] = words[said[0]]
        node.CopyFrom(helper.make_node("Identity", node.input, node.output, node.name))
    else:
        raise UnsupportedError(node.op_type, "computes with words", "compute with their numbers")


def _retype(graph: onnx.GraphProto, words: dict[str, Names]) -> None:
    for info in (*graph.output, *graph.value_info):
        if info.name in words and info.type.WhichOneof("value") == "tensor_type":
            info.type.tensor_type.elem_type = TensorProto.INT64
