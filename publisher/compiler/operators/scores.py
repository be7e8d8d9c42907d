"""What models of ai.onnx.ml share: rows of numbers in, and the last steps from scores to answers."""

from typing import Final

from publisher.compiler.errors import UnsupportedError
from publisher.compiler.graph import C_TYPES, Node
from publisher.compiler.operators.parameters import check
from publisher.compiler.step import Step

NUMBERS: Final = ("float32", "float64", "int32", "int64")
TRANSFORMS: Final = ("NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT")
"""In the order of kernels/scores.h."""

MOST_CLASSES: Final = 65_536


def rows_and_features(node: Node, step: Step) -> tuple[int, int]:
    """How many rows the input has and how long they are; one row where it has one dimension."""
    shape = step.value(node.inputs[0]).shape
    check(len(shape) in {1, 2}, node, f"takes rows of features, and the input has {len(shape)} dimensions")
    return (1, shape[0]) if len(shape) == 1 else (shape[0], shape[1])


def checked_type(node: Node, step: Step) -> str:
    """The type of the features."""
    dtype = step.value(node.inputs[0]).dtype
    if dtype not in NUMBERS:
        raise UnsupportedError(node.operator, f"is not known for {dtype}", "cast its input to float32 before it")
    return dtype


def float_rows(node: Node, step: Step) -> str:
    """A pointer to the input as float32, converted where it is something else."""
    value = step.value(node.inputs[0])
    if checked_type(node, step) == "float32":
        return step.pointer(value.name)
    floats = step.scratch(value.size)
    step.line(f"for (int i = 0; i < {value.size}; i++) {floats}[i] = (float){step.pointer(value.name)}[i];")
    return floats


def transform_of(node: Node) -> int:
    """The number of a node's post_transform."""
    word = node.text("post_transform", "NONE")
    check(word in TRANSFORMS, node, f"there is no post_transform {word!r}"[:120])
    return TRANSFORMS.index(word)


def label_type(node: Node, step: Step) -> str:
    """The C type of the labels that are given out: classes by name were numbered when the model was imported."""
    out = step.value(node.outputs[0])
    check(out.dtype == "int64", node, "labels are given out as int64")
    return C_TYPES[out.dtype]


def class_labels(node: Node, attribute: str) -> tuple[int, ...]:
    """The numbers that stand for classes."""
    labels = node.integers(attribute)
    check(0 < len(labels) <= MOST_CLASSES, node, "has no classes, or too many")
    return labels
